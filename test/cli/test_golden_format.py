"""The golden cases' own rules: what is compared, what is put aside, and that a difference is found."""

import os
import pathlib
import tempfile
import unittest

import golden

CASE = """\
# Two commands.

file notes/one.txt
| first

$ cat notes/one.txt; echo trouble >&2; exit 3
| first
! trouble
[3]
$ printf 'no end'
| no end
\\
"""


def outcome(text):
    with tempfile.TemporaryDirectory(prefix="ctrl-exec-golden-") as directory:
        return golden.render(
            golden.run(golden.parse(text), pathlib.Path(directory), os.environ["CTRL_EXEC_BIN_DIR"]))


class Format(unittest.TestCase):

    def test_a_case_that_holds_is_reproduced(self):
        self.assertEqual(CASE, golden.render(golden.parse(CASE)))
        self.assertEqual(CASE, outcome(CASE))

    def test_every_difference_shows(self):
        for right, wrong in (("| first\n!", "| second\n!"), ("! trouble\n", ""), ("[3]\n", ""), ("[3]", "[1]"),
                             ("\\\n", ""), ("| first\n!", "| first\n|\n!")):
            with self.subTest(wrong=wrong):
                self.assertIn(right, CASE)
                self.assertEqual(CASE, outcome(CASE.replace(right, wrong)))

    def test_a_line_that_is_not_understood_is_an_error(self):
        for line in ("| output without a command", "! as well", "[1]", "$", "ced help", "\\", "file"):
            with self.subTest(line=line), self.assertRaises(ValueError):
                golden.parse(line)
        with self.assertRaises(ValueError):
            golden.parse("file a\n[1]")

    def test_only_what_the_case_did_not_write_itself_is_put_aside(self):
        for value, placeholder in (("2026-03-06T12:00:00Z", "<DATE>"), ("Mar  6 12:00:00 2027 GMT", "<DATE>"),
                                   ("46f150ac1dc77f872d602f7732583221", "<SERIAL>"),
                                   ("b50b5826213a74c8", "<REQID>"), ("12ms", "<RTT>"), ("1.20.3", "<VERSION>"),
                                   ("192.0.2.10", "192.0.2.10"), ("7443", "7443")):
            with self.subTest(value=value):
                expected = f"a {placeholder}, b\n"
                self.assertEqual(expected, golden.normalise(f"a {value}, b\n", "/nowhere", ""))
                self.assertEqual(f"a {value}, b\n", golden.normalise(f"a {value}, b\n", "/nowhere", f"x {value} y"))
        self.assertEqual("<DIR>/ca", golden.normalise("/nowhere/ca", "/nowhere", ""))

    def test_every_case_begins_with_what_it_shows(self):
        for path in golden.CASES.iterdir():
            with self.subTest(case=path.name):
                self.assertRegex(path.name, r"^[a-z-]+_[a-z0-9_-]+\.test$")
                steps = golden.parse(path.read_text(encoding="utf-8"), path.name)
                self.assertRegex(steps[0].render()[0], r"^# \S")
                self.assertTrue(any(isinstance(step, golden.Command) for step in steps))


if __name__ == "__main__":
    unittest.main()
