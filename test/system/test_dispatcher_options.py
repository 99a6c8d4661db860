"""Options of the dispatcher's commands: anywhere on the line, their defaults, and JSON as scripts depend on it."""

import json
import unittest

from deployment import BIN, Deployment, write_settings
from terminal import Terminal


class Options(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.deployment = cls.enterClassContext(Deployment())
        cls.agent = cls.deployment.paired_agent("web-01")
        cls.agent.script("input", "#!/bin/sh\ncat\n")
        cls.agent.serve()
        cls.port = cls.agent.daemon.port

    def given(self, *words, **environment):
        """What a script has found on its stdin, when `input` was run by these words and with --json."""
        argv = [BIN / "ctrl-exec-dispatcher", *words]
        done = self.deployment.execute(argv, environment={**self.deployment.environment(), **environment})
        [result] = json.loads(done.stdout)["results"]
        return json.loads(result["stdout"])

    def test_stand_anywhere_on_the_line(self):
        command = ["run", "127.0.0.1", "input"]
        options = [("--config", self.deployment.config), ("--json",), ("--port", self.port), ("--username", "ann"),
                   ("--token", "t")]
        for position in range(len(command) + 1):
            for turn in range(len(options)):
                with self.subTest(position=position, first=options[turn][0]):
                    given = [word for option in options[turn:] + options[:turn] for word in option]
                    found = self.given(*command[:position], *given, *command[position:], "--", "--json", "--port")
                    self.assertEqual((found["username"], found["token"], found["args"]),
                                     ("ann", "t", ["--json", "--port"]))

    def test_may_hold_their_value_after_an_equals_sign(self):
        found = self.given(f"--config={self.deployment.config}", "run", "127.0.0.1", f"--port={self.port}", "input",
                           "--json", "--username=a=b", "--token=")
        self.assertEqual((found["username"], found["token"]), ("a=b", ""))

    def test_user_and_token_come_from_the_environment(self):
        words = ("--config", self.deployment.config, "--json", "run", self.agent.target, "input")
        found = self.given(*words, USER="bob", ENVEXEC_TOKEN="secret")
        self.assertEqual((found["username"], found["token"]), ("bob", "secret"))
        found = self.given(*words, "--username", "ann", "--token", "mine", USER="bob", ENVEXEC_TOKEN="secret")
        self.assertEqual((found["username"], found["token"]), ("ann", "mine"))
        self.assertEqual(self.given(*words)["token"], "")

    def test_port_of_the_host_counts_more_than_the_option_and_that_more_than_the_configuration(self):
        config = self.deployment.directory / "port.conf"
        write_settings(config, {**self.deployment.settings, "port": self.port})
        self.given("--config", config, "run", "127.0.0.1", "input", "--json")
        write_settings(config, {**self.deployment.settings, "port": 1})
        self.given("--config", config, "--port", self.port, "run", "127.0.0.1", "input", "--json")
        self.given("--config", config, "--port", 1, "run", self.agent.target, "input", "--json")


class Json(unittest.TestCase):
    def test_is_one_line_without_spaces_and_ok_is_a_number(self):
        deployment = self.enterContext(Deployment())
        agent = deployment.paired_agent("web-01")
        agent.script("true", "#!/bin/sh\n")
        agent.serve()
        for expected, ok, *words in ((0, 1, "list-agents"), (0, 1, "list-requests"), (0, 1, "list-locks"),
                                     (0, 1, "ping", agent.target), (0, 1, "run", agent.target, "true"),
                                     (1, 1, "ping", "127.0.0.1:1"), (3, 1, "run", agent.target, "missing"),
                                     (1, 0, "approve", "0123456789abcdef"), (1, 0, "unpair", "nobody"),
                                     (0, 1, "unpair", "web-01"), (1, 0, "setup-ca")):
            with self.subTest(words):
                output = deployment.dispatcher(*words, "--json", check=expected).stdout.decode()
                answer = json.loads(output)
                self.assertEqual(output, json.dumps(answer, separators=(",", ":")) + "\n")
                self.assertIs(type(answer["ok"]), int)
                self.assertEqual(answer["ok"], ok)


class Human(unittest.TestCase):
    def test_output_stands_as_it_is_and_each_line_of_errors_is_marked(self):
        deployment = self.enterContext(Deployment())
        agent = deployment.paired_agent("web-01")
        agent.script("talks", r"""#!/bin/sh
printf '\n  indented\n\tand \\n as it is\n\n'
printf 'one\n\ntwo' >&2
""")
        agent.serve()
        head, _, rest = deployment.dispatcher("run", agent.target, "talks").stdout.decode().partition("\n")
        self.assertRegex(head, r"^==> 127\.0\.0\.1  \[OK  exit:0  \d+ms  req:[0-9a-f]{16}\]$")
        self.assertEqual(rest, "\n  indented\n\tand \\n as it is\n\n    STDERR: one\n    STDERR: \n    STDERR: two\n")


class SetUpAgain(unittest.TestCase):
    def test_asks_on_a_terminal_while_agents_are_registered(self):
        deployment = self.enterContext(Deployment())
        certificate = deployment.ca / "ctrl-exec.crt"
        deployment.dispatcher("setup-ctrl-exec")  # nobody is asked: nobody depends on it
        deployment.paired_agent("web-01")
        before = certificate.read_text()
        for answer, replaces in (("n", False), ("", False), ("y", True)):
            with self.subTest(answer), \
                    Terminal(deployment.argv("setup-ctrl-exec"), deployment.environment()) as terminal:
                terminal.expect(r"Replace it\? \[y/N\]: $")
                terminal.type(f"{answer}\n")
                self.assertEqual(terminal.wait_exit(), 0 if replaces else 1)
                self.assertEqual(certificate.read_text() != before, replaces)


if __name__ == "__main__":
    unittest.main()
