"""Wrong command lines and wrong answers of peers end at once, with the right exit code, and change nothing anywhere."""

import re
import subprocess
import unittest

import hostile_agent
import hostile_api
import hostile_cli
import hostile_files
import hostile_pairing
from deployment import BIN, Deployment
from hostile_agent import post
from hostile_tables import Port, tests_of, wait_footprint, wait_without_peers
from hostile_files import Place
from hostile_pairing import PairingPort, sent


class Deployed(unittest.TestCase):
    """An agent and a pairing listener, whom nothing that is called here may harm."""

    @classmethod
    def setUpClass(cls):
        cls.deployment = cls.enterClassContext(Deployment())
        cls.agent = cls.deployment.paired_agent("web-01", rate_limit_disable="yes")
        cls.agent.script("true", "#!/bin/sh\n")
        cls.agent.serve()
        cls.listener = cls.enterClassContext(cls.deployment.pairing_mode())
        cls.place = Place(cls.deployment.directory)
        cls.port = Port(cls.agent.address, None, cls.deployment.ca / "ca.crt",
                        {"trusted": (cls.deployment.ca / "ctrl-exec.crt", cls.deployment.ca / "ctrl-exec.key")})
        cls.pairing = PairingPort(cls.listener.address, None, cls.place / hostile_files.QUEUE)
        cls.good_requests()
        cls.quiet = {daemon: wait_without_peers(daemon) for daemon in (cls.agent.daemon, cls.listener)}

    @classmethod
    def good_requests(cls):
        status, _ = cls.port.ask(post("/ping", b"{}"))
        client, stored = cls.pairing.pair(sent(cls.pairing.body()))
        client.close()
        cls.listener.wait_log(f"^ACTION=pair-end HOST=web-01 OUTCOME=gone REQID={stored['id']}$")
        if status != 200:
            raise AssertionError(f"a good ping got {status}")

    def call(self, words, peer="", environment=(), shell=""):
        """(exit code, stdout and stderr); None when it did not end."""
        program = BIN / {"ced": "ctrl-exec-dispatcher", "cea": "ctrl-exec-agent"}[words[0]]
        config = self.deployment.config if words[0] == "ced" else self.agent.config
        given = [word.replace("<TARGET>", self.agent.target).replace("<PEER>", peer) if isinstance(word, str) else word
                 for word in words[1:]]
        argv = [program, *([] if "--config" in given else ["--config", config]), *given]
        if shell:
            argv = ["sh", "-c", shell, "sh", *argv]
        try:
            done = subprocess.run(argv, env={**self.deployment.environment(), **dict(environment)}, timeout=10,
                                  stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                  check=False)
        except subprocess.TimeoutExpired as late:
            return None, (late.stdout or b"").decode(errors="replace")
        return done.returncode, done.stdout.decode(errors="replace")

    def check_call(self, row, **options):
        before = self.place.contents()
        code, said = self.call(row.words, **options)
        self.assertRegex(said, re.compile(row.said, re.M))
        self.assertEqual(code, row.code, said)
        self.assertEqual(self.place.contents(), before)
        self.good_requests()
        for daemon, footprint in self.quiet.items():
            wait_footprint(daemon, footprint)


@tests_of(hostile_cli.CALLS)
class Calls(Deployed):
    def check(self, row):
        self.check_call(row, environment=row.environment, shell=row.shell)


@tests_of(hostile_cli.ANSWERS)
class Answers(Deployed):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.peer = cls.enterClassContext(hostile_cli.Peer(cls.agent.certificate, cls.agent.key))

    def check(self, row):
        self.peer.answer = row.answer
        self.check_call(row, peer=self.peer.address)


class Tables(unittest.TestCase):
    """What makes a table one: each row is a test, and no two have the same name."""

    def test_every_row_is_a_test(self):
        tables = (hostile_agent.ROWS, hostile_agent.SLOW, hostile_api.ROWS, hostile_api.SLOW, hostile_pairing.ROWS,
                  hostile_pairing.SLOW, hostile_cli.CALLS, hostile_cli.ANSWERS, hostile_files.ROWS)
        rows = [row for table in tables for row in table]
        self.assertGreater(len(rows), 800)

    def test_name_that_occurs_twice_is_refused(self):
        row = hostile_cli.CALLS[0]
        with self.assertRaisesRegex(ValueError, "two rows are named 'no word at all'"):
            tests_of([row], [row])(type("Case", (), {}))


del Deployed  # it has no tests of its own

if __name__ == "__main__":
    unittest.main()
