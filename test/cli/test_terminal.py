"""What happens only on a terminal: the questions of setup-ctrl-exec and run."""

import json
import os
import pathlib
import pty
import subprocess
import tempfile
import unittest

import golden

BIN_DIR = os.environ["CTRL_EXEC_BIN_DIR"]
END_OF_INPUT = b"\x04"  # control-D


class Question(unittest.TestCase):

    def setUp(self):
        directory = tempfile.TemporaryDirectory(prefix="ctrl-exec-terminal-")
        self.addCleanup(directory.cleanup)
        self.directory = pathlib.Path(directory.name)
        golden.set_up(self.directory, BIN_DIR)
        self.files = [self.directory / "ctrl-exec.crt", self.directory / "ctrl-exec.key"]
        self.before = [path.read_text() for path in self.files]

    def register_agents(self):
        (self.directory / "state").mkdir()
        (self.directory / "agents").rename(self.directory / "state/agents")

    def ask(self, answer, *options):
        ours, theirs = pty.openpty()
        try:
            os.write(ours, answer)
            return subprocess.run(["ctrl-exec", "setup-ctrl-exec", "--config", "ctrl-exec.conf", *options],
                                  cwd=self.directory, env=golden.environment(self.directory, BIN_DIR), stdin=theirs,
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=60)
        finally:
            os.close(ours)
            os.close(theirs)

    def assert_kept(self):
        self.assertEqual(self.before, [path.read_text() for path in self.files])

    def assert_replaced(self):
        for path, before in zip(self.files, self.before):
            self.assertNotEqual(before, path.read_text())

    def test_yes_replaces_the_certificate(self):
        self.register_agents()
        done = self.ask(b"y\n")
        self.assertEqual(0, done.returncode, done.stderr)
        self.assertIn("2 agents are registered", done.stderr)
        self.assertIn("Replace it? [y/N]: ", done.stderr)
        self.assertRegex(done.stdout, r"\ADispatcher certificate created: \S+, valid until .*\.\nSerial: [0-9a-f]+\n\Z")
        self.assert_replaced()

    def test_anything_else_keeps_it(self):
        self.register_agents()
        for answer in (b"n\n", b"\n", b"no y\n", END_OF_INPUT):
            with self.subTest(answer=answer):
                done = self.ask(answer)
                self.assertEqual(1, done.returncode)
                self.assertIn("nothing was changed", done.stderr)
                self.assert_kept()

    def test_the_question_is_no_part_of_the_result(self):
        self.register_agents()
        done = self.ask(b"y\n", "--json")
        self.assertEqual(1, json.loads(done.stdout)["ok"])
        self.assert_replaced()

    def test_yes_is_not_asked_for(self):
        self.register_agents()
        done = self.ask(END_OF_INPUT, "--yes")
        self.assertEqual((0, ""), (done.returncode, done.stderr))
        self.assert_replaced()

    def test_without_agents_nothing_is_asked(self):
        done = self.ask(END_OF_INPUT)
        self.assertEqual((0, ""), (done.returncode, done.stderr))
        self.assert_replaced()


class ManyHosts(unittest.TestCase):
    """run asks about more hosts than confirm_above, which is 2 here."""

    @classmethod
    def setUpClass(cls):
        cls.directory = pathlib.Path(cls.enterClassContext(tempfile.TemporaryDirectory(prefix="ctrl-exec-terminal-")))
        golden.set_up(cls.directory, BIN_DIR)
        with (cls.directory / "ctrl-exec.conf").open("a") as config:
            config.write("confirm_above = 2\n")

    def run_on(self, count, answer, *options, stderr_too=True, **settings):
        """(exit code, what is on stdout, what the terminal or stderr shows)"""
        ours, theirs = pty.openpty()
        hosts = [f"127.0.0.{i + 1}:1" for i in range(count)]
        try:
            os.write(ours, answer)
            environment = {**golden.environment(self.directory, BIN_DIR), **settings}
            done = subprocess.run(["ctrl-exec", "run", *hosts, "deploy", "--config", "ctrl-exec.conf", *options],
                                  cwd=self.directory, env=environment, stdin=theirs, stdout=subprocess.PIPE,
                                  stderr=theirs if stderr_too else subprocess.PIPE, timeout=60)
            shown = os.read(ours, 65536) if stderr_too else done.stderr
            return done.returncode, done.stdout.decode(), shown.decode()
        finally:
            os.close(ours)
            os.close(theirs)

    def test_yes_runs_it(self):
        code, output, shown = self.run_on(3, b"y\n")
        self.assertIn("Run deploy on 3 hosts? [y/N]: ", shown)
        self.assertEqual((code, output.count("MISSING")), (6, 3))

    def test_anything_else_runs_nothing(self):
        for answer in (b"n\n", b"\n", b"no y\n", END_OF_INPUT):
            with self.subTest(answer=answer):
                code, output, shown = self.run_on(3, answer, "--json")
                self.assertEqual((code, output), (1, '{"ok":0,"error":"nothing was run"}\n'))
                self.assertIn("nothing was run", shown)

    def test_few_hosts_and_yes_are_not_asked_about(self):
        for count, options, settings in ((2, [], {}), (3, ["--yes"], {}), (3, [], {"CTRL_EXEC_CONFIRM_ABOVE": "0"}),
                                         (3, ["--dry-run"], {})):
            with self.subTest(count=count, options=options, settings=settings):
                code, _, shown = self.run_on(count, END_OF_INPUT + b"\n", *options, **settings)
                self.assertEqual(code, 0 if options == ["--dry-run"] else 6)
                self.assertNotIn("[y/N]", shown)

    def test_who_does_not_see_stderr_is_not_asked(self):
        code, _, shown = self.run_on(3, b"n\n", stderr_too=False)
        self.assertEqual(code, 6)
        self.assertNotIn("[y/N]", shown)


if __name__ == "__main__":
    unittest.main()
