"""The API keeps its connections to agents of ours, and nothing that could go wrong with that does."""

import concurrent.futures
import os
import pathlib
import signal
import unittest

from api import Client, serve_api
from deployment import Deployment, write_settings
from fast_forward import put_ahead
from processes import poll

ESTABLISHED = "01"
WELL_BELOW_IDLE_TIME = 10  # seconds: later they would end by themselves


def connections_to(port):
    """The local ports from which connections to that port of this machine are open."""
    found = set()
    for line in pathlib.Path("/proc/net/tcp").read_text().splitlines()[1:]:
        local, remote, state = line.split()[1:4]
        if state == ESTABLISHED and int(remote.partition(":")[2], 16) == port:
            found.add(int(local.partition(":")[2], 16))
    return found


class KeptConnections(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.deployment = cls.enterClassContext(Deployment(api_port=0, api_auth_default="allow"))
        cls.agent = cls.deployment.paired_agent("web-01")
        cls.revoked = cls.agent.directory / "revoked-serials"
        cls.ran, cls.started = (cls.deployment.directory / name for name in ("ran", "started"))
        for name in ("note", *(f"note-{i}" for i in range(40))):
            cls.agent.script(name, f"#!/bin/sh\necho \"$1\" >>{cls.ran}\n")
        cls.agent.script("hang", f"#!/bin/sh\necho hang >>{cls.ran}\necho $$ >{cls.started}.new\n"
                         f"mv {cls.started}.new {cls.started}\nexec sleep 60\n")

    def setUp(self):
        for left in (self.revoked, self.ran, self.started):
            left.unlink(missing_ok=True)
        write_settings(self.agent.config, self.agent.settings)
        self.agent.serve()
        self.addCleanup(lambda: self.agent.daemon.kill())
        self.port = self.agent.daemon.port
        self.api = self.enterContext(serve_api(self.deployment))
        self.client = self.enterContext(Client(self.api.address))

    def run_note(self, word, script="note", client=None):
        status, body = (client or self.client).call("POST", "/run", {"hosts": [self.agent.target], "script": script,
                                                                     "args": [word]})
        self.assertEqual(status, 200, body)
        return body["results"][0]

    def keep_one(self):
        """The local port of the API's connection after the first two runs."""
        self.assertEqual(self.run_note("a")["exit"], 0)
        self.assertEqual(self.run_note("b")["exit"], 0)
        [local] = connections_to(self.port)
        return local

    def notes(self):
        return self.ran.read_text().split()

    def test_one_connection_serves_all_that_follow_each_other(self):
        self.run_note("first")
        self.assertEqual(connections_to(self.port), set(), "it was not known yet whether the agent is one of ours")
        kept = self.keep_one()
        for method, path in (("POST", "/run"), ("POST", "/ping"), ("POST", "/discovery")):
            status, body = self.client.call(method, path, {"hosts": [self.agent.target], "script": "note"})
            self.assertEqual((status, body["ok"]), (200, True))
            self.assertEqual(connections_to(self.port), {kept}, path)

    def test_commands_keep_none(self):
        for _ in range(3):
            self.deployment.json("run", self.agent.target, "note")
            self.assertEqual(connections_to(self.port), set())

    def test_restart_of_the_agent_between_two_runs(self):
        self.keep_one()
        self.agent.daemon.stop()
        self.assertIn("ACTION=stop DRAINED=yes", self.agent.daemon.log)
        self.assertEqual(connections_to(self.port), set())
        write_settings(self.agent.config, {**self.agent.settings, "port": self.port})
        self.agent.serve()
        self.assertEqual(self.run_note("c")["exit"], 0)
        self.assertEqual(self.notes(), ["a", "b", "c"])

    def test_agent_that_is_gone_is_refused_and_not_waited_for(self):
        self.keep_one()
        self.agent.daemon.stop()
        self.assertIn("connection refused", self.run_note("c")["error"])
        self.assertEqual(self.notes(), ["a", "b"])

    def test_kill_of_the_agent_while_the_script_runs(self):
        self.keep_one()
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            run = pool.submit(self.run_note, "", "hang")
            poll("the script runs", self.started.exists)
            self.agent.daemon.kill()
            os.kill(int(self.started.read_text()), signal.SIGKILL)  # nobody else would
            result = run.result()
        self.assertEqual(result["exit"], -1)
        self.assertIn("may have been carried out", result["error"])
        self.assertEqual(self.notes(), ["a", "b", "hang"], "it was started once")

    def test_revocation_holds_for_the_very_next_request(self):
        kept = self.keep_one()
        shown = self.deployment.execute(["openssl", "x509", "-noout", "-serial", "-in",
                                         self.deployment.ca / "ctrl-exec.crt"]).stdout.decode()
        self.revoked.write_text(shown)
        self.agent.daemon.signal(signal.SIGHUP)
        self.agent.daemon.wait_log("ACTION=reload")
        self.assertEqual(connections_to(self.port), {kept})
        self.assertEqual(self.run_note("c")["error"], "forbidden: certificate revoked")
        self.assertEqual(self.run_note("c")["error"], "forbidden: certificate revoked")
        self.assertEqual(self.notes(), ["a", "b"])

    def test_allowed_ips_hold_for_the_very_next_request(self):
        self.keep_one()
        write_settings(self.agent.config, {**self.agent.settings, "allowed_ips": "192.0.2.1"})
        self.agent.daemon.signal(signal.SIGHUP)
        self.agent.daemon.wait_log("ACTION=reload")
        self.assertEqual(self.run_note("c")["exit"], -1)
        self.agent.daemon.wait_log("ACTION=ip-block")
        self.assertEqual(self.notes(), ["a", "b"])

    def test_after_a_reload_of_the_agent_hands_are_shaken_anew(self):
        kept = self.keep_one()
        self.agent.daemon.signal(signal.SIGHUP)
        self.agent.daemon.wait_log("ACTION=reload")
        self.assertEqual(self.run_note("c")["exit"], 0)
        self.assertNotIn(kept, connections_to(self.port))
        self.assertEqual(self.run_note("d")["exit"], 0)
        self.assertEqual(len(connections_to(self.port)), 1)
        self.assertEqual(self.notes(), ["a", "b", "c", "d"])

    def test_reload_of_the_api_discards_them(self):
        self.keep_one()
        self.api.signal(signal.SIGHUP)
        self.api.wait_log("ACTION=reload")
        poll("no connection is left", lambda: not connections_to(self.port), WELL_BELOW_IDLE_TIME)
        self.assertEqual(self.run_note("c")["exit"], 0)

    def test_idle_ones_are_not_used_for_ever(self):
        kept = self.keep_one()
        put_ahead(self.api.pid, 29)
        self.assertEqual(self.run_note("c")["exit"], 0)
        self.assertEqual(connections_to(self.port), {kept})
        put_ahead(self.api.pid, 29 + 31)
        self.assertEqual(self.run_note("d")["exit"], 0)
        [fresh] = connections_to(self.port)
        self.assertNotEqual(fresh, kept)

    def test_busy_ones_end_too(self):
        kept = self.keep_one()
        for seconds in range(29, 400, 29):
            put_ahead(self.api.pid, seconds)
            self.assertEqual(self.run_note("c")["exit"], 0)
        self.assertNotIn(kept, connections_to(self.port))

    def test_descriptors_do_not_add_up(self):
        def descriptors():
            return len(list(pathlib.Path(f"/proc/{self.api.pid}/fd").iterdir()))

        def many_runs(number):
            with Client(self.api.address) as client:
                return [self.run_note("x", f"note-{number}", client)["exit"] for _ in range(5)]

        self.keep_one()
        before = descriptors()
        with concurrent.futures.ThreadPoolExecutor(40) as pool:
            exits = [code for codes in pool.map(many_runs, range(40)) for code in codes]
        self.assertEqual(exits, [0] * 200)
        self.assertEqual(len(self.notes()), 202)
        poll("the clients' connections are closed", lambda: descriptors() <= before + 31, WELL_BELOW_IDLE_TIME)
        self.assertLessEqual(len(connections_to(self.port)), 32)


if __name__ == "__main__":
    unittest.main()
