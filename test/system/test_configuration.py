"""Keys of the configuration files at work, as far as no other file is about them, and the forms of a revoked serial."""

import json
import pathlib
import signal
import unittest

from deployment import TIMED_OUT, Deployment, write_settings
from old_peers import OldDispatcher, OldVolumes


class Lines(unittest.TestCase):
    def test_comments_stand_on_their_own_line_and_blanks_do_not_matter(self):
        deployment = self.enterContext(Deployment(set_up=False))
        folder = deployment.directory / "a # b"
        folder.mkdir()
        deployment.config.write_text(f"# state_dir = /nonexistent\n\n  # port = nonsense\n\tstate_dir={folder}  \r\n"
                                     "cert = c\nkey=k\nca   =   ca\n")
        (folder / "agents").mkdir()
        (folder / "agents" / "web-01.json").write_text(json.dumps({"hostname": "web-01"}))
        done = deployment.dispatcher("list-agents", "--json")
        self.assertEqual([agent["hostname"] for agent in json.loads(done.stdout)["agents"]], ["web-01"])
        self.assertEqual(done.stderr, b"", "a number sign within a value is part of it")

    def test_keys_that_a_command_does_not_use_draw_no_warning(self):
        deployment = self.enterContext(Deployment(
            set_up=False, api_port=7445, api_bind="127.0.0.1", api_cert="/nonexistent", api_key="/nonexistent",
            api_auth_default="deny", cert_renewal_days=90, cert_overlap_days=30, cert_check_interval=14400))
        self.assertEqual(deployment.dispatcher("list-agents").stderr, b"")


