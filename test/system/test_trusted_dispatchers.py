"""Several dispatchers on one agent: what pairing stores, whom it obeys then, and how its operator sees and ends that."""

import json
import signal
import unittest

from deployment import Deployment
from dispatcher_client import Caller, Signer

HOOK = """#!/bin/sh
echo "$ENVEXEC_DISPATCHER" >>{log}
"""


def trusted(agent):
    """Id and serials, the newest last, as dispatchers.json has them."""
    document = json.loads((agent.directory / "dispatchers.json").read_text())
    return {d["id"]: [s["serial"] for s in d["serials"]] for d in document["dispatchers"]}


def listed(agent):
    return json.loads(agent.command("dispatchers", "--json").stdout)["dispatchers"]


class Case(unittest.TestCase):
    def setUp(self):
        self.deployment = self.enterContext(Deployment())
        self.agent = self.deployment.paired_agent("web-01")
        [self.id] = trusted(self.agent)
        signer = Signer(self.deployment.directory / "signer", self.deployment.ca / "ca.crt", self.deployment.ca / "ca.key")
        self.other = Caller(signer, "other", "abcd")

    def add_other(self):
        """As another dispatcher's answer to a pairing would."""
        path = self.agent.directory / "dispatchers.json"
        document = json.loads(path.read_text())
        document["dispatchers"].insert(0, {"id": "other", "paired": "2026-01-02T03:04:05Z", "serials": [
            {"serial": self.other.serial, "added": "2026-01-02T03:04:05Z", "until": None}]})
        path.write_text(json.dumps(document))

    def ping_other(self):
        return self.other.ping(self.agent)


class Several(Case):
    def test_pairing_stores_the_dispatcher_and_keeps_the_old_file_in_step(self):
        self.assertEqual(trusted(self.agent), {self.id: [self.agent.serial.read_text().strip()]})
        self.agent.serve()
        self.deployment.dispatcher("ping", self.agent.target)
        self.agent.daemon.wait_log(f"^ACTION=ping DISPATCHER={self.id} PEER=")

    def test_both_are_obeyed_and_told_apart(self):
        self.add_other()
        log = self.deployment.directory / "asked"
        hook = self.deployment.directory / "hook"
        hook.write_text(HOOK.format(log=log))
        hook.chmod(0o755)
        with self.agent.config.open("a") as config:
            config.write(f"auth_hook = {hook}\n")
        self.agent.script("ok", "#!/bin/sh\nenv\n")
        self.agent.serve()
        result = self.deployment.json("run", self.agent.target, "ok")["results"][0]
        self.assertNotIn("ENVEXEC_", result["stdout"], "scripts get no such variable")
        answer = self.other.ask(self.agent, "/run", {"script": "ok", "reqid": "r"})
        self.assertEqual(answer.json["exit"], 0)
        self.other.ask(self.agent, "/capabilities", b"", "GET")
        self.assertEqual(log.read_text().split(), [self.id, "other", "other"])
        for name in (self.id, "other"):
            self.agent.daemon.wait_log(rf"^ACTION=run DISPATCHER={name} EXIT=0 PEER=127\.0\.0\.1 ")
        self.agent.daemon.wait_log("^ACTION=capabilities DISPATCHER=other PEER=")

    def test_pairing_again_keeps_the_key_and_the_other_dispatcher(self):
        self.add_other()
        key, certificate = self.agent.key.read_text(), self.agent.certificate.read_text()
        with self.deployment.pairing_mode() as listener:
            self.agent.pair(listener)
        self.assertEqual(self.agent.key.read_text(), key)
        self.assertNotEqual(self.agent.certificate.read_text(), certificate)
        self.assertEqual(sorted(trusted(self.agent)), sorted([self.id, "other"]))
        self.agent.serve()
        self.assertEqual(self.ping_other(), 200)
        self.deployment.dispatcher("ping", self.agent.target)

    def test_a_new_key_when_it_is_asked_for_or_another_kind_is_configured(self):
        for words, settings in ((["--new-key"], ""), ([], "key_type = rsa\n")):
            with self.subTest(words=words, settings=settings), self.deployment.pairing_mode() as listener:
                key = self.agent.key.read_text()
                with self.agent.config.open("a") as config:
                    config.write(settings)
                with self.agent.request_pairing(listener, *words) as asking:
                    self.deployment.dispatcher("approve", self.deployment.wait_request("web-01")["id"], "--replace")
                    self.assertEqual(asking.wait_exit(), 0, asking.describe())
                self.assertNotEqual(self.agent.key.read_text(), key)
                self.agent.command("pairing-status")

    def test_pairing_with_another_ca_replaces_them_all(self):
        self.add_other()
        with Deployment() as stranger, stranger.pairing_mode() as listener:
            with self.agent.request_pairing(listener) as asking:
                stranger.dispatcher("approve", stranger.wait_request("web-01")["id"])
                self.assertEqual(asking.wait_exit(), 0, asking.describe())
        [(name, serials)] = trusted(self.agent).items()
        self.assertNotIn(name, ("other", self.id))
        self.assertEqual(self.agent.serial.read_text(), f"{serials[-1]}\n")

    def test_the_file_of_an_old_installation_is_read_and_taken_over(self):
        (self.agent.directory / "dispatchers.json").unlink()
        self.agent.serve()
        self.deployment.dispatcher("ping", self.agent.target)
        self.agent.daemon.wait_log("^ACTION=ping DISPATCHER=legacy PEER=")
        [row] = listed(self.agent)
        self.assertEqual((row["id"], row["status"], row["paired"]), ("legacy", "current", ""))
        with self.deployment.pairing_mode() as listener:
            self.agent.pair(listener)
        self.assertEqual(list(trusted(self.agent)), [self.id], "it is the same one")

    def test_an_empty_serial_file_trusts_nobody(self):
        self.add_other()
        self.agent.serve()
        for text in ("", None):
            self.agent.serial.unlink() if text is None else self.agent.serial.write_text(text)
            reloads = self.agent.daemon.log.count("ACTION=reload")
            self.agent.daemon.signal(signal.SIGHUP)
            self.agent.daemon.wait_log("^ACTION=reload", reloads + 1)
            self.assertEqual(self.ping_other(), 403)
            self.deployment.dispatcher("ping", self.agent.target, check=1)
            done = self.agent.command("dispatchers")
            self.assertIn(b"is empty or missing, and so nobody is trusted", done.stderr)
            self.assertIn(b"fail", self.agent.command("self-check", check=1).stdout)
        self.agent.daemon.wait_log("^ACTION=config-warn TEXT=.*no dispatcher is trusted")

    def test_a_broken_list_keeps_the_old_state_and_prevents_a_start(self):
        self.agent.serve()
        path = self.agent.directory / "dispatchers.json"
        path.write_text('{"dispatchers":[{"id":')
        self.agent.daemon.signal(signal.SIGHUP)
        self.agent.daemon.wait_log(f"^ACTION=config-warn TEXT=.*{path}: .*; remove it")
        self.deployment.dispatcher("ping", self.agent.target)
        self.assertIn(str(path).encode(), self.agent.command("serve", check=78).stderr)
        path.unlink()
        self.agent.command("self-check")


