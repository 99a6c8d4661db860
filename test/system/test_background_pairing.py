"""`X=$(ctrl-exec-agent request-pairing --background …)` returns at once; a background process does the rest."""

import ctypes
import os
import subprocess
import time
import unittest

from deployment import Deployment
from processes import poll, processes_naming

PR_SET_CHILD_SUBREAPER = 36


def setUpModule():
    # Processes whose parent has ended become ours, so that we learn their exit codes.
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl")


class Background(unittest.TestCase):
    def setUp(self):
        self.deployment = self.enterContext(Deployment())
        self.listener = self.enterContext(self.deployment.pairing_mode())
        self.agent = self.deployment.agent("web-01")

    def ask(self, *options):
        """(what a shell puts into X, the id of the process in the background)."""
        words = self.agent.argv("request-pairing", "--dispatcher", self.listener.address, "--background", *options)
        done = self.deployment.execute(["sh", "-c", 'X=$("$@"); echo "$? $X"', "sh", *words])
        status, _, value = done.stdout.decode().rstrip("\n").partition(" ")
        self.assertEqual(status, "0", done.stderr)
        [pid] = [pid for pid in processes_naming(self.agent.directory)]
        return value, pid

    def exit_code(self, pid):
        poll("the process in the background ends",
             lambda: os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT))
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

    def test_returns_the_request_and_stores_the_certificate_later(self):
        start = time.monotonic()
        request_id, pid = self.ask()
        self.assertLess(time.monotonic() - start, 10, "the process in the background waits 30 s")
        self.assertRegex(request_id, r"^[0-9a-f]{16}$")
        self.assertEqual([r["id"] for r in self.deployment.requests()], [request_id])
        self.assertFalse(self.agent.certificate.exists())
        self.deployment.dispatcher("approve", request_id)
        self.assertEqual(self.exit_code(pid), 0)
        self.agent.command("pairing-status")
        self.agent.serve()
        [result] = self.deployment.json("ping", self.agent.target)["results"]
        self.assertEqual(result["status"], "ok")

    def test_denied(self):
        request_id, pid = self.ask()
        self.deployment.dispatcher("deny", request_id)
        self.assertEqual(self.exit_code(pid), 3)
        self.assertFalse(self.agent.certificate.exists())

    def test_timed_out(self):
        request_id, pid = self.ask("--timeout", "1")
        self.assertEqual(self.exit_code(pid), 2)
        self.listener.wait_output(f"^Pairing request {request_id} from web-01: gone$")

    def test_dispatcher_that_goes_away(self):
        _, pid = self.ask()
        self.listener.kill()
        self.assertEqual(self.exit_code(pid), 1)

    def test_lives_on_in_a_session_of_its_own(self):
        request_id, pid = self.ask()
        self.assertEqual(os.getsid(pid), pid, "a hang-up of the terminal must not end it")
        for stream in (0, 1, 2):
            self.assertNotIn("pipe", os.readlink(f"/proc/{pid}/fd/{stream}"))
        self.deployment.dispatcher("deny", request_id)
        self.exit_code(pid)

    def test_failure_before_the_request_is_queued_is_told(self):
        self.listener.stop()
        words = self.agent.argv("request-pairing", "--dispatcher", self.listener.address, "--background")
        done = subprocess.run([str(word) for word in words], env=self.deployment.environment(), capture_output=True,
                              timeout=60, check=False)
        self.assertEqual((done.returncode, done.stdout), (1, b""))
        self.assertIn(b"refused", done.stderr)


if __name__ == "__main__":
    unittest.main()
