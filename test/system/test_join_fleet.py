"""A thousand agents join at once with one token of a thousand uses: all are paired, none twice, and no one more."""

import concurrent.futures
import os
import pathlib
import threading
import time
import unittest

from deployment import BUILD, Deployment
from pairing_v2 import JoinToken, V2Agent, new_key_and_csr, serial_text

AGENTS = 1000 if BUILD == "release" else 150  # a build with sanitizers takes its time for each handshake


class Fleet(unittest.TestCase):
    def test_joins_at_once(self):
        names = [f"web-{i:04}" for i in range(AGENTS)]
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            identities = list(pool.map(new_key_and_csr, names))
        with Deployment() as deployment, deployment.pairing_mode() as listener:
            token = deployment.dispatcher("join-token", "create", "--uses", AGENTS).stdout.decode().strip()
            parsed = JoinToken.parse(token)
            all_ready, answers = threading.Barrier(AGENTS + 1), {}

            def join(name, identity):
                with V2Agent(listener.address, name, parsed, identity) as agent:
                    all_ready.wait(120)
                    agent.wait(check=False)
                    answers[name] = agent.read_last()
                    return agent

            threads = [threading.Thread(target=join, args=pair, daemon=True) for pair in zip(names, identities)]
            for thread in threads:
                thread.start()
            all_ready.wait(120)
            began = time.monotonic()
            for thread in threads:
                thread.join(300)
            took = time.monotonic() - began
            self.assertEqual(len(answers), AGENTS, listener.log[-2000:])
            self.assertEqual({answer["status"] for answer in answers.values()}, {"approved"})
            ticks = sum(map(int, pathlib.Path(f"/proc/{listener.pid}/stat").read_text().rpartition(")")[2].split()[11:13]))
            print(f"\n{AGENTS} agents joined in {took:.1f} s: {AGENTS / took:.0f} signatures/s; processor time of the "
                  f"listener {ticks / os.sysconf('SC_CLK_TCK'):.1f} s, the rest is flushing to the disk", flush=True)

            agents = deployment.json("list-agents")["agents"]
            self.assertEqual([each["hostname"] for each in agents], names)
            self.assertEqual({each["trust"] for each in agents}, {"token"})
            self.assertEqual(len({each["serial"] for each in agents}), AGENTS)
            [listed] = deployment.json("join-token", "list")["tokens"]
            self.assertEqual((listed["used"], listed["state"]), (AGENTS, "used up"))
            with V2Agent(listener.address, "web-late", token) as late:
                self.assertEqual(late.ask(), {"status": "error", "reason": "join token used up"})
            for name in (names[0], names[-1]):  # what they were told is theirs
                with V2Agent(listener.address, name, token, identities[names.index(name)]) as again:
                    again.pair()
                    self.assertEqual(again.last["cert"], answers[name]["cert"])
                    [record] = [each for each in agents if each["hostname"] == name]
                    self.assertEqual(record["serial"], serial_text(again.check_last()))


if __name__ == "__main__":
    unittest.main()
