"""Scripts that do what scripts should not, in a container with the agent as its first process: what became of them is
told, and of them nothing is left, neither a process nor a zombie, nor a descriptor or memory of the agent."""

import base64
import re
import unittest

from container_case import ContainerCase

TWO_GIGABYTES = 2 << 30


class Zoo(ContainerCase):
    def setUp(self):
        self.dispatcher, self.agent = self.paired(
            options=["--pids-limit", "60"],
            environment={"CTRL_EXEC_AGENT_KILL_GRACE": "300ms", "CTRL_EXEC_AGENT_STDIN_TIMEOUT": "1",
                         "CTRL_EXEC_AGENT_SCRIPT_DIRS": "/opt/ctrl-exec-scripts"})
        self.add_script(self.agent, "tame", "#!/bin/sh\necho tame\n")
        self.assertEqual(self.dispatcher.run_result("agent", "tame")["stdout"], "tame\n")
        [self.server] = set(self.agent.exec("pidof", "ctrl-exec").stdout.split()) - {"1"}
        self.at_rest = self.descriptors()

    def descriptors(self):
        return self.agent.exec("sh", "-c", f"ls /proc/{self.server}/fd | wc -l").stdout.strip()

    def memory(self):
        status = self.agent.exec("cat", f"/proc/{self.server}/status").stdout
        return int(re.search(r"^VmHWM:\s+(\d+) kB$", status, re.M)[1]) * 1024

    def release(self, name, text, *arguments, timeout=None, left=0):
        """Makes the script and runs it; `left`: processes that it may leave."""
        self.add_script(self.agent, name, text)
        return self.run_again(name, *arguments, timeout=timeout, left=left)

    def run_again(self, name, *arguments, timeout=None, left=0):
        options = ["--timeout", timeout] if timeout else []
        result = self.dispatcher.run_result(*options, "agent", name, "--", *arguments)
        self.agent.wait_for(f"nothing is left of {name}", lambda: len(self.agent.processes()) == 2 + left)
        self.agent.wait_for("no descriptor is left", lambda: self.descriptors() == self.at_rest)
        return result

    def test_what_does_not_end(self):
        for name, text, signal in (
                ("stubborn", "#!/bin/sh\ntrap '' TERM\necho begun\nwhile :; do sleep 0.1; done\n", 9),
                ("polite", "#!/bin/sh\ntrap 'exit 0' TERM\necho begun\nwhile :; do sleep 0.05; done\n", 15),
                ("reader", "#!/bin/sh\necho begun\nwhile :; do cat >/dev/null; sleep 0.05; done\n", 15)):
            result = self.release(name, text, timeout="1s")
            self.assertEqual((result["outcome"], result["exit"], result.get("signal")), ("timed-out", 126, signal), result)
            self.assertEqual(result["stdout"], "begun\n")

    def test_fork_bomb_within_the_limit_of_the_container(self):
        """Its shell ends when it cannot fork; what it has started by then goes with it, or with the time limit."""
        result = self.release("bomb", "#!/bin/sh\necho begun\nbomb() { bomb | bomb & }\nbomb\nwhile :; do sleep 0.2; done\n",
                              timeout="2s")
        self.assertIn(result["outcome"], ("timed-out", "failed"))
        self.assertTrue(result["stdout"].startswith("begun\n"), result)
        self.assertEqual(self.run_again("tame")["exit"], 0)

    def test_what_leaves_something_behind(self):
        result = self.release("holder", "#!/bin/sh\nsleep 1000 &\necho done\nexit 4\n")
        self.assertEqual((result["exit"], result["stdout"]), (4, "done\n"))
        result = self.release("daemon", "#!/bin/sh\n(setsid sh -c 'exec sleep 4' &)\nsleep 0.5\necho done\n", left=1)
        self.assertEqual((result["exit"], result["stdout"]), (0, "done\n"))
        self.agent.wait_for("the daemon ends, and is reaped", lambda: len(self.agent.processes()) == 2)

    def test_what_it_prints(self):
        result = self.release("flood", f"#!/bin/sh\necho first\nhead -c {TWO_GIGABYTES} /dev/zero\necho last\n")
        self.assertEqual((result["exit"], result["stdout_bytes"]), (0, TWO_GIGABYTES + 11))
        self.assertTrue(result["stdout"].startswith("first\n") and result["stdout"].endswith("last\n"))
        self.assertLess(self.memory(), 32 << 20)
        result = self.release("binary", "#!/bin/sh\nprintf '\\377\\000\\303\\n'\n")
        self.assertEqual(base64.b64decode(result["stdout_b64"]), b"\xff\0\xc3\n")
        result = self.release("closed", "#!/bin/sh\nexec >&- 2>&- <&-\nsleep 0.5\nexit 3\n")
        self.assertEqual((result["exit"], result["stdout"]), (3, ""))
        self.assertEqual(self.release("deaf", "#!/bin/sh\nexit 6\n", "x" * 100_000)["exit"], 6)

    def test_signals(self):
        self.add_script(self.agent, "suicide", "#!/bin/sh\nulimit -c 0\nkill -$1 $$\nexit 99\n")
        for signal in (1, 2, 4, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 31):  # not QUIT, which this shell ignores
            result = self.run_again("suicide", str(signal))
            self.assertEqual((result["exit"], result.get("signal"), result["outcome"]), (126, signal, "failed"))

    def test_what_is_no_script(self):
        for name, text, reason in (("headless", "#!/no/such\n", "its interpreter or loader does not exist"),
                                   ("plain", "echo plain\n", "no #! line")):
            result = self.release(name, text)
            self.assertEqual((result["exit"], result["outcome"]), (127, "failed"))
            self.assertIn(reason, result["stderr"])
        self.agent.exec("chmod", "a-x", "/opt/ctrl-exec-scripts/tame.sh")
        self.assertEqual(self.run_again("tame")["exit"], 127)
        self.agent.exec("sh", "-c", "cd /opt/ctrl-exec-scripts && rm tame.sh && mkdir tame.sh")
        self.assertEqual(self.run_again("tame")["exit"], 127)
        self.agent.exec("sh", "-c", "cd /opt/ctrl-exec-scripts && rmdir tame.sh && ln -s /bin/busybox tame.sh")
        result = self.run_again("tame")
        self.assertEqual((result["exit"], result["outcome"], result["error"]), (-1, "refused", "script not permitted"))

    def test_changed_while_it_runs(self):
        for change in ("rm $0", "echo '#!/bin/sh' >$0.new && chmod +x $0.new && mv $0.new $0"):
            result = self.release("changed", f"#!/bin/sh\n{change}\necho ended\n")
            self.assertEqual((result["exit"], result["stdout"]), (0, "ended\n"))


if __name__ == "__main__":
    unittest.main()
