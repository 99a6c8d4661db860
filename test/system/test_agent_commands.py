"""The agent's commands, one by one: self-check, self-ping, another allowlist, another pairing port."""

import random
import re
import unittest

from deployment import TIME, Deployment


class Case(unittest.TestCase):
    def setUp(self):
        self.deployment = self.enterContext(Deployment())
        # An address of its own, since self-ping must be told the port: whether one is free cannot be known before.
        address = ".".join(str(random.randint(1, 254)) for _ in range(3))
        self.agent = self.deployment.paired_agent("web-01", bind=f"127.{address}", port=7443)


class SelfCheck(Case):
    def setUp(self):
        super().setUp()
        self.script = self.agent.script("deploy", "#!/bin/sh\n")

    def check(self, check):
        """{what was looked at: (status, detail)}"""
        titles, rule, *rows = self.agent.command("self-check", check=check).stdout.decode().splitlines()
        self.assertEqual(titles.split(), ["CHECK", "STATUS", "DETAIL"])
        self.assertRegex(rule, "^-+$")
        return {match[1]: (match[2], match[3]) for match in
                (re.fullmatch(r"(.+?) {2,}(ok|warn|fail) {2,}(.+)", row) for row in rows)}

    def test_whole_agent(self):
        found = self.check(0)
        self.assertEqual(found["configuration"], ("ok", str(self.agent.config)))
        self.assertEqual(found["allowlist"], ("ok", f"{self.agent.allowlist}, 1 script"))
        self.assertEqual(found["script deploy"], ("ok", str(self.script)))
        self.assertRegex(found["certificate"][1], rf"^{self.agent.certificate}, expires {TIME}$")
        self.assertEqual(found["dispatcher"], ("ok", f"serial {self.agent.serial.read_text().strip()}"))
        self.assertEqual({status for status, _ in found.values()}, {"ok"})

    def test_names_what_is_wrong_and_goes_on(self):
        self.script.chmod(0o644)
        self.agent.allow("bad name", "/bin/true")
        self.agent.certificate.write_text("nonsense")
        self.agent.serial.unlink()
        found = self.check(1)
        for what, detail in (("certificate", self.agent.certificate), ("dispatcher", self.agent.serial),
                             ("allowlist", f"{self.agent.allowlist}:2: "), ("script deploy", f"{self.script} is not")):
            self.assertEqual(found[what][0], "fail", what)
            self.assertIn(str(detail), found[what][1])

    def test_configuration_that_cannot_be_read(self):
        with self.agent.config.open("a") as config:
            config.write("nonsense\n")
        self.assertRegex(self.check(78)["configuration"][1], rf"^{self.agent.config}:\d+: ")


class SelfPing(Case):
    def test_being_told_that_the_serial_is_no_dispatchers_is_health(self):
        self.agent.serve()
        done = self.agent.command("self-ping")
        self.assertEqual(done.stdout.decode(), f"Healthy: {self.agent.address} answers\n")
        serial = self.deployment.execute(["openssl", "x509", "-in", self.agent.certificate, "-noout", "-serial"]).stdout
        own = serial.decode().strip().removeprefix("serial=").lower()
        self.agent.daemon.wait_log(rf"ACTION=serial-reject PEER=127\.0\.0\.1 SERIAL={own}$")

    def test_an_agent_that_does_not_serve_is_not_healthy(self):
        done = self.agent.command("self-ping", check=1)
        self.assertRegex(done.stdout.decode(), r"^Not healthy\. Reason: .*refused.*\n$")

    def test_another_refusal_is_not_health(self):
        self.agent.serve()
        serial = self.deployment.execute(["openssl", "x509", "-in", self.agent.certificate, "-noout", "-serial"]).stdout
        (self.agent.directory / "revoked-serials").write_bytes(serial)
        self.agent.daemon.stop()
        self.agent.serve()
        done = self.agent.command("self-ping", check=1)
        self.assertRegex(done.stdout.decode(), r"^Not healthy\. Reason: .*certificate revoked.*\n$")


class Options(Case):
    def test_allowlist_is_another_file(self):
        self.agent.script("usual", "#!/bin/sh\n")
        other = self.agent.directory / "other.conf"
        other.write_text("unusual = /bin/true\n")
        daemon = self.deployment.start(self.agent.argv("serve", "--allowlist", other), "serve").wait_listening()
        for script, expected in (("unusual", 0), ("usual", -1)):
            [result] = self.deployment.json("run", daemon.address, script, check=None)["results"]
            self.assertEqual(result["exit"], expected)
        done = self.agent.command("self-check", "--allowlist", other).stdout.decode()
        self.assertRegex(done, r"(?m)^script unusual +ok +/bin/true$")

    def test_configuration_may_stand_anywhere(self):
        program = self.agent.argv()[0]
        config = self.agent.config
        for words in (("--config", config, "pairing-status"), ("pairing-status", "--config", config),
                      ("pairing-status", f"--config={config}")):
            done = self.deployment.execute([program, *words])
            self.assertTrue(done.stdout.startswith(b"Paired. "), done.stdout)


class PairingPort(unittest.TestCase):
    def test_is_an_option_or_part_of_the_dispatcher(self):
        deployment = self.enterContext(Deployment())
        with deployment.pairing_mode() as listener:
            for number, words in enumerate((("127.0.0.1", "--port", listener.port), (f"127.0.0.1:{listener.port}",))):
                agent = deployment.agent(f"web-{number}")
                asking = deployment.start(agent.argv("request-pairing", "--dispatcher", *words), "request")
                deployment.dispatcher("approve", deployment.wait_request(agent.name)["id"])
                self.assertEqual(asking.wait_exit(), 0, asking.describe())


del Case  # it has no tests of its own

if __name__ == "__main__":
    unittest.main()
