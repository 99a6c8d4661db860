"""Who answers must be the agent that was paired: all agents have certificates of one CA, so that is not enough."""

import json
import subprocess
import unittest

from deployment import MISSING, Deployment, exit_code
from first_start import free_port
from renewing_agent import RenewingAgent


def spki_hash(certificate):
    public = subprocess.run(["openssl", "x509", "-in", certificate, "-noout", "-pubkey"], check=True,
                            capture_output=True, timeout=30).stdout
    der = subprocess.run(["openssl", "pkey", "-pubin", "-outform", "DER"], input=public, check=True,
                         capture_output=True, timeout=30).stdout
    return subprocess.run(["sha256sum"], input=der, check=True, capture_output=True, timeout=30).stdout.split()[0].decode()


class Identity(unittest.TestCase):
    def setUp(self):
        self.deployment = self.enterContext(Deployment())
        self.port = free_port()
        self.victim, self.impostor = self.deployment.paired_agents("web-01", "evil-01", port=self.port)

    def record(self, name="web-01"):
        return self.path(name).read_text()

    def path(self, name):
        return self.deployment.state / "agents" / f"{name}.json"

    def change(self, name="web-01", **members):
        record = {**json.loads(self.record(name)), "lookup_by": "ip", **members}
        self.path(name).write_text(json.dumps({key: value for key, value in record.items() if value is not None}))

    def make_old(self, name="web-01"):
        """As the old program writes a record."""
        self.change(name, key=None, serial=None, cn=None)

    def test_key_and_serial_are_recorded_at_approval(self):
        record = json.loads(self.record())
        self.assertEqual(record["key"], spki_hash(self.victim.certificate))
        serial = subprocess.run(["openssl", "x509", "-in", self.victim.certificate, "-noout", "-serial"], check=True,
                                capture_output=True, timeout=30).stdout.decode().strip().partition("=")[2].lower()
        self.assertEqual(record["serial"], serial)
        self.assertNotIn("key_learned", record)

    def test_the_agent_itself_is_served(self):
        self.change()
        with RenewingAgent(self.victim, self.port):
            self.deployment.dispatcher("ping", "web-01")
            self.assertEqual(self.deployment.dispatcher("run", "web-01", "true").stdout.count(b"ran"), 1)

    def test_nothing_is_sent_to_an_impostor(self):
        self.change()
        before = self.record()
        with RenewingAgent(self.impostor, self.port) as liar:
            for words in (("ping", "web-01"), ("run", "web-01", "true"), ("run", f"web-01:{self.port}", "true")):
                with self.subTest(words):
                    [result] = self.deployment.json(*words, check=exit_code(words, MISSING))["results"]
                    self.assertRegex(result["error"], r"^key mismatch: .*'web-01'.* certificate for 'evil-01'")
            self.assertEqual(liar.requests, [])
        self.assertEqual(self.record(), before)

    def test_an_old_record_learns_at_the_first_contact(self):
        self.make_old()
        with RenewingAgent(self.victim, self.port):
            self.deployment.dispatcher("ping", "web-01")
        record = json.loads(self.record())
        self.assertEqual((record["key"], record["key_learned"]), (spki_hash(self.victim.certificate), 1))
        with RenewingAgent(self.impostor, self.port) as liar:
            [result] = self.deployment.json("ping", "web-01", check=1)["results"]
            self.assertIn("key mismatch", result["error"])
            self.assertEqual(liar.requests, [])

    def test_an_old_record_does_not_learn_the_key_of_another_registered_agent(self):
        self.make_old()
        self.make_old("evil-01")
        with RenewingAgent(self.impostor, self.port) as liar:
            [result] = self.deployment.json("ping", "web-01", check=1)["results"]
            self.assertIn("key mismatch", result["error"])
            self.assertEqual(liar.requests, [])
        self.assertNotIn("key", json.loads(self.record()))

    def test_the_mismatch_is_in_the_log(self):
        self.change()
        with RenewingAgent(self.impostor, self.port):
            done = self.deployment.dispatcher("ping", "web-01", check=1,
                                              environment=self.deployment.environment(log="stderr"))
        self.assertRegex(done.stderr.decode(), r"ACTION=key-mismatch CN=evil-01 SERIAL=[0-9a-f]+ TARGET=web-01")

    def test_dispatcher_id_is_made_once_and_told_at_pairing(self):
        text = (self.deployment.state / "dispatcher-id").read_text()
        self.assertRegex(text, r"^[0-9a-f]{16}\n$")
        self.deployment.paired_agent("web-02")
        self.assertEqual((self.deployment.state / "dispatcher-id").read_text(), text)


if __name__ == "__main__":
    unittest.main()
