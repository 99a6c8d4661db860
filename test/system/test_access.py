"""Who may: allowed addresses, revoked certificates, the agent's auth hook; and one run of a script on a host at a time."""

import json
import unittest

from deployment import MISSING, REFUSED, Deployment
from processes import poll
from wire import TlsClient, request


class Access(unittest.TestCase):
    def setUp(self):
        self.deployment = self.enterContext(Deployment())
        self.agent = self.deployment.paired_agent("web-01")
        self.agent.script("true", "#!/bin/sh\n")

    def configure(self, line):
        text = self.agent.config.read_text()
        self.agent.config.write_text(line + "\n" + text)

    def answer(self, method, target, body=None):
        identity = (self.deployment.ca / "ctrl-exec.crt", self.deployment.ca / "ctrl-exec.key")
        with TlsClient(self.agent.address, self.deployment.ca / "ca.crt", identity) as client:
            client.send(request(method, target, body, version="1.0"))
            return client.only_answer()

    def run_result(self, script="true", check=None):
        return self.deployment.json("run", self.agent.target, script, check=check)["results"][0]

    def test_address_that_is_not_allowed_is_closed_before_tls(self):
        self.configure("allowed_ips = 192.0.2.0/24, fd00::/8")
        self.agent.serve()
        result = self.run_result(check=MISSING)
        self.assertEqual(result["exit"], -1)
        self.assertIn("closed the connection during the handshake", result["error"])
        self.agent.daemon.wait_log("ACTION=ip-block PEER=127.0.0.1")

    def test_allowed_address_is_served(self):
        self.configure("allowed_ips = 192.0.2.7, 127.0.0.0/8")
        self.agent.serve()
        self.assertEqual(self.run_result(check=0)["exit"], 0)

    def test_revoked_certificate_is_refused_on_every_route(self):
        serial = self.agent.serial.read_text().strip()
        (self.agent.config.parent / "revoked-serials").write_text(f"# stolen\nserial={serial.upper()}\n")
        self.configure("rate_limit_disable = yes")
        self.agent.serve()
        for method, target in (("POST", "/run"), ("POST", "/ping"), ("GET", "/capabilities"), ("GET", "/nothing")):
            with self.subTest(target):
                answer = self.answer(method, target, {} if method == "POST" else None)
                self.assertEqual((answer.status, answer.json), (403, {"error": "certificate revoked"}))
        self.agent.daemon.wait_log(f"ACTION=revoked-cert PEER=127.0.0.1 SERIAL={serial}")

    def test_hook_of_the_agent_decides_runs_and_discovery(self):
        hook = self.agent.config.parent / "hook"
        asked = self.agent.config.parent / "asked"
        hook.write_text(f"#!/bin/sh\ncat >{asked}\n[ \"$ENVEXEC_ACTION\" = discovery ] && exit 3\n"
                        "[ \"$ENVEXEC_TOKEN\" = good ] || exit 2\n")
        hook.chmod(0o755)
        self.configure(f"auth_hook = {hook}")
        self.agent.serve()
        refused = self.run_result(check=REFUSED)
        self.assertEqual((refused["exit"], refused["error"]), (-1, "not authorised: bad credentials"))
        self.deployment.dispatcher("--token", "good", "--username", "alice", "run", self.agent.target, "true", "--", "a b")
        question = json.loads(asked.read_text())
        self.assertRegex(question.pop("timestamp"), r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")
        self.assertEqual(question, {"action": "run", "script": "true", "hosts": ["web-01"], "args": ["a b"],
                                    "username": "alice", "token": "good", "source_ip": "127.0.0.1"})
        answer = self.answer("GET", "/capabilities")
        self.assertEqual((answer.status, answer.json), (403, {"error": "not authorised: insufficient privilege"}))
        self.assertNotIn("good", self.agent.daemon.log)

    def test_hook_is_not_asked_about_scripts_that_are_not_listed(self):
        hook = self.agent.config.parent / "hook"
        hook.write_text(f"#!/bin/sh\n: >{hook}.asked\n")
        hook.chmod(0o755)
        self.configure(f"auth_hook = {hook}")
        self.agent.serve()
        self.assertEqual(self.run_result("missing", check=REFUSED)["error"], "script not permitted")
        self.assertFalse(hook.with_name("hook.asked").exists())


class Locks(unittest.TestCase):
    def test_second_run_is_refused_until_the_first_is_done_or_dead(self):
        deployment = self.enterContext(Deployment())
        agent = deployment.paired_agent("web-01")
        started = deployment.directory / "started"
        agent.script("slow", f"#!/bin/sh\n: >{started}\nexec sleep 30\n")
        agent.script("true", "#!/bin/sh\n")
        agent.serve()
        first = deployment.start(deployment.argv("run", agent.target, "slow"), "first")
        poll("the script runs", started.exists)
        refused = deployment.json("run", agent.target, "slow", check=1)
        self.assertEqual(refused, {"ok": 0, "error": "locked", "code": 4,
                                   "conflicts": [f"{agent.target.rpartition(':')[0]}:slow"]})
        self.assertEqual(deployment.json("run", agent.target, "true")["results"][0]["exit"], 0)
        [lock] = deployment.json("list-locks")["locks"]
        self.assertEqual(lock["script"], "slow")
        first.kill()
        self.assertEqual(deployment.json("list-locks")["locks"], [], "the kernel releases a dead run's lock")


if __name__ == "__main__":
    unittest.main()
