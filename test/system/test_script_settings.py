"""Settings of a script in scripts.conf: as whom, where and how it runs, and what happens when that cannot be."""

import os
import pwd
import re
import shutil
import subprocess
import unittest

from deployment import Deployment
from first_start import NOBODY

USER = pwd.getpwnam("nobody")
OTHER_GROUP = 1  # daemon's

TELL = """#!/bin/sh
echo "ids $(id -u) $(id -g)"
echo "groups $(id -G)"
grep -E '^(Uid|Gid|NoNewPrivs|CapPrm|CapEff|CapAmb):' /proc/self/status | tr '\\t' ' '
echo "cwd $(pwd)"
echo "umask $(umask)"
echo "nice $(nice)"
env | sort
"""


def fields(output):
    """The first word of each line, and what follows it; `NAME=VALUE` and `NAME: VALUE` too."""
    return dict(re.match(r"(\w+)(?::? |=)?(.*)$", line).groups() for line in output.splitlines())


class Settings(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.deployment = cls.enterClassContext(Deployment())
        cls.agent = cls.deployment.paired_agent("web-01")
        cls.agent.serve()
        # For users that are not root.
        cls.deployment.directory.chmod(0o711)
        cls.agent.directory.chmod(0o711)

    def script(self, settings, text=TELL, permissions=0o755):
        """Makes a script with these settings, and lets the agent know; its name."""
        name = self._testMethodName
        path = self.agent.directory / f"{name}.sh"
        path.write_text(text)
        path.chmod(permissions)
        self.agent.allow(name, f"{path} {settings}")
        self.agent.command("reload")
        return name

    def result(self, name, check=0):
        [result] = self.deployment.json("run", self.agent.target, name, check=check)["results"]
        return result

    def told(self, settings):
        result = self.result(self.script(settings))
        self.assertEqual((result["exit"], result["stderr"]), (0, ""), result)
        return fields(result["stdout"])

    def refused(self, settings, error, reason):
        name = self.script(settings)
        result = self.result(name, check=None)
        self.assertEqual((result["exit"], result["error"]), (-1, error))
        self.agent.daemon.wait_log(rf"^ACTION=deny .*REASON=\"{re.escape(error)} \({reason}\)\".* SCRIPT={name}$")
        [script] = [line for line in self.agent.command("self-check", check=1).stdout.decode().splitlines()
                    if line.startswith(f"script {name} ")]
        self.assertIn("  fail  ", script)
        self.assertIn(error, script)

    def test_none_is_as_ever(self):
        told = self.told("")
        self.assertEqual(told["ids"], "0 0")
        self.assertEqual(told["NoNewPrivs"], "0")
        self.assertEqual((told["cwd"], told["umask"], told["nice"]), ("/", "0022", str(os.nice(0))))
        self.assertEqual(told["HOME"], "/root")
        self.assertNotIn("USER", told)

    def test_user_brings_its_ids_its_groups_and_its_home(self):
        told = self.told("user=nobody")
        uid, gid = USER.pw_uid, USER.pw_gid
        self.assertEqual(told["ids"], f"{uid} {gid}")
        self.assertEqual(told["Uid"], f"{uid} {uid} {uid} {uid}")
        self.assertEqual(told["Gid"], f"{gid} {gid} {gid} {gid}")
        self.assertEqual({int(group) for group in told["groups"].split()}, set(os.getgrouplist("nobody", gid)))
        self.assertEqual((told["HOME"], told["USER"], told["LOGNAME"]), (USER.pw_dir, "nobody", "nobody"))

    def test_user_has_no_capabilities_and_gains_none(self):
        told = self.told("user=nobody")
        self.assertEqual({told["CapPrm"], told["CapEff"], told["CapAmb"]}, {"0000000000000000"})
        self.assertEqual(told["NoNewPrivs"], "1")

    def test_set_user_id_programs_give_nothing(self):
        program = self.agent.directory / "set-user-id"
        shutil.copy("/usr/bin/id", program)
        program.chmod(0o4755)
        told = subprocess.run([*NOBODY, program, "-u"], check=True, capture_output=True, timeout=30).stdout
        self.assertEqual(told, b"0\n", "it does work here, elsewhere")
        result = self.result(self.script("user=nobody", f"#!/bin/sh\n{program} -u\n"))
        self.assertEqual(result["stdout"], f"{USER.pw_uid}\n")

    def test_group_takes_the_place_of_the_primary_one(self):
        told = self.told("user=nobody group=daemon")
        self.assertEqual(told["ids"], f"{USER.pw_uid} {OTHER_GROUP}")
        self.assertEqual(told["groups"], str(OTHER_GROUP))

    def test_group_alone_keeps_the_user(self):
        told = self.told("group=daemon")
        self.assertEqual((told["ids"], told["groups"]), (f"0 {OTHER_GROUP}", str(OTHER_GROUP)))
        self.assertEqual((told["HOME"], told["NoNewPrivs"]), ("/root", "1"))
        self.assertNotIn("USER", told)

    def test_numbers_need_not_be_in_the_files(self):
        told = self.told("user=54321 group=54322")
        self.assertEqual((told["ids"], told["groups"], told["HOME"]), ("54321 54322", "54322", "/"))
        self.assertNotIn("USER", told)

    def test_root_as_user_keeps_its_capabilities(self):
        told = self.told("user=root")
        self.assertEqual((told["ids"], told["USER"], told["NoNewPrivs"]), ("0 0", "root", "1"))
        self.assertNotEqual(told["CapEff"], "0000000000000000")

    def test_directory_umask_priority_and_environment(self):
        told = self.told('cwd=/var/tmp umask=027 nice=10 env=NUMBER:7 env="TEXT:two words, \\"quoted\\"" env=HOME:/h'
                         ' env=PATH:/bin:/usr/bin')
        self.assertEqual((told["cwd"], told["umask"], told["nice"]), ("/var/tmp", "0027", "10"))
        self.assertEqual((told["NUMBER"], told["TEXT"], told["HOME"]), ("7", 'two words, "quoted"', "/h"))
        self.assertEqual(told["PATH"], "/bin:/usr/bin")

    def test_priority_may_be_raised_before_the_user_changes(self):
        told = self.told("user=nobody nice=-5")
        self.assertEqual((told["ids"].split()[0], told["nice"]), (str(USER.pw_uid), "-5"))

    def test_files_belong_to_the_user_with_the_umask(self):
        place = self.agent.directory / "place"
        place.mkdir()
        place.chmod(0o777)
        result = self.result(self.script(f"user=nobody umask=077 cwd={place}", "#!/bin/sh\necho x >made\n"))
        self.assertEqual(result["exit"], 0, result)
        status = (place / "made").stat()
        self.assertEqual((status.st_uid, status.st_mode & 0o777), (USER.pw_uid, 0o600))

    def test_script_that_the_user_may_not_execute_is_told(self):
        name = self.script("user=nobody", permissions=0o700)
        result = self.result(name, check=None)
        self.assertEqual(result["exit"], 127)
        self.assertRegex(result["stderr"], rf"{name}\.sh: not executable for user 'nobody'; check its mode")

    def test_script_that_the_user_may_not_read_is_told_by_its_interpreter(self):
        result = self.result(self.script("user=nobody", permissions=0o711), check=None)
        self.assertNotEqual(result["exit"], 0)
        self.assertRegex(result["stderr"], r"Permission denied")

    def test_directory_that_the_user_may_not_enter_is_told(self):
        place = self.agent.directory / "closed"
        place.mkdir(mode=0o700)
        result = self.result(self.script(f"user=nobody cwd={place}"), check=None)
        self.assertEqual(result["exit"], 127)
        self.assertRegex(result["stderr"], rf"^{place}: cannot be the working directory of .* for user 'nobody'")

    def test_unknown_user_is_refused_and_nothing_starts(self):
        self.refused("user=no-such-user", "the user 'no-such-user' of this script does not exist on the agent's host",
                     "not in /etc/passwd; create it, or correct user= in scripts.conf")

    def test_unknown_group_is_refused_and_nothing_starts(self):
        self.refused("group=no-such-group",
                     "the group 'no-such-group' of this script does not exist on the agent's host",
                     "not in /etc/group; create it, or correct group= in scripts.conf")

    def test_self_check_tells_what_cannot_run(self):
        good, bad = self.script("user=nobody"), f"{self._testMethodName}-bad"
        self.agent.allow(bad, "/bin/true user=no-such-user")
        self.agent.command("reload")
        told = {line.split()[1]: line.split()[2]
                for line in self.agent.command("self-check", check=1).stdout.decode().splitlines()
                if line.startswith("script ")}
        self.assertEqual((told[good], told[bad]), ("ok", "fail"))

    def test_line_with_an_unknown_setting_is_skipped_and_told(self):
        name = self.script("usr=nobody")
        line = len(self.agent.allowlist.read_text().splitlines())
        self.agent.daemon.wait_log(
            rf"^ACTION=config-warn TEXT=\"{self.agent.allowlist}:{line}: {name}: unknown setting 'usr'; did you mean "
            r"'user'\?; the line is skipped\"$")
        result = self.result(name, check=None)
        self.assertEqual((result["exit"], result["error"]), (-1, "script not permitted"))

    def test_wrong_settings_do_not_leave_the_earlier_line_in_force(self):
        name = self.script("")
        self.assertEqual(self.result(name)["exit"], 0)
        self.script("user=nobody:nogroup")
        self.assertEqual(self.result(name, check=None)["error"], "script not permitted")

    def test_allow_takes_settings_and_keeps_them(self):
        path = self.agent.directory / "allowed.sh"
        path.write_text(TELL)
        path.chmod(0o755)
        self.agent.command("allow", "allowed", path, "user=nobody", "env=TEXT:two words")
        self.assertEqual(fields(self.result("allowed")["stdout"])["TEXT"], "two words")
        moved = path.rename(self.agent.directory / "moved script.sh")
        self.agent.command("allow", "allowed", moved)
        told = fields(self.result("allowed")["stdout"])
        self.assertEqual((told["USER"], told["TEXT"]), ("nobody", "two words"))
        self.assertIn(f'allowed = {moved} user=nobody env="TEXT:two words"\n', self.agent.allowlist.read_text())


class OrdinaryUser(unittest.TestCase):
    """An agent that is not root."""

    def setUp(self):
        self.deployment = self.enterContext(Deployment())
        self.agent = self.deployment.paired_agent("web-01")
        self.agent.script("tell", TELL)
        path = self.agent.directory / "tell.sh"
        for name, settings in (("root", "user=root"), ("own", "user=nobody"), ("group", "group=daemon"),
                               ("high", "nice=-5")):
            self.agent.allow(name, f"{path} {settings}")
        self.deployment.directory.chmod(0o711)
        for place in (self.agent.directory, *self.agent.directory.iterdir()):
            os.chown(place, USER.pw_uid, USER.pw_gid)
        self.agent.daemon = self.deployment.start([*NOBODY, *self.agent.argv("serve")], "serve").wait_listening()

    def result(self, name, check=0):
        [result] = self.deployment.json("run", self.agent.daemon.address, name, check=check)["results"]
        return result

    def test_may_run_scripts_as_itself_alone(self):
        self.assertEqual(self.result("tell")["exit"], 0)
        told = fields(self.result("own")["stdout"])
        self.assertEqual((told["ids"], told["NoNewPrivs"]), (f"{USER.pw_uid} {USER.pw_gid}", "1"))
        for name, kind, wanted in (("root", "user", "root"), ("group", "group", "daemon")):
            result = self.result(name, check=None)
            self.assertEqual((result["exit"], result["error"]),
                             (-1, f"the agent may not switch to the {kind} '{wanted}' of this script"))
        self.agent.daemon.wait_log(r"^ACTION=deny .*without CAP_SETUID and CAP_SETGID; start it as root, or as that "
                                   r"user, or take user= and group= off in scripts.conf\)\"", 2)

    def test_with_the_capabilities_to_switch_it_may_and_hands_none_of_them_on(self):
        self.agent.daemon.stop()
        self.agent.allow("other", f"{self.agent.directory / 'tell.sh'} user=daemon")
        capabilities = ["--inh-caps=+setuid,+setgid", "--ambient-caps=+setuid,+setgid"]
        self.agent.daemon = self.deployment.start([*NOBODY, *capabilities, *self.agent.argv("serve")],
                                                  "serve-again").wait_listening()
        told = fields(self.result("other")["stdout"])
        daemon = pwd.getpwnam("daemon")
        self.assertEqual(told["ids"], f"{daemon.pw_uid} {daemon.pw_gid}")
        self.assertEqual({told["CapPrm"], told["CapEff"], told["CapAmb"]}, {"0000000000000000"})

    def test_may_not_raise_the_priority(self):
        result = self.result("high", check=None)
        self.assertEqual(result["exit"], 127)
        self.assertIn("its priority cannot be set to -5", result["stderr"])


if __name__ == "__main__":
    unittest.main()
