"""reload, allow and disallow: commands that reach the agent that serves here, and tell how it went."""

import hashlib
import os
import socket
import subprocess
import sys
import unittest

from deployment import BIN, REFUSED, Deployment


def control_name(agent):
    """The abstract socket's name, without its leading NUL."""
    return "ctrl-exec-agent/" + hashlib.sha256(os.fsencode(os.path.realpath(agent.config))).hexdigest()


class Control(unittest.TestCase):
    def setUp(self):
        self.deployment = self.enterContext(Deployment())
        self.agent = self.deployment.paired_agent("web-01")
        self.script = self.agent.directory / "check-disk.sh"
        self.script.write_text("#!/bin/sh\necho 42 % used\n")
        self.script.chmod(0o755)

    def run_script(self, check=0):
        return self.deployment.json("run", self.agent.target, "check-disk", check=check)["results"][0]

    def test_allow_works_at_once_and_disallow_takes_it_back(self):
        self.agent.allowlist.write_text("# my scripts\n")
        self.agent.serve()
        self.assertEqual(self.run_script(check=REFUSED)["error"], "script not permitted")
        done = self.agent.command("allow", "check-disk", self.script)
        self.assertEqual(done.stdout.decode(),
                         f"check-disk = {self.script} is allowed: {self.agent.allowlist}\nThe agent works with it now.\n")
        self.assertEqual(self.run_script()["stdout"], "42 % used\n")
        self.assertEqual(self.agent.allowlist.read_text(), f"# my scripts\ncheck-disk = {self.script}\n")
        self.assertIn(b"was allowed already", self.agent.command("allow", "check-disk", self.script).stdout)
        self.agent.command("disallow", "check-disk")
        self.assertEqual(self.run_script(check=REFUSED)["error"], "script not permitted")
        self.assertEqual(self.agent.allowlist.read_text(), "# my scripts\n")
        again = self.agent.command("disallow", "check-disk", check=1)
        self.assertIn(b"no script 'check-disk'", again.stderr)

    def test_without_an_agent_the_file_is_changed_for_the_next_start(self):
        done = self.agent.command("allow", "check-disk", self.script)
        self.assertIn(b"No agent serves here now", done.stdout)
        self.agent.serve()
        self.run_script()

    def test_what_could_not_run_is_not_allowed(self):
        plain = self.agent.directory / "plain.txt"
        plain.write_text("no program\n")
        for name, path, why in (("x", plain, b"not executable"), ("x", self.agent.directory / "missing", b"No such"),
                                ("x", self.agent.directory, b"not a regular file"), ("a b", self.script, b"script name"),
                                ("x", "relative.sh", b"must be absolute")):
            with self.subTest(str(path)):
                before = self.agent.allowlist.read_text()
                refused = self.agent.command("allow", name, path, check=None)
                self.assertNotEqual(refused.returncode, 0)
                self.assertIn(why, refused.stderr)
                self.assertEqual(self.agent.allowlist.read_text(), before)

    def test_a_script_outside_script_dirs_is_not_allowed(self):
        with self.agent.config.open("a") as config:
            config.write("script_dirs = /opt/ctrl-exec-scripts\n")
        refused = self.agent.command("allow", "check-disk", self.script, check=1)
        self.assertIn(b"not permitted", refused.stderr)

    def test_reload_tells_what_is_wrong_and_the_old_state_stays(self):
        self.agent.allow("check-disk", self.script)
        self.agent.serve()
        self.assertEqual(self.agent.command("reload").stdout, b"Reloaded.\n")
        whole = self.agent.config.read_text()
        self.agent.config.write_text(f"{whole}stdin_timeout = soon\n")
        refused = self.agent.command("reload", check=78)
        self.assertRegex(refused.stderr.decode(), rf"{self.agent.config}:\d+: stdin_timeout must be a number")
        self.agent.config.write_text(whole)
        self.agent.serial.write_text("no hex\n")  # only the agent itself looks at it
        self.assertIn(os.fsencode(self.agent.serial), self.agent.command("reload", check=78).stderr)
        self.agent.daemon.wait_log("ACTION=config-warn TEXT=\"reload failed")
        self.assertEqual(self.run_script()["exit"], 0)

    def test_reload_without_an_agent(self):
        refused = self.agent.command("reload", check=1)
        self.assertIn(b"no agent serves here with " + os.fsencode(self.agent.config), refused.stderr)

    def test_another_agent_on_this_machine_is_not_reached(self):
        self.agent.serve()
        other = self.deployment.agent("web-02")
        self.assertIn(b"no agent serves here", other.command("reload", check=1).stderr)

    def test_a_second_agent_with_the_same_configuration_serves_without_control(self):
        self.agent.serve()
        with self.deployment.start(self.agent.argv("serve"), "second").wait_listening() as second:
            second.wait_log("ACTION=config-warn TEXT=\"no control socket")
        self.agent.command("reload")

    def test_other_users_are_not_answered(self):
        self.agent.serve()
        ask = ("import os, socket, sys; os.setuid(65534); s = socket.socket(socket.AF_UNIX);"
               " s.connect('\\0' + sys.argv[1])\n"
               "try: s.sendall(b'reload\\n'); print(s.recv(100))\n"
               "except OSError: print(b'')")
        asked = subprocess.run([sys.executable, "-c", ask, control_name(self.agent)], capture_output=True, check=True, timeout=30)
        self.assertEqual(asked.stdout, b"b''\n")
        self.assertNotIn("ACTION=reload", self.agent.daemon.log)

    def test_another_user_who_answers_in_the_agents_place_is_not_believed(self):
        self.agent.serve()
        self.agent.daemon.stop()
        lie = ("import os, socket, sys; os.setuid(65534); s = socket.socket(socket.AF_UNIX);"
               " s.bind('\\0' + sys.argv[1]); s.listen(); print('there', flush=True);"
               " c = s.accept()[0]; c.sendall(b'ok\\n'); c.recv(100)")
        with subprocess.Popen([sys.executable, "-c", lie, control_name(self.agent)], stdout=subprocess.PIPE,
                              stderr=subprocess.DEVNULL) as liar:
            try:
                self.assertEqual(liar.stdout.readline(), b"there\n")
                refused = self.agent.command("reload", check=1)
                self.assertIn(b"another user's process answers", refused.stderr)
            finally:
                liar.kill()

    def test_silent_and_broken_callers_do_not_stop_the_next_one(self):
        self.agent.serve()
        name = "\0" + control_name(self.agent)
        for words in (b"", b"x" * 10000, b"nonsense\n", b"\n\n\n"):
            with socket.socket(socket.AF_UNIX) as caller:
                caller.connect(name)
                try:
                    caller.sendall(words)
                except BrokenPipeError:
                    pass
        with socket.socket(socket.AF_UNIX) as silent:
            silent.connect(name)
            self.agent.command("reload")  # waits until the silent one has had its time

    def test_links_to_the_configuration_name_the_same_agent(self):
        self.agent.serve()
        link = self.deployment.directory / "link.conf"
        link.symlink_to(self.agent.config)
        self.deployment.execute([BIN / "ctrl-exec-agent", "--config", link, "reload"])


if __name__ == "__main__":
    unittest.main()
