"""What happens only on a terminal: the question of setup-ctrl-exec."""

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


if __name__ == "__main__":
    unittest.main()
