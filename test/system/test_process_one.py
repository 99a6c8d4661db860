"""As process 1 of a PID namespace, as in a container: orphans are reaped, signals reach the command, exit codes come out,
and the log goes to stderr."""

import os
import re
import signal
import subprocess
import unittest

from deployment import BIN, Deployment
from processes import as_process_one, children_of, poll, state_of


class ProcessOne(unittest.TestCase):
    def setUp(self):
        self.deployment = self.enterContext(Deployment())
        self.agent = self.deployment.paired_agent("web-01")

    def serve(self):
        """The agent as process 1; self.init is that process as this namespace sees it."""
        self.daemon = self.deployment.start(as_process_one(self.agent.argv("serve")), "serve").wait_listening()
        self.init = children_of(self.daemon.pid)[0]

    def run_script(self, name):
        return self.deployment.json("run", self.daemon.address, name, check=None)["results"][0]

    def end(self, number=signal.SIGTERM):
        os.kill(self.init, number)
        return self.daemon.wait_exit()

    def test_orphans_are_reaped(self):
        # setsid: the agent kills the script's own process group.
        self.agent.script("orphan", "#!/bin/sh\nfor i in 1 2 3 4 5; do (setsid true & ) ; done\necho done\n")
        self.serve()
        for _ in range(3):
            self.assertEqual(self.run_script("orphan")["stdout"], "done\n")
        poll("only the server is left, and no zombie",
             lambda: [state_of(child) != "Z" for child in children_of(self.init)] == [True])
        self.assertEqual(self.end(), 0)

    def test_exit_codes_of_scripts_are_still_theirs(self):
        self.agent.script("seven", "#!/bin/sh\n(setsid sh -c 'exit 3' &)\nexit 7\n")
        self.agent.script("killed", "#!/bin/sh\nkill -KILL $$\n")
        self.serve()
        for _ in range(20):
            self.assertEqual(self.run_script("seven")["exit"], 7)
        self.assertEqual(self.run_script("killed")["exit"], 126)
        self.assertEqual(self.end(), 0)

    def test_hang_up_reloads_and_interrupt_ends(self):
        self.serve()
        os.kill(self.init, signal.SIGHUP)
        self.daemon.wait_log("ACTION=reload")
        self.assertEqual(self.end(signal.SIGINT), 0)

    def test_a_running_script_may_end_before_the_container_does(self):
        started, go = (self.deployment.directory / name for name in ("started", "go"))
        self.agent.script("wait", f"#!/bin/sh\n: >{started}\nuntil [ -e {go} ]; do sleep 0.02; done\necho finished\n")
        self.serve()
        run = self.deployment.start(self.deployment.argv("run", self.daemon.address, "wait"), "run")
        poll("the script runs", started.exists)
        os.kill(self.init, signal.SIGTERM)
        poll("no new connection is taken", lambda: b"refused" in self.deployment.dispatcher(
            "ping", self.daemon.address, check=None).stderr)
        go.touch()
        self.assertEqual(run.wait_exit(), 0, run.describe())
        self.assertEqual(self.daemon.wait_exit(), 0)

    def test_a_server_that_is_killed_is_told_by_the_exit_code(self):
        self.serve()
        os.kill(children_of(self.init)[0], signal.SIGKILL)
        self.assertEqual(self.daemon.wait_exit(), 128 + signal.SIGKILL)

    def test_commands_keep_their_exit_codes(self):
        for words, code in ((["--version"], 0), (["agent", "nonsense"], 2),
                            (["agent", "serve", "--config", self.deployment.directory / "none.conf"], 78)):
            with self.subTest(words[-1]):
                self.deployment.execute(as_process_one([BIN / "ctrl-exec", *words]), check=code)

    def test_a_command_that_has_no_handlers_can_be_ended(self):
        waiting = as_process_one([*self.deployment.argv("export-ca-key", "--passphrase-file", "-")])
        with subprocess.Popen([str(word) for word in waiting], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL) as command:
            init = poll("process 1", lambda: children_of(command.pid))[0]
            poll("the command itself", lambda: children_of(init))
            os.kill(init, signal.SIGTERM)
            self.assertEqual(command.wait(30), 128 + signal.SIGTERM)

    def test_the_log_goes_to_stderr_although_there_is_a_syslog_socket(self):
        dev_log = self.deployment.directory / "dev-log.py"
        dev_log.write_text("import os, socket, sys\n"
                           "syslog = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)\n"
                           "syslog.bind('/dev/log')\n"
                           "os.set_inheritable(syslog.fileno(), True)\n"
                           "del os.environ['CTRL_EXEC_LOG']\n"
                           "os.execvp(sys.argv[1], sys.argv[1:])\n")
        private_dev = 'mount -t tmpfs none /dev && exec "$@"'
        self.daemon = self.deployment.start(
            ["unshare", "--mount", "sh", "-c", private_dev, "sh", "/usr/bin/python3", dev_log,
             *as_process_one(self.agent.argv("serve"))], "serve").wait_listening()
        self.init = children_of(self.daemon.pid)[0]
        self.daemon.wait_log("^ACTION=start ")
        self.assertEqual(self.end(), 0)

    def test_json_log_has_the_same_fields(self):
        with self.agent.config.open("a") as config:
            config.write("log_format = json\n")
        self.serve()
        self.daemon.wait_log('"ACTION":"start"')
        line = re.search(r"^\{.*\"ACTION\":\"start\".*\}$", self.daemon.log, re.M)[0]
        self.assertRegex(line, r'^\{"time":"[^"]+Z","level":"notice","tag":"ctrl-exec-agent","ACTION":"start",'
                               r'"ADDRESS":"127.0.0.1:\d+","HOST":"web-01","VERSION":"[^"]+"\}$')
        self.assertEqual(self.end(), 0)


if __name__ == "__main__":
    unittest.main()
