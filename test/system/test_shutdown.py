"""SIGTERM ends the daemons with 0: at once when they are idle, after the work under way when they are not."""

import contextlib
import signal
import subprocess
import time
import unittest

from deployment import Deployment
from processes import DEADLINE, poll, processes_naming
from wire import TlsClient, request


class Termination(unittest.TestCase):
    def setUp(self):
        self.deployment = self.enterContext(Deployment())
        self.agent = self.deployment.paired_agent("web-01")

    def connect(self):
        identity = (self.deployment.ca / "ctrl-exec.crt", self.deployment.ca / "ctrl-exec.key")
        return self.enterContext(TlsClient(self.agent.address, self.deployment.ca / "ca.crt", identity))

    def start_run(self, script):
        return self.deployment.start(self.deployment.argv("run", self.agent.target, script), "run")

    def test_result_of_a_running_script_is_still_delivered(self):
        started, go = (self.deployment.directory / name for name in ("started", "go"))
        self.agent.script("wait", f"#!/bin/sh\n: >{started}\nuntil [ -e {go} ]; do sleep 0.02; done\necho finished\n")
        self.agent.serve()
        run = self.start_run("wait")
        poll("the script runs", started.exists)
        self.agent.daemon.signal(signal.SIGTERM)
        done = poll("no new connection is taken", lambda: b"refused" in self.deployment.dispatcher(
            "ping", self.agent.target, check=None).stderr)
        self.assertTrue(done and self.agent.daemon.running())
        go.touch()
        self.assertEqual(run.wait_exit(), 0, run.describe())
        self.assertTrue(run.output.endswith("\nfinished\n"), run.output)
        self.assertEqual(self.agent.daemon.wait_exit(), 0)

    def test_script_that_outlasts_the_drain_time_is_killed_with_all_its_processes(self):
        started = self.deployment.directory / "started"
        stubborn = f"trap '' TERM; : >{started}; while :; do sleep 1; done"
        self.agent.script("forever", "#!/bin/sh\ntrap '' TERM\n"
                                     f'sh -c "{stubborn}" {self.deployment.directory}/grandchild\n')
        self.agent.serve()
        run = self.start_run("forever")
        poll("the script runs", started.exists)
        start = time.monotonic()
        self.agent.daemon.stop()
        self.assertLess(time.monotonic() - start, 10, "what container engines give")
        self.assertEqual(run.wait_exit(), 1)
        self.assertIn("exit:126", run.output)  # killed, and the caller is told
        poll("no process of the script is left", lambda: not processes_naming(self.deployment.directory), 5)

    def test_script_that_outlasts_the_drain_time_may_clean_up(self):
        started = self.deployment.directory / "started"
        self.agent.script("tidy", f"#!/bin/sh\ntrap 'echo tidied; exit 5' TERM\n: >{started}\n"
                                  "while :; do sleep 0.1; done\n")
        self.agent.serve()
        run = self.start_run("tidy")
        poll("the script runs", started.exists)
        self.agent.daemon.stop()
        self.assertEqual(run.wait_exit(), 1)
        self.assertRegex(run.output, r"  \[FAIL  exit:5  .*\]\ntidied\n")

    def test_idle_kept_connections_do_not_delay_it(self):
        self.agent.serve()
        for _ in range(3):
            client = self.connect()
            client.send(request("POST", "/ping", {}, "X-Ctrl-Exec: 1"))
            self.assertEqual(client.read_answer().status, 200)
        self.connect()  # has not asked anything yet
        start = time.monotonic()
        self.agent.daemon.stop()
        self.assertLess(time.monotonic() - start, 4, "8 s is for requests under way")

    def test_interrupt_ends_it_too(self):
        self.agent.serve()
        self.agent.daemon.signal(signal.SIGINT)
        self.assertEqual(self.agent.daemon.wait_exit(), 0)

    @contextlib.contextmanager
    def just_ready(self, argv):
        """The daemon at the moment in which it says that it listens."""
        with subprocess.Popen(argv, env=self.deployment.environment(log="stderr"), stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE) as daemon:
            try:
                self.assertIn(b"listening on", daemon.stdout.readline())
                yield daemon
            finally:
                daemon.kill()

    def test_signal_right_after_the_readiness_line(self):
        for argv in (self.agent.argv("serve"), self.deployment.argv("pairing-mode")):
            for _ in range(10):
                with self.just_ready(argv) as daemon:
                    daemon.send_signal(signal.SIGTERM)
                    self.assertEqual(daemon.wait(DEADLINE), 0)

    def test_hang_up_right_after_the_readiness_line(self):
        for _ in range(10):
            with self.just_ready(self.agent.argv("serve")) as daemon:
                daemon.send_signal(signal.SIGHUP)
                while b"ACTION=reload" not in (line := daemon.stderr.readline()):
                    self.assertTrue(line, "it ended")
                daemon.send_signal(signal.SIGTERM)
                self.assertEqual(daemon.wait(DEADLINE), 0)

    def test_pairing_mode_ends_at_once_although_agents_wait_and_after_a_pairing(self):
        listener = self.deployment.pairing_mode()
        self.agent.pair(listener)
        waiting = self.deployment.agent("web-02").request_pairing(listener)
        self.deployment.wait_request("web-02")
        start = time.monotonic()
        listener.stop()
        self.assertLess(time.monotonic() - start, 1)
        self.assertEqual(waiting.wait_exit(), 1)
        self.assertEqual(self.deployment.requests(), [])


if __name__ == "__main__":
    unittest.main()