class Verb(Case):
    def test_lists_them(self):
        self.add_other()
        lines = self.agent.command("dispatchers").stdout.decode().splitlines()
        self.assertEqual(lines[0].split(), ["ID", "SERIAL", "STATUS", "PAIRED", "UNTIL"])
        self.assertEqual([line.split()[:3] for line in lines[2:]],
                         [["other", "abcd", "current"], [self.id, self.agent.serial.read_text().strip(), "current"]])
        (self.agent.directory / "revoked-serials").write_text("0xabcd\n")
        self.assertEqual([row["status"] for row in listed(self.agent)], ["revoked", "current"])

    def test_remove_takes_effect_at_once_and_for_good(self):
        self.add_other()
        self.agent.serve()
        self.assertEqual(self.ping_other(), 200)
        done = self.agent.command("dispatchers", "remove", "other")
        self.assertEqual(done.stdout, b"other is not trusted any more.\nThe agent works with it now.\n")
        self.assertEqual(self.ping_other(), 403)
        self.deployment.dispatcher("ping", self.agent.target)
        self.agent.command("dispatchers", "remove", "other", check=1)
        self.agent.command("dispatchers", "remove", self.id)
        self.deployment.dispatcher("ping", self.agent.target, check=1)
        self.assertEqual((self.agent.serial.read_text(), trusted(self.agent)), ("", {}))

    def test_wrong_use(self):
        for words in (["remove"], ["add", "x"], ["list"]):
            self.agent.command("dispatchers", *words, check=2)
        self.assertEqual(self.agent.command("dispatchers", "remove", "\x1b[31m", check=1).stderr.count(b"\x1b"), 0)


del Case  # it has no tests of its own

if __name__ == "__main__":
    unittest.main()
