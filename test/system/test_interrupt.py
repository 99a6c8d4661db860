"""Control-C while results are waited for: the first asks, the second cancels the script, the third ends the command."""

import json
import os
import signal
import subprocess
import unittest

from deployment import Deployment
from processes import poll

INTERRUPTED = 130


def setUpModule():
    """Who runs the tests in the background may have us ignore it, and then so would all that we start."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    unittest.addModuleCleanup(signal.signal, signal.SIGINT, before)


class Interrupt(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.deployment = cls.enterClassContext(Deployment())
        cls.started = cls.deployment.directory / "started"
        cls.go = cls.deployment.directory / "go"
        cls.tidied = cls.deployment.directory / "tidied"
        cls.agent = cls.deployment.paired_agent("web-01", kill_grace="30s")
        cls.agent.script("wait", f"#!/bin/sh\n: >{cls.started}\nuntil [ -e {cls.go} ]; do sleep 0.02; done\necho done\n")
        cls.agent.script("stays", f"#!/bin/sh\ntrap ': >{cls.tidied}' TERM\n: >{cls.started}\n"
                                  f"until [ -e {cls.go} ]; do sleep 0.02; done\n")
        cls.agent.script("quick", "#!/bin/sh\n")
        cls.agent.serve()

    def setUp(self):
        for path in (self.started, self.go, self.tidied):
            path.unlink(missing_ok=True)

    def start(self, *words):
        run = self.enterContext(self.deployment.start(self.deployment.argv("run", *words), "run"))
        poll("the script runs", self.started.exists)
        return run

    def interrupt(self, run, said):
        run.signal(signal.SIGINT)
        run.wait_log(said)

    def test_first_one_says_who_is_waited_for_and_changes_nothing(self):
        run = self.start(self.agent.target, "wait")
        self.interrupt(run, r"^ctrl-exec-dispatcher: still waiting for 127\.0\.0\.1; another Ctrl-C cancels")
        self.go.touch()
        self.assertEqual(run.wait_exit(), 0)
        self.assertRegex(run.output, r"^==> 127\.0\.0\.1  \[OK  exit:0  .*\]\ndone\n$")

    def test_second_one_cancels(self):
        run = self.start(self.agent.target, "wait")
        self.interrupt(run, "still waiting for")
        self.interrupt(run, r"^ctrl-exec-dispatcher: cancelling on 127\.0\.0\.1;")
        self.assertEqual(run.wait_exit(), INTERRUPTED)
        self.assertRegex(run.output, r"^==> 127\.0\.0\.1  \[CANCELLED  exit:126  ")

    def test_hosts_that_are_done_are_not_named(self):
        run = self.start(self.agent.target, "127.0.0.2:1", "wait", "--json")
        poll("the other host's lock is free",
             lambda: [lock["host"] for lock in self.deployment.json("list-locks")["locks"]] == ["127.0.0.1"])
        self.interrupt(run, r"still waiting for 127\.0\.0\.1;")
        self.interrupt(run, r"cancelling on 127\.0\.0\.1;")
        self.assertEqual(run.wait_exit(), INTERRUPTED)
        results = json.loads(run.output)["results"]
        self.assertEqual([(each["host"], each["outcome"]) for each in results],
                         [("127.0.0.2", "missing"), ("127.0.0.1", "cancelled")])

    def test_third_one_ends_it_at_once(self):
        run = self.start(self.agent.target, "stays", "--json")
        self.interrupt(run, "still waiting for")
        self.interrupt(run, "cancelling on")
        poll("the script has its signal", self.tidied.exists)
        self.assertTrue(run.running())
        run.signal(signal.SIGINT)
        self.assertEqual(run.wait_exit(), INTERRUPTED)
        [result] = json.loads(run.output)["results"]
        self.assertEqual((result["outcome"], result["exit"]), ("missing", -1))
        self.assertIn("the script may still run there", result["error"])
        self.go.touch()

    def test_agent_that_is_gone_cannot_be_asked(self):
        other = self.deployment.paired_agent("web-02")
        other.script("wait", f"#!/bin/sh\n: >{self.started}\nuntil [ -e {self.go} ]; do sleep 0.02; done\n")
        other.serve()
        run = self.start(other.target, "wait", "--json")
        other.daemon.signal(signal.SIGSTOP)
        self.interrupt(run, "still waiting for")
        run.signal(signal.SIGINT)
        run.wait_log("cancelling on")
        run.signal(signal.SIGINT)
        self.assertEqual(run.wait_exit(), INTERRUPTED)
        other.daemon.signal(signal.SIGCONT)
        self.go.touch()

    def test_signal_that_was_ignored_at_the_start_stays_so(self):
        words = self.deployment.argv("run", self.agent.target, "wait")
        run = subprocess.Popen([str(word) for word in words], env=self.deployment.environment(),
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                               preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN))
        poll("the script runs", self.started.exists)
        for _ in range(3):
            os.kill(run.pid, signal.SIGINT)
        self.go.touch()
        output, said = run.communicate(timeout=60)
        self.assertEqual((run.returncode, said), (0, b""))
        self.assertIn(b"[OK ", output)

    def test_sigterm_ends_it_as_ever(self):
        run = self.start(self.agent.target, "wait")
        run.signal(signal.SIGTERM)
        self.assertEqual(run.wait_exit(), -signal.SIGTERM)
        self.go.touch()


if __name__ == "__main__":
    unittest.main()