class Dispatcher(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.deployment = cls.enterClassContext(Deployment())
        cls.agent = cls.deployment.paired_agent("web-01")
        cls.agent.script("takes-two-seconds", "#!/bin/sh\nsleep 2\n")
        cls.agent.serve()

    def run_with(self, check, **settings):
        config = self.deployment.directory / "other.conf"
        write_settings(config, {**self.deployment.settings, **settings})
        answer = self.deployment.json("--config", config, "run", self.agent.target, "takes-two-seconds", check=check)
        return answer["results"][0]

    def test_read_timeout_limits_the_wait_and_timeout_is_its_old_name(self):
        for settings in ({"read_timeout": 1}, {"timeout": 1}, {"read_timeout": 1, "timeout": 60}):
            with self.subTest(settings):
                self.assertRegex(self.run_with(TIMED_OUT, **settings)["error"],
                                 "no result from .* within 1 s; the script goes on there")
        self.assertEqual(self.run_with(0, read_timeout=60, timeout=1)["exit"], 0)


class Agent(unittest.TestCase):
    def setUp(self):
        self.deployment = self.enterContext(Deployment())

    def test_script_dirs_are_where_scripts_must_lie(self):
        first, second, elsewhere = (self.deployment.directory / name for name in ("first", "second", "elsewhere"))
        agent = self.deployment.paired_agent("web-01", script_dirs=f"{first}:{second}")
        for folder in (first, second, elsewhere, second / "below"):
            folder.mkdir()
            script = folder / "script"
            script.write_text("#!/bin/sh\n")
            script.chmod(0o755)
            agent.allow(folder.name, script)
        (first / "link").symlink_to(elsewhere / "script")
        agent.allow("link", first / "link")
        agent.allow("dots", f"{first}/../elsewhere/script")
        agent.serve()
        for name, allowed in (("first", True), ("second", True), ("below", True), ("elsewhere", False), ("link", False),
                              ("dots", False)):
            with self.subTest(name):
                [result] = self.deployment.json("run", agent.target, name, check=None)["results"]
                if allowed:
                    self.assertEqual(result["exit"], 0)
                else:
                    self.assertEqual((result["exit"], result["error"]), (-1, "script not permitted"))

    def test_dispatcher_serial_path_is_where_the_trusted_serial_is(self):
        path = self.deployment.directory / "trusted"
        agent = self.deployment.paired_agent("web-01", dispatcher_serial_path=path)
        self.assertFalse(agent.serial.exists())
        self.assertRegex(path.read_text(), "^[0-9a-f]{32}\n$")
        agent.serve()
        self.deployment.dispatcher("ping", agent.target)
        path.write_text("02\n")
        agent.daemon.signal(signal.SIGHUP)
        agent.daemon.wait_log("^ACTION=reload")
        [result] = self.deployment.json("ping", agent.target, check=1)["results"]
        self.assertEqual(result["error"], "forbidden: serial mismatch")

    def test_bad_line_of_the_allowlist_is_skipped_with_a_warning(self):
        agent = self.deployment.paired_agent("web-01")
        bad = ("no equals sign", "= /bin/true", "two words = /bin/true", "../name = /bin/true", "dot.ted = /bin/true",
               "ünï = /bin/true", "relative = true", "empty =")
        agent.allowlist.write_text("# comment\nfirst = /bin/true\n" + "".join(f"{line}\n" for line in bad)
                                   + "A-z_09 = /bin/true\n")
        agent.serve()
        for number in range(3, 3 + len(bad)):
            agent.daemon.wait_log(rf"^ACTION=config-warn TEXT=\"{agent.allowlist}:{number}: ")
        self.assertEqual(agent.daemon.log.count("ACTION=config-warn"), len(bad))
        for name in ("first", "A-z_09"):
            self.deployment.dispatcher("run", agent.target, name)


class RevokedSerials(unittest.TestCase):
    """Two certificates of other dispatchers: the agent trusts neither, but says which one is revoked."""

    @classmethod
    def setUpClass(cls):
        cls.deployment = cls.enterClassContext(OldVolumes())
        cls.agent = cls.deployment.paired_agent("web-01", rate_limit_disable="yes")
        cls.path = pathlib.Path(cls.agent.directory / "revoked-serials")
        cls.callers = {serial: OldDispatcher(cls.deployment.identity(f"caller-{serial}", "ecdsa", serial))
                       for serial in ("10", "ffee")}
        cls.agent.serve()

    def revoked(self, text):
        """The serials that this file revokes."""
        self.path.write_bytes(text)
        count = self.agent.daemon.log.count("ACTION=reload")
        self.agent.daemon.signal(signal.SIGHUP)
        self.agent.daemon.wait_log("^ACTION=reload", count + 1)
        errors = {serial: caller.call(self.agent.address, "POST", "/ping", b"{}").json["error"]
                  for serial, caller in self.callers.items()}
        self.assertLessEqual(set(errors.values()), {"certificate revoked", "serial mismatch"})
        return {serial for serial, error in errors.items() if error == "certificate revoked"}

    def test_every_form(self):
        for text, serials in ((b"ffee", {"ffee"}), (b"FFEE\n", {"ffee"}), (b"00ffee\n", {"ffee"}),
                              (b"FF:EE\n", {"ffee"}), (b"00:ff:ee\r\n", {"ffee"}), (b"0xFFEE\n", {"ffee"}),
                              (b"0x00ffee\n", {"ffee"}), (b"serial=FFEE\n", {"ffee"}), (b"65518\n", {"ffee"}),
                              (b"  ffee  # stolen\n", {"ffee"}), (b"# ffee\n", set()), (b"", set()), (b"\n\n", set()),
                              (b"# list\nabcd\n\n0x10\nserial=ffee\n", {"10", "ffee"}), (b"fee\n", set())):
            with self.subTest(text):
                self.assertEqual(self.revoked(text), serials)

    def test_line_that_could_be_hexadecimal_or_decimal_revokes_both(self):
        for text, serials in ((b"10\n", {"10"}), (b"16\n", {"10"}), (b"serial=16\n", {"10"}), (b"0x16\n", set()),
                              (b"00:16\n", set()), (b"0x10\n", {"10"})):
            with self.subTest(text):
                self.assertEqual(self.revoked(text), serials)

    def test_line_that_is_none_is_reported_and_the_others_count(self):
        self.assertEqual(self.revoked(b"10\nno serial\nffee\n"), {"10", "ffee"})
        self.agent.daemon.wait_log(rf"^ACTION=config-warn TEXT=\"{self.path}:2: 'no serial' is no certificate serial")


if __name__ == "__main__":
    unittest.main()
