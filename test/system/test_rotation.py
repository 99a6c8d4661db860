"""The dispatcher's own certificate: rotated without a refused request, whoever is off, old or killed meanwhile."""

import json
import signal
import subprocess
import threading
import unittest

from deployment import BIN, BUILD, MISSING, REFUSED, Deployment, mode
from processes import poll
from rotation_agents import StandIn, normal

FAULTS = ["rotate-key-staged", "rotate-cert-staged", "rotate-staged", "rotate-announced-one", "rotate-announced",
          "rotate-kept", "rotate-key-switched", "rotate-cert-switched", "rotate-switched", "rotate-settled-one"]
KINDS = {"web-01": "ours", "web-02": "ours", "old-01": "old", "deaf-01": "deaf"}


class Rotation(unittest.TestCase):
    def setUp(self):
        self.deployment = self.enterContext(Deployment(connect_timeout=5))

    def agents(self, kinds):
        return {name: self.enterContext(StandIn(self.deployment, name, kind)) for name, kind in kinds.items()}

    def run_all(self, agents):
        """A run on all of them, which all must obey."""
        done = self.deployment.json("run", *agents, "true")
        self.assertEqual(sorted(result["host"] for result in done["results"]), sorted(agents))
        self.assertEqual({result["exit"] for result in done["results"]}, {0}, done)

    def certificate_in_use(self):
        """Its serial as OpenSSL sees it; nothing while the two files do not belong together."""
        folder = self.deployment.ca
        public = [subprocess.run(["openssl", *words], check=True, capture_output=True, timeout=30).stdout for words in (
            ["pkey", "-in", folder / "ctrl-exec.key", "-pubout"],
            ["x509", "-in", folder / "ctrl-exec.crt", "-noout", "-pubkey"])]
        said = subprocess.run(["openssl", "x509", "-in", folder / "ctrl-exec.crt", "-noout", "-serial"], check=True,
                              capture_output=True, timeout=30).stdout.decode()
        return normal(said.strip().partition("=")[2]) if public[0] == public[1] else None

    def status(self, agents):
        """{name: status} of serial-status, after everything it says was compared with what is so."""
        said = self.deployment.json("serial-status")
        if self.certificate_in_use():
            self.assertEqual(said["current_serial"], self.certificate_in_use())
        newest = said["pending_serial"] or said["current_serial"]
        for each in said["agents"]:
            agent = agents[each["hostname"]]
            with self.subTest(agent=agent.name, status=each["status"]):
                if each["status"] == "current":
                    self.assertIn(newest, agent.trusted)
                if each["status"] in ("pending", "stale"):
                    self.assertIn(each["serial"], agent.trusted)
                self.assertIn(each["status"], ("current", "pending", "stale", "unknown"))
        return {each["hostname"]: each["status"] for each in said["agents"]}

    def test_agents_of_every_kind(self):
        agents = self.agents(KINDS)
        before = self.deployment.json("serial-status")
        self.assertEqual(set(self.status(agents).values()), {"current"})
        self.assertEqual((before["pending_serial"], before["previous_serial"]), ("", ""))
        done = self.deployment.json("rotate-cert")
        self.assertEqual((done["ok"], done["switched"], done["pending_serial"]), (1, True, ""))
        self.assertNotEqual(done["serial"], before["current_serial"])
        after = self.deployment.json("serial-status")
        self.assertEqual(after["previous_serial"], before["current_serial"])
        self.assertEqual(self.status(agents), {"web-01": "current", "web-02": "current", "old-01": "current",
                                               "deaf-01": "pending"})
        self.run_all(agents)
        self.assertEqual((agents["web-01"].refusals, agents["web-02"].refusals), (0, 0))
        self.assertIsNotNone(agents["web-01"].until)
        for name, permissions in (("ctrl-exec.key", "0600"), ("ctrl-exec.crt", "0644")):
            self.assertEqual(mode(self.deployment.ca / name), permissions)
            self.assertEqual(mode(self.deployment.ca / f"{name}.{before['current_serial']}"), permissions)
            self.assertFalse((self.deployment.ca / f"{name}.next").exists())
        state = json.loads((self.deployment.state / "rotation.json").read_text())
        self.assertEqual((state["current_serial"], state["previous_serial"], state["overlap_days"]),
                         (done["serial"], before["current_serial"], 30))

    def test_agents_that_are_off_come_back_by_themselves(self):
        agents = self.agents({**KINDS, "web-03": "ours", "old-02": "old"})
        for gone in (("web-03", "old-02"), ("web-03",)):
            for name in gone:
                agents[name].off = True
            self.deployment.dispatcher("rotate-cert")
            self.assertEqual(self.status(agents)["web-03"], "pending")
            self.run_all([name for name in agents if not agents[name].off])
            agents["old-02"].off = False
        agents["web-03"].off = False
        self.run_all(agents)  # the first contact after two rotations
        self.assertEqual(self.status(agents), {name: "pending" if name == "deaf-01" else "current" for name in agents})

    def test_killed_at_every_step(self):
        agents = self.agents({"web-01": "ours", "web-02": "ours", "old-01": "old"})
        for fault in FAULTS:
            with self.subTest(fault):
                before = self.deployment.json("serial-status")["current_serial"]
                done = self.deployment.dispatcher(
                    "rotate-cert", check=None, environment=self.deployment.environment(CTRL_EXEC_TEST_FAULT=fault))
                self.assertEqual(done.returncode, -signal.SIGKILL)
                self.status(agents)
                self.run_all(agents)  # as it is, before anything has been repaired
                self.status(agents)
                self.deployment.dispatcher("rotate-cert")
                self.run_all(agents)
                self.assertEqual(set(self.status(agents).values()), {"current"})
                self.assertNotEqual(self.certificate_in_use(), before)
                self.assertEqual([path.name for path in self.deployment.ca.iterdir() if ".next" in path.name], [])

    def test_killed_while_a_certificate_retires(self):
        clock = self.deployment.directory / "clock"
        environment = self.deployment.environment(CTRL_EXEC_TEST_CLOCK=str(clock))
        agents = self.agents({"web-01": "ours"})
        old = self.certificate_in_use()
        self.deployment.dispatcher("rotate-cert")
        self.deployment.dispatcher("rotate-cert", "--continue", environment=environment)
        self.assertTrue((self.deployment.ca / f"ctrl-exec.key.{old}").exists())
        clock.write_text(str(31 * 86400))
        killed = self.deployment.dispatcher("rotate-cert", "--continue", check=None,
                                            environment={**environment, "CTRL_EXEC_TEST_FAULT": "rotate-retired"})
        self.assertEqual(killed.returncode, -signal.SIGKILL)
        self.deployment.dispatcher("rotate-cert", "--continue", environment=environment)
        self.assertEqual([path.name for path in self.deployment.ca.iterdir() if old in path.name], [])
        self.assertEqual(self.deployment.json("serial-status")["kept"], [])
        self.run_all(agents)

    def test_a_missed_rotation_is_stale_after_the_overlap_and_still_mends_itself(self):
        clock = self.deployment.directory / "clock"
        environment = self.deployment.environment(CTRL_EXEC_TEST_CLOCK=str(clock))
        agents = self.agents({"web-01": "ours", "web-02": "ours"})
        agents["web-02"].off = True
        self.deployment.dispatcher("rotate-cert")
        clock.write_text(str(31 * 86400))
        self.deployment.dispatcher("rotate-cert", "--continue", environment=environment)
        said = json.loads(self.deployment.dispatcher("--json", "serial-status", environment=environment).stdout)
        self.assertEqual([each["status"] for each in said["agents"]], ["current", "stale"])
        self.assertEqual(agents["web-02"].record()["serial_status"], "stale")
        agents["web-02"].off = False
        self.deployment.dispatcher("rotate-cert", "--continue", environment=environment)
        self.assertEqual(set(self.status(agents).values()), {"current"})
        self.deployment.dispatcher("rotate-cert", "--continue", environment=environment)
        self.assertEqual(self.deployment.json("serial-status")["kept"], [])

    def test_an_agent_that_refuses_holds_the_switch_up(self):
        agents = self.agents({"web-01": "ours", "web-02": "stubborn"})
        before = self.certificate_in_use()
        done = self.deployment.json("rotate-cert", check=1)
        self.assertEqual((done["switched"], done["serial"]), (False, before))
        self.assertEqual([each["hostname"] for each in done["refused"]], ["web-02"])
        self.assertEqual(self.status(agents), {"web-01": "current", "web-02": "pending"})
        pending = self.deployment.json("serial-status")["pending_serial"]
        self.run_all(agents)
        self.assertEqual(self.deployment.json("rotate-cert", check=1)["pending_serial"], pending)  # no third one
        self.assertEqual(self.deployment.json("rotate-cert", "--force")["serial"], pending)
        self.run_all(agents)  # the certificate that it trusts is kept for it
        self.assertEqual(self.status(agents), {"web-01": "current", "web-02": "pending"})
        agents["web-02"].kind = "ours"
        self.run_all(agents)
        self.assertEqual(set(self.status(agents).values()), {"current"})

    def test_an_agent_that_trusts_nobody_is_unknown_and_holds_up_nothing(self):
        agents = self.agents({"web-01": "ours", "web-02": "ours"})
        agents["web-02"].trusted = ["abcd"]
        self.deployment.dispatcher("rotate-cert")
        self.assertEqual(self.status(agents), {"web-01": "current", "web-02": "unknown"})
        done = self.deployment.json("run", "web-02", "true", check=REFUSED)
        self.assertIn("serial mismatch", done["results"][0]["error"])

    def test_several_at_once(self):
        agents = self.agents({"web-01": "ours", "web-02": "ours", "old-01": "old"})
        running = [subprocess.Popen([str(word) for word in self.deployment.argv("rotate-cert")], stdin=subprocess.DEVNULL,
                                    env=self.deployment.environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
                   for _ in range(5)]
        said = [(process.communicate(timeout=60), process.returncode) for process in running]
        self.assertIn(0, [code for _, code in said])
        for (_, errors), code in said:
            if code != 0:
                self.assertIn(b"another process is at work on the certificate now", errors)
        self.run_all(agents)
        self.assertEqual(set(self.status(agents).values()), {"current"})

    def test_no_request_is_refused_while_it_rotates(self):
        agents = self.agents(KINDS)
        with self.deployment.config.open("a") as config:
            config.write("api_port = 0\napi_auth_default = allow\n")
        api = self.deployment.start([BIN / "ctrl-exec-api", "--config", self.deployment.config], "api").wait_listening()
        stop, failed, count = threading.Event(), [], [0, 0]

        def command_line():
            while not stop.is_set():
                done = self.deployment.dispatcher("--json", "run", *agents, "true", check=None)
                count[0] += 1
                if done.returncode != 0 and b'"locked"' not in done.stdout:
                    failed.append(done.stdout + done.stderr)

        def http():
            body = json.dumps({"hosts": list(agents), "script": "true"})
            while not stop.is_set():
                done = subprocess.run(["curl", "-s", "--noproxy", "*", "-d", body, f"http://{api.address}/run"],
                                      capture_output=True, timeout=60, check=False)
                count[1] += 1
                if b'"locked"' not in done.stdout and done.stdout.count(b'"exit":0') != len(agents):
                    failed.append(done.stdout)

        threads = [threading.Thread(target=work) for work in (command_line, http)]
        for thread in threads:
            thread.start()
        try:
            for i in range(3):
                self.deployment.dispatcher("rotate-cert")
                reached = [count[0] + 2, count[1] + 2]
                poll("both have asked again", lambda: failed or (count[0] > reached[0] and count[1] > reached[1]))
            api.wait_log("ACTION=identity-reload")
        finally:
            stop.set()
            for thread in threads:
                thread.join()
        self.assertEqual(failed, [])

    def test_daemons_take_the_new_certificate(self):
        with self.deployment.pairing_mode() as listener:
            self.deployment.dispatcher("rotate-cert")
            listener.wait_log("ACTION=identity-reload")
            said = subprocess.run(f"openssl s_client -connect {listener.address} </dev/null 2>/dev/null | "
                                  "openssl x509 -noout -serial", shell=True, check=True, capture_output=True, timeout=30)
            self.assertEqual(normal(said.stdout.decode().strip().partition("=")[2]), self.certificate_in_use())


class Revocation(unittest.TestCase):
    def setUp(self):
        self.deployment = self.enterContext(Deployment(connect_timeout=5))
        self.agent = self.enterContext(StandIn(self.deployment, "web-01"))
        self.other = self.enterContext(StandIn(self.deployment, "web-02"))

    def test_a_revoked_agent_is_not_talked_to(self):
        self.deployment.dispatcher("ping", "web-01")
        self.assertEqual(self.deployment.json("revoke", "web-01"),
                         {"ok": 1, "serial": self.agent.serial, "changed": True})
        done = self.deployment.dispatcher("run", "web-01", "true", check=MISSING)
        self.assertIn(f"certificate is revoked (serial {self.agent.serial})".encode(), done.stdout + done.stderr)
        self.assertEqual(self.agent.runs, [])
        self.assertFalse(self.deployment.json("revoke", "web-01")["changed"])
        self.deployment.dispatcher("run", "web-02", "true")

    def test_the_api_hears_of_it(self):
        with self.deployment.config.open("a") as config:
            config.write("api_port = 0\napi_auth_default = allow\n")
        api = self.deployment.start([BIN / "ctrl-exec-api", "--config", self.deployment.config], "api").wait_listening()
        self.deployment.dispatcher("revoke", "web-01")
        api.wait_log("ACTION=identity-reload")
        said = subprocess.run(["curl", "-s", "--noproxy", "*", "-d", '{"hosts":["web-01"]}',
                               f"http://{api.address}/ping"], capture_output=True, timeout=60, check=True).stdout
        self.assertIn(b"certificate is revoked", said)

    def test_a_serial_and_push(self):
        serial = "0123456789abcdef0123456789abcdef"
        self.other.kind = "old"
        done = self.deployment.dispatcher("revoke", "--push", serial.upper(), check=1)
        self.assertEqual(self.agent.revoked, [normal(serial)])
        self.assertIn(b"web-02: not told: an old agent", done.stderr)
        self.assertIn(b"Told: web-01", done.stdout)

    def test_what_is_no_serial_is_refused(self):
        for word in ("web-99", "cafe", "", "0x", "12" * 30, "g" * 20):
            with self.subTest(word):
                self.assertIn(b"is no registered agent, and no serial",
                              self.deployment.dispatcher("revoke", word, check=2).stderr)
        self.deployment.dispatcher("revoke", "0x02")
        self.assertIn("0x02  #", (self.deployment.ca / "revoked-serials").read_text())

    def test_own_certificate_is_refused(self):
        own = self.deployment.json("serial-status")["current_serial"]
        self.assertIn(b"rotate it first", self.deployment.dispatcher("revoke", own, check=1).stderr)

    def test_lines_that_are_there_stay(self):
        path = self.deployment.ca / "revoked-serials"
        path.write_text("# ours\nDE:AD:BE:EF")
        path.chmod(0o640)
        self.deployment.dispatcher("revoke", "web-01")
        self.assertTrue(path.read_text().startswith(f"# ours\nDE:AD:BE:EF\n{self.agent.serial}  # web-01, 20"))
        self.assertEqual(mode(path), "0640")

    def test_unpair_revokes(self):
        done = self.deployment.json("unpair", "web-01", "--revoke")
        self.assertEqual(done["revoked"], self.agent.serial)
        self.assertIn(self.agent.serial, (self.deployment.ca / "revoked-serials").read_text())
        self.assertEqual([each["hostname"] for each in self.deployment.json("list-agents")["agents"]], ["web-02"])

    def test_unpair_without_a_known_serial_changes_nothing(self):
        path = self.deployment.state / "agents" / "web-01.json"
        record = json.loads(path.read_text())
        del record["serial"]
        path.write_text(json.dumps(record))
        self.assertIn(b"is not known", self.deployment.dispatcher("unpair", "web-01", "--revoke", check=1).stderr)
        self.assertTrue(path.exists())

    def test_many_at_once_lose_nothing(self):
        serials = [f"{number:032x}" for number in range(0x1000, 0x1014)]
        running = [subprocess.Popen([str(word) for word in self.deployment.argv("revoke", serial)],
                                    env=self.deployment.environment(), stdin=subprocess.DEVNULL,
                                    stdout=subprocess.DEVNULL) for serial in serials]
        self.assertEqual({process.wait(60) for process in running}, {0})
        said = (self.deployment.ca / "revoked-serials").read_text()
        self.assertEqual(sorted(line.split()[0].removeprefix("0x") for line in said.splitlines()),
                         [normal(serial) for serial in serials])


# The clock that can be set ahead and the points to be killed at are in the tests' own build alone.
if BUILD != "debug":
    del Rotation.test_a_missed_rotation_is_stale_after_the_overlap_and_still_mends_itself
    del Rotation.test_killed_at_every_step
    del Rotation.test_killed_while_a_certificate_retires

if __name__ == "__main__":
    unittest.main()
