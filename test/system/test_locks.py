"""One lock for each host and script of a run: a file and flock(2), as other programs know them too."""

import contextlib
import fcntl
import os
import unittest

from deployment import MISSING, Deployment
from processes import poll


class Locks(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.deployment = cls.enterClassContext(Deployment())
        cls.directory = cls.deployment.state / "locks"
        cls.agent = cls.deployment.paired_agent("web-01")
        cls.go = cls.deployment.directory / "go"
        cls.agent.script("wait", f"#!/bin/sh\n: >{cls.go}.started\nuntil [ -e {cls.go} ]; do sleep 0.02; done\n")
        cls.agent.script("quick", "#!/bin/sh\n")
        cls.agent.serve()

    def is_free(self, name):
        with open(self.directory / name, "rb") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
        return True

    @contextlib.contextmanager
    def running(self, *hosts):
        """A run of `wait`, whose script has begun."""
        started = self.go.with_name("go.started")
        for path in (self.go, started):
            path.unlink(missing_ok=True)
        with self.deployment.start(self.deployment.argv("run", *hosts, "wait"), "run") as run:
            poll("the script runs", started.exists)
            yield run
            self.go.touch()
            run.wait_exit()

    def test_is_held_by_flock_while_the_script_runs(self):
        with self.running(self.agent.target):
            self.assertFalse(self.is_free("127.0.0.1--wait.lock"))
            [lock] = self.deployment.json("list-locks")["locks"]
            self.assertEqual((lock["lock"], lock["host"], lock["script"]), ("127.0.0.1--wait", "127.0.0.1", "wait"))
            titles, rule, row = self.deployment.dispatcher("list-locks").stdout.decode().splitlines()
            self.assertEqual(titles.split(), ["HOST", "SCRIPT", "REQID", "PID", "SINCE"])
            self.assertRegex(rule, "^-+$")
            self.assertEqual(row.split(), ["127.0.0.1", "wait", lock["reqid"], lock["pid"], lock["since"]])
        self.assertTrue(self.is_free("127.0.0.1--wait.lock"))
        self.assertEqual(self.deployment.json("list-locks")["locks"], [])

    def test_goes_as_soon_as_its_host_is_done(self):
        with self.running(self.agent.target, "127.0.0.2:1") as run:
            run.wait_output(r"^==> 127\.0\.0\.2 ")
            poll("the other host's lock is free", lambda: self.is_free("127.0.0.2--wait.lock"))
            self.assertFalse(self.is_free("127.0.0.1--wait.lock"))

    def test_of_another_program_is_respected(self):
        self.directory.mkdir(parents=True, exist_ok=True)
        for held in (("127.0.0.1",), ("127.0.0.1", "127.0.0.2")):
            with contextlib.ExitStack() as stack:
                for host in held:
                    lock = stack.enter_context(open(self.directory / f"{host}--quick.lock", "wb"))
                    fcntl.flock(lock, fcntl.LOCK_EX)
                refused = self.deployment.json("run", self.agent.target, "127.0.0.2:1", "quick", check=1)
                self.assertEqual(refused, {"ok": 0, "error": "locked", "code": 4,
                                           "conflicts": [f"{host}:quick" for host in held]})
                self.assertTrue(self.is_free("127.0.0.2--quick.lock") or "127.0.0.2" in held, "all or nothing")
        self.assertNotIn("SCRIPT=quick", self.agent.daemon.log)
        self.deployment.dispatcher("run", self.agent.target, "quick")

    def test_other_characters_become_underscores(self):
        self.deployment.dispatcher("run", "[::1]:1", "quick", check=MISSING)
        self.assertIn("__1--quick.lock", os.listdir(self.directory))


if __name__ == "__main__":
    unittest.main()
