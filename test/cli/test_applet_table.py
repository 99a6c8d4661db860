"""Walks the table of commands, as help shows it."""

import os
import pathlib
import re
import shlex
import subprocess
import unittest

import golden

BIN_DIR = pathlib.Path(os.environ["CTRL_EXEC_BIN_DIR"])
LINKED = {"dispatcher": "ctrl-exec-dispatcher", "agent": "ctrl-exec-agent"}
PROGRAMS = {**LINKED, "container": "ctrl-exec"}  # a role without a name of its own
COMMANDS_TEXT = (golden.HERE.parent.parent / "docs/commands.md").read_text(encoding="utf-8")


def call(program, *words):
    done = subprocess.run([BIN_DIR / program, *words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, encoding="utf-8", timeout=60)
    return done.returncode, done.stdout


def section(title, text):
    """The indented lines below a line that begins with the title."""
    found = re.search(rf"^{title}.*:\n((?:  .*\n)+)", text, re.MULTILINE)
    return [line[2:] for line in found[1].splitlines()] if found else []


class Table(unittest.TestCase):

    @classmethod
    def setUpClass(cls):
        _, overview = call("ctrl-exec", "help")
        cls.verbs = {role: [line.split()[0] for line in section(f"Role {role}", overview)] for role in PROGRAMS}
        cls.summaries = {line.split(None, 1)[0]: line.split(None, 1)[1].strip()
                         for role in PROGRAMS for line in section(f"Role {role}", overview)}
        cls.help = {(role, verb): call(PROGRAMS[role], "help", verb)[1]
                    for role in PROGRAMS for verb in cls.verbs[role]}

    def each(self):
        return [(PROGRAMS[role], verb, text) for (role, verb), text in self.help.items()]

    def test_every_role_has_commands(self):
        self.assertGreater(len(self.verbs["dispatcher"]), 5)
        self.assertGreater(len(self.verbs["agent"]), 1)

    def test_commands_are_sorted_and_unique(self):
        for role, verbs in self.verbs.items():
            self.assertEqual(sorted(set(verbs)), verbs, f"of the role {role}")

    def test_no_command_belongs_to_two_roles_but_config(self):
        every = [verb for verbs in self.verbs.values() for verb in verbs]
        self.assertEqual(["config"], [verb for verb in set(every) if every.count(verb) > 1])

    def test_no_command_is_named_like_a_role(self):
        for words in self.verbs.values():
            self.assertFalse({"help", "dispatcher", "agent", "pairing"} & set(words))

    def test_each_role_lists_its_commands(self):
        for role, program in LINKED.items():
            _, overview = call(program, "help")
            listed = [line.split()[0] for line in section("Commands", overview)]
            self.assertEqual(self.verbs[role], listed)

    def test_usage_begins_with_program_and_command(self):
        for program, verb, text in self.each():
            with self.subTest(verb=verb):
                self.assertRegex(text, rf"\AUsage: {program} {re.escape(verb)} \[OPTION\]\.\.\.( |\n)")

    def test_help_repeats_the_summary_as_a_sentence(self):
        for _, verb, text in self.each():
            with self.subTest(verb=verb):
                summary = self.summaries[verb]
                self.assertEqual(f"{summary[0].upper()}{summary[1:]}.", text.splitlines()[2])
                self.assertLessEqual(len(summary), 60)

    def test_options_are_unique_and_explained(self):
        for _, verb, text in self.each():
            with self.subTest(verb=verb):
                names = [re.match(r"(--[a-z-]+)( [A-Z]+)? +\S", line) for line in section("Options", text)]
                self.assertNotIn(None, names)
                self.assertEqual(len(names), len({name[1] for name in names}))

    def test_every_command_has_an_example_of_itself(self):
        for program, verb, text in self.each():
            with self.subTest(verb=verb):
                examples = section("Example", text)
                self.assertEqual(1, len(examples))
                self.assertEqual([program, verb], examples[0].split()[:2])

    def test_every_example_is_a_valid_command_line(self):
        for program, verb, text in self.each():
            with self.subTest(verb=verb):
                words = shlex.split(section("Example", text)[0])[1:]
                status, output = call(program, "--config", "/nonexistent/ctrl-exec.conf", *words)
                self.assertEqual(78, status, output)  # past the command line, and no further
                self.assertIn("/nonexistent/ctrl-exec.conf", output)

    def test_every_command_has_golden_cases(self):
        for _, verb, text in self.each():
            with self.subTest(verb=verb):
                needed = {"help", "operands", "options"}
                if "[-- ARG...]" not in text:
                    needed.add("double-dash")
                found = {path.stem.split("_", 1)[1] for path in golden.CASES.glob(f"{verb}_*.test")}
                self.assertFalse(needed - found, f"test/cli/cases/{verb}_*.test")
                self.assertTrue(found - needed, f"test/cli/cases has no {verb}_*.test about what {verb} does")

    def test_no_golden_case_is_left_of_a_command_that_is_gone(self):
        known = {verb for verbs in self.verbs.values() for verb in verbs}
        shared = {"config", "log", "names", "options", "output"}  # what all commands have in common
        for path in golden.CASES.iterdir():
            self.assertIn(path.name.split("_")[0], known | shared, path.name)

    def test_every_command_and_option_is_documented(self):
        for program, verb, text in self.each():
            with self.subTest(verb=verb):
                found = re.search(rf"^## {verb}\n\n    {program} {verb}\b.*?(?=^##? |\Z)", COMMANDS_TEXT, re.M | re.S)
                self.assertTrue(found, f"docs/commands.md has no section that begins with '{program} {verb}'")
                for line in section("Options", text):
                    self.assertIn(line.split()[0], COMMANDS_TEXT)

    def test_every_documented_command_exists(self):
        known = {verb for verbs in self.verbs.values() for verb in verbs}
        for verb in re.findall(r"^## ([a-z-]+)$", COMMANDS_TEXT, re.MULTILINE):
            self.assertIn(verb, known)

    def test_every_link_is_a_name_of_a_role(self):
        _, output = call("ctrl-exec", "--list-links")
        links = output.split()
        self.assertEqual(sorted(set(links)), links)
        self.assertFalse(set(LINKED.values()) - set(links))
        for link in links:
            self.assertTrue((BIN_DIR / link).exists(), f"{link} is not beside the program")
            self.assertRegex(call(link, "help")[1], rf"\AUsage: {link} (COMMAND|\[OPTION\])")


if __name__ == "__main__":
    unittest.main()
