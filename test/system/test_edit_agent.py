"""A registered agent can be renamed, moved and replaced; who it is stays its key."""

import json
import subprocess
import unittest

from deployment import Deployment
from first_start import free_port
from renewing_agent import RenewingAgent


class Case(unittest.TestCase):
    def setUp(self):
        self.deployment = self.enterContext(Deployment())
        self.port = free_port()
        self.agent = self.deployment.paired_agent("web-01", port=self.port)

    def record(self, name="web-01"):
        return json.loads((self.deployment.state / "agents" / f"{name}.json").read_text())


class Edit(Case):
    def test_where_it_is(self):
        said = self.deployment.dispatcher("edit-agent", "web-01", "--ip", "127.0.0.1", "--agent-port", self.port,
                                          "--lookup-by", "ip").stdout
        self.assertEqual(said, b"Changed: web-01 (127.0.0.1), port %d, looked up by ip.\n" % self.port)
        record = self.record()
        self.assertEqual((record["ip"], record["agent_port"], record["lookup_by"]), ("127.0.0.1", self.port, "ip"))
        with RenewingAgent(self.agent, self.port):
            self.deployment.dispatcher("ping", "web-01")
        self.deployment.dispatcher("edit-agent", "web-01", "--agent-port", "default")
        self.assertNotIn("agent_port", self.record())

    def test_a_new_name_keeps_key_and_certificate(self):
        before = self.record()
        self.deployment.dispatcher("edit-agent", "web-01", "--rename", "shop-01", "--lookup-by", "ip")
        self.assertEqual([agent["hostname"] for agent in self.deployment.json("list-agents")["agents"]], ["shop-01"])
        after = self.record("shop-01")
        self.assertEqual((after["key"], after["serial"], after["cn"]), (before["key"], before["serial"], "web-01"))
        with RenewingAgent(self.agent, self.port) as agent:
            self.deployment.dispatcher("run", "shop-01", "true")
            [row] = self.deployment.json("maintain", "--all")["agents"]
            self.assertEqual((row["host"], row["status"]), ("shop-01", "renewed"))
            subject = subprocess.run(["openssl", "x509", "-in", agent.certificate, "-noout", "-subject", "-nameopt",
                                      "RFC2253"], check=True, capture_output=True, timeout=30).stdout
            self.assertEqual(subject, b"subject=CN=web-01\n")
        self.deployment.dispatcher("edit-agent", "shop-01", "--rename", "web-01")
        self.assertNotIn("cn", self.record())

    def test_a_name_that_is_taken(self):
        self.deployment.paired_agent("db-01")
        before = self.record(), self.record("db-01")
        done = self.deployment.dispatcher("edit-agent", "web-01", "--rename", "db-01", check=1)
        self.assertIn(b"'db-01' is registered already", done.stderr)
        self.assertEqual((self.record(), self.record("db-01")), before)

    def test_what_is_wrong_changes_nothing(self):
        before = self.record()
        for words in ((), ("--ip", "web"), ("--agent-port", "0"), ("--agent-port", "65536"), ("--lookup-by", "dns"),
                      ("--rename", "../x"), ("--rename", "")):
            with self.subTest(words):
                self.deployment.dispatcher("edit-agent", "web-01", *words, check=2)
        self.deployment.dispatcher("edit-agent", "nobody", "--ip", "127.0.0.1", check=1)
        self.assertEqual(self.record(), before)


class Replace(Case):
    def ask(self, *words, check=0):
        """A new agent of the same name asks, and is answered with these words."""
        new = self.deployment.agent("web-01-new", hostname="web-01")
        with self.deployment.pairing_mode() as listener, new.request_pairing(listener) as asking:
            request = self.deployment.wait_request("web-01")["id"]
            done = self.deployment.dispatcher("approve", request, *words, check=check)
            if check:
                self.deployment.dispatcher("deny", request)
            asking.wait_exit()
        return done

    def test_is_refused_without_a_word(self):
        before = self.record()
        self.assertRegex(self.ask(check=1).stderr.decode(), "'web-01' is registered already .* --replace")
        self.assertEqual(self.record(), before)
        self.assertFalse((self.deployment.ca / "revoked-serials").exists())

    def test_revokes_the_old_certificate(self):
        before = self.record()
        said = self.ask("--replace", "--agent-port", "7500", "--lookup-by", "ip").stdout.decode()
        self.assertIn(f"whose certificate is revoked (serial {before['serial']}).", said)
        after = self.record()
        self.assertNotEqual(after["key"], before["key"])
        self.assertEqual((after["agent_port"], after["lookup_by"]), (7500, "ip"))
        self.assertIn(before["serial"], (self.deployment.ca / "revoked-serials").read_text())


if __name__ == "__main__":
    unittest.main()
