"""Files of a real 0.8.4 deployment work in place: X.509 v1 certificates, RSA-4096, its registry, its configuration."""

import json
import pathlib
import shutil
import subprocess
import unittest

from deployment import Deployment
from wire import TlsClient, request

OLD = pathlib.Path(__file__).resolve().parent.parent / "data" / "old"


def openssl(*words):
    return subprocess.run(["openssl", *[str(word) for word in words]], check=True, capture_output=True,
                          timeout=30).stdout.decode()


class OldDeployment(unittest.TestCase):
    def setUp(self):
        # The old configuration with other paths, and nothing of ours but where state goes and what is listened on.
        self.deployment = self.enterContext(Deployment(set_up=False))
        ca, agents = self.deployment.ca, self.deployment.state / "agents"
        agents.mkdir(parents=True)
        for name, permissions in (("ca.key", 0o600), ("ca.crt", 0o644), ("ca.serial", 0o600), ("ctrl-exec.crt", 0o644),
                                  ("ctrl-exec.key", 0o600)):
            self.copy(name, ca / name, permissions)
        self.copy("agent1.json", agents / "agent1.json", 0o644)
        text = (OLD / "ctrl-exec.conf").read_text().replace("/etc/ctrl-exec/", f"{ca}/")
        self.deployment.config.write_text(
            text + f"state_dir = {self.deployment.state}\npairing_bind = 127.0.0.1\npairing_port = 0\n")

        self.agent = self.deployment.agent("agent1")
        for name, permissions in (("agent.key", 0o640), ("agent.crt", 0o640), ("ca.crt", 0o644),
                                  ("ctrl-exec-serial", 0o644)):
            self.copy(name, self.agent.directory / name, permissions)
        script = self.agent.script("true", "#!/bin/sh\n")
        text = (OLD / "agent.conf").read_text().replace("/etc/ctrl-exec-agent/", f"{self.agent.directory}/")
        self.agent.config.write_text(f"hostname = agent1\nconfig_dir = {self.agent.directory}\nbind = 127.0.0.1\n"
                                     + text.replace("port = 7443", "port = 0"))
        text = (OLD / "scripts.conf").read_text().replace("/opt/ctrl-exec-scripts/true.sh", str(script))
        self.agent.allowlist.write_text(text)

    def copy(self, name, path, permissions):
        shutil.copy(OLD / name, path)
        path.chmod(permissions)

    def test_the_data_is_what_this_is_about(self):
        for name in ("agent.crt", "ctrl-exec.crt"):
            text = openssl("x509", "-in", OLD / name, "-noout", "-text")
            self.assertIn("Version: 1 (0x0)", text)
            self.assertIn("Public-Key: (4096 bit)", text)

    def test_registry_is_listed(self):
        record = json.loads((OLD / "agent1.json").read_text())
        [listed] = self.deployment.json("list-agents")["agents"]
        self.assertEqual(listed, {**record, "days_left": listed["days_left"], "trust": "legacy"})
        row = self.deployment.dispatcher("list-agents").stdout.decode().splitlines()[2]
        self.assertEqual(row.split(), ["agent1", record["ip"], record["paired"], *record["expiry"].split(),
                                       str(listed["days_left"]), "legacy"])

    def test_stored_run_is_shown(self):
        runs = self.deployment.state / "runs"
        runs.mkdir()
        self.copy("run-cd7c044574ba9441.json", runs / "cd7c044574ba9441.json", 0o640)
        record = json.loads((OLD / "run-cd7c044574ba9441.json").read_text())
        self.assertEqual(self.deployment.json("run-status", "cd7c044574ba9441"), {"ok": 1, "status": "done", "pending": [], **record})
        shown = self.deployment.dispatcher("run-status", "cd7c044574ba9441").stdout
        self.assertEqual(shown, b"==> agent1  [OK  exit:0  205ms  req:cd7c044574ba9441]\n")

    def test_agent_is_paired(self):
        expiry = json.loads((OLD / "agent1.json").read_text())["expiry"]
        status = self.agent.command("pairing-status").stdout.decode()
        self.assertEqual(status, f"Paired. Certificate expires: {expiry}\n")

    def test_old_certificates_on_both_sides(self):
        self.agent.serve()
        [result] = self.deployment.json("ping", self.agent.target)["results"]
        self.assertEqual((result["status"], result["reported_hostname"]), ("ok", "agent1"))
        [result] = self.deployment.json("run", self.agent.target, "true")["results"]
        self.assertEqual(result["exit"], 0)
        identity = (self.deployment.ca / "ctrl-exec.crt", self.deployment.ca / "ctrl-exec.key")
        with TlsClient(self.agent.address, self.agent.ca, identity) as client:
            client.send(request("GET", "/capabilities"))
            self.assertEqual(client.only_answer().json["tags"], {"env": "production"})

    def test_old_agents_certificate_is_no_dispatchers(self):
        self.agent.serve()
        with TlsClient(self.agent.address, self.agent.ca, (self.agent.certificate, self.agent.key)) as client:
            client.send(request("POST", "/run", {"script": "true", "args": [], "reqid": "r"}))
            self.assertEqual(client.only_answer().status, 403)

    def test_old_pairing_request_is_taken_and_shows_its_code(self):
        old = json.loads((OLD / "pairing-request.json").read_text())
        with self.deployment.pairing_mode() as listener, TlsClient(listener.address) as client:
            client.send(request("POST", "/pair", {key: old[key] for key in ("csr", "hostname", "nonce")},
                                "Content-Type: application/json", version="1.0"))
            request_id = client.read_answer().json["reqid"]
            [queued] = self.deployment.requests()
            self.assertEqual((queued["hostname"], queued["code"]), ("agent1", "056284"))
            self.deployment.dispatcher("approve", request_id, "--replace")
            answer = client.only_answer().json
        self.assertEqual((answer["status"], answer["nonce"], answer["dispatcher_serial"]),
                         ("approved", old["nonce"], "02"))
        self.assertEqual(answer["ca"], (OLD / "ca.crt").read_text())
        certificate = self.deployment.directory / "new.crt"
        certificate.write_text(answer["cert"])
        openssl("verify", "-CAfile", OLD / "ca.crt", certificate)

    def test_approval_with_the_old_ca_raises_its_serial(self):
        agent = self.deployment.paired_agent("agent2")
        before, after = (int(path.read_text(), 16) for path in (OLD / "ca.serial", self.deployment.ca / "ca.serial"))
        self.assertGreater(after, before)
        serial = openssl("x509", "-in", agent.certificate, "-noout", "-serial").strip().partition("=")[2]
        self.assertEqual(int(serial, 16), after)
        self.assertEqual(agent.serial.read_text().strip(), "02")
        agent.script("true", "#!/bin/sh\n")
        agent.serve()
        [result] = self.deployment.json("run", agent.target, "true")["results"]
        self.assertEqual(result["exit"], 0)
        names = [record["hostname"] for record in self.deployment.json("list-agents")["agents"]]
        self.assertEqual(names, ["agent1", "agent2"])

    def test_unpair_removes_the_old_record(self):
        self.deployment.dispatcher("unpair", "agent1")
        self.assertEqual(self.deployment.json("list-agents")["agents"], [])

    def test_old_files_stay_as_they_are(self):
        self.agent.serve()
        self.deployment.json("ping", self.agent.target)
        self.deployment.dispatcher("list-agents")
        for name in ("ca.key", "ca.crt", "ca.serial", "ctrl-exec.key", "ctrl-exec.crt"):
            self.assertEqual((self.deployment.ca / name).read_bytes(), (OLD / name).read_bytes())
        for name in ("agent.key", "agent.crt", "ctrl-exec-serial"):
            self.assertEqual((self.agent.directory / name).read_bytes(), (OLD / name).read_bytes())


if __name__ == "__main__":
    unittest.main()
