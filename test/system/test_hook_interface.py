"""What an auth hook is asked and what its answer means, on the dispatcher and on the agent."""

import json
import time
import unittest

from deployment import MISSING, Deployment, write_settings
from processes import poll
from wire import TlsClient, curl, request

TIMESTAMP = r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$"
VERDICTS = (("1", "denied", 1), ("2", "bad credentials", 2), ("3", "insufficient privilege", 3),
            ("4", "hook exited 4", 1), ("255", "hook exited 255", 1))


class Hook:
    """A hook that writes down what it is asked, and answers as it is told."""

    def __init__(self, directory):
        self.path, self._verdict, self._environment, self._input, self._count = (
            directory / f"hook{suffix}" for suffix in ("", "-verdict", "-environment", "-input", "-count"))
        self.path.write_text(f"#!/bin/sh\necho noise; echo noise >&2\nenv -0 >{self._environment}\ncat >{self._input}\n"
                             f"echo >>{self._count}\nexit $(cat {self._verdict})\n")
        self.path.chmod(0o755)
        self.answer("0")

    def answer(self, verdict):
        self._verdict.write_text(verdict)
        self._count.write_text("")

    @property
    def times(self):
        return self._count.read_text().count("\n")

    @property
    def variables(self):
        """Its ENVEXEC_ variables, without that prefix."""
        pairs = (entry.partition("=") for entry in self._environment.read_text().split("\0"))
        return {name.removeprefix("ENVEXEC_"): value for name, _, value in pairs if name.startswith("ENVEXEC_")}

    @property
    def names(self):
        return {entry.partition("=")[0] for entry in self._environment.read_text().split("\0")[:-1]}

    @property
    def question(self):
        return json.loads(self._input.read_text())


class Case(unittest.TestCase):
    """One agent for all tests, and a new hook for each."""

    settings = {}

    @classmethod
    def setUpClass(cls):
        cls.deployment = cls.enterClassContext(Deployment(**cls.settings))
        cls.agent = cls.deployment.paired_agent("web-01", **cls.agent_settings())
        cls.agent.script("echo", '#!/bin/sh\necho "$@"\n')
        cls.agent.serve()

    @classmethod
    def agent_settings(cls):
        return {}

    def setUp(self):
        self.hook = Hook(self.deployment.directory)
        self._earlier = len(self.agent.daemon.log)

    @property
    def agent_log(self):
        """What the agent has logged in this test."""
        return self.agent.daemon.log[self._earlier:]

    def assert_asked(self, hook, **expected):
        """`expected`: the members of the JSON object. The variables say the same."""
        question, variables = hook.question, hook.variables
        self.assertEqual(list(question), ["action", "script", "hosts", "args", "username", "token", "source_ip",
                                          "timestamp"])
        self.assertRegex(question["timestamp"], TIMESTAMP)
        self.assertEqual({name: question[name] for name in expected}, expected)
        self.assertEqual(json.loads(variables.pop("ARGS_JSON")), question["args"])
        if isinstance(self, Agent):
            self.assertRegex(variables.pop("DISPATCHER"), "^[0-9a-z-]+$", "which one asks")
        self.assertEqual(variables, {
            "ACTION": question["action"], "SCRIPT": question["script"], "HOSTS": ",".join(question["hosts"]),
            "ARGS": " ".join(question["args"]), "USERNAME": question["username"], "TOKEN": question["token"],
            "SOURCE_IP": question["source_ip"], "TIMESTAMP": question["timestamp"]})

    def assert_group_is_killed(self, hook, ask):
        """A hook that outlives its second is killed, and so is what it has started."""
        child = hook.path.with_name("child")
        hook.path.write_text(f"#!/bin/sh\nsleep 1000 &\necho $! >{child}.new\nmv {child}.new {child}\nwait\n")
        start = time.monotonic()
        self.assertIn("the auth hook took longer than 1 s", ask())
        self.assertGreaterEqual(time.monotonic() - start, 1)
        pid = int(child.read_text())
        poll("its child is gone", lambda: not is_sleep(pid))


def is_sleep(pid):
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as words:
            return words.read() == b"sleep\x001000\0"
    except OSError:
        return False


class Dispatcher(Case):
    settings = {"auth_hook_timeout": 1}

    def setUp(self):
        super().setUp()
        write_settings(self.deployment.config, {**self.deployment.settings, "auth_hook": self.hook.path})

    def test_of_thousands_of_hosts_each_must_be_allowed(self):
        count = self.hook.path.with_name("asked")
        self.hook.path.write_text(f'#!/bin/sh\necho >>{count}\ncase $ENVEXEC_HOSTS in *-09999*) exit 3;; esac\n')
        names = [f"a-host-of-a-long-name-{i:05}" for i in range(10_000)]
        denied = self.deployment.dispatcher("run", *names, "echo", check=1)
        self.assertIn(b"not authorised: insufficient privilege", denied.stderr)
        self.assertEqual((count.read_text().count("\n"), denied.stdout), (3, b""))

    def test_without_a_hook_the_command_line_passes(self):
        write_settings(self.deployment.config, self.deployment.settings)
        self.deployment.dispatcher("run", self.agent.target, "echo")
        self.deployment.dispatcher("ping", self.agent.target)
        self.assertEqual(self.hook.times, 0)

    def test_is_asked_once_before_a_run(self):
        arguments = ["two words", "", '"quoted"', "line\nbreak", "ünï"]
        # The second agent cannot be reached: what is asked does not depend on that.
        self.deployment.dispatcher("run", self.agent.target, "localhost:1", "echo", "--username", "ann", "--token", "t",
                                   "--", *arguments, check=MISSING)
        self.assertEqual(self.hook.times, 1)
        self.assert_asked(self.hook, action="run", script="echo", hosts=["127.0.0.1", "localhost"], args=arguments,
                          username="ann", token="t", source_ip="127.0.0.1")

    def test_is_asked_once_before_a_ping(self):
        self.deployment.dispatcher("ping", self.agent.target, "localhost:1", "--username", "ann", "--token", "t",
                                   check=1)
        self.assertEqual(self.hook.times, 1)
        self.assert_asked(self.hook, action="ping", script="", hosts=["127.0.0.1", "localhost"], args=[],
                          username="ann", token="t", source_ip="127.0.0.1")

    def test_finds_nothing_of_ours_in_its_environment(self):
        self.deployment.dispatcher("ping", self.agent.target, environment=self.deployment.environment(SECRET="x"))
        others = {name for name in self.hook.names if not name.startswith("ENVEXEC_")}
        self.assertEqual(others - {"PWD", "_", "SHLVL", "OLDPWD", "TZ"}, {"PATH", "HOME", "LANG"})

    def test_only_exit_0_allows(self):
        for verdict, reason, code in VERDICTS:
            for words in (("run", self.agent.target, "echo"), ("ping", self.agent.target)):
                with self.subTest(verdict=verdict, verb=words[0]):
                    self.hook.answer(verdict)
                    self.assertEqual(self.deployment.json(*words, check=1), {"ok": 0, "error": reason, "code": code})
                    done = self.deployment.dispatcher(*words, check=1)
                    self.assertEqual(done.stdout, b"")
                    self.assertIn(f"not authorised: {reason}".encode(), done.stderr)
        self.assertNotRegex(self.agent_log, "ACTION=(run|ping)")
        self.hook.answer("0")
        self.deployment.dispatcher("run", self.agent.target, "echo")

    def test_its_output_is_discarded(self):
        done = self.deployment.dispatcher("run", self.agent.target, "echo", "--json")
        self.assertNotIn(b"noise", done.stdout + done.stderr)

    def test_that_is_missing_or_not_executable_denies(self):
        self.hook.path.chmod(0o644)
        for reason in ("not executable", "missing"):
            for words in (("run", self.agent.target, "echo"), ("ping", self.agent.target)):
                with self.subTest(reason=reason, verb=words[0]):
                    denied = self.deployment.json(*words, check=1)
                    self.assertEqual(denied, {"ok": 0, "error": f"the auth hook is {reason}", "code": 1})
            self.hook.path.unlink(missing_ok=True)
        self.assertNotRegex(self.agent_log, "ACTION=(run|ping)")

    def test_that_takes_too_long_is_killed_with_its_group(self):
        self.assert_group_is_killed(self.hook, lambda: self.deployment.json("ping", self.agent.target,
                                                                            check=1)["error"])

    def test_token_is_in_no_log(self):
        for verdict, check in (("0", 0), ("2", 1)):
            self.hook.answer(verdict)
            done = self.deployment.dispatcher("run", self.agent.target, "echo", "--token", "s3cret", check=check,
                                              environment=self.deployment.environment(log="stderr"))
            self.assertIn(b"ACTION=auth ", done.stderr)
            self.assertNotIn(b"s3cret", done.stderr)
        self.assertNotIn("s3cret", self.agent_log)


class Agent(Case):
    @classmethod
    def agent_settings(cls):
        return {"auth_hook": Hook(cls.deployment.directory).path, "auth_hook_timeout": 1}

    def setUp(self):
        super().setUp()
        self.ca = self.deployment.ca / "ca.crt"
        self.identity = (self.deployment.ca / "ctrl-exec.crt", self.deployment.ca / "ctrl-exec.key")

    def ask(self, method, target, body=None):
        with TlsClient(self.agent.address, self.ca, self.identity) as client:
            client.send(request(method, target, body, version="1.0"))
            return client.only_answer()

    def run_result(self, script="echo", **members):
        return self.ask("POST", "/run", {"script": script, "args": [], "reqid": "r", **members}).json

    def discover(self):
        return self.ask("GET", "/capabilities")

    def test_is_asked_before_a_run(self):
        arguments = ["two words", "", '"quoted"', "line\nbreak", "ünï"]
        self.run_result(args=arguments, username="ann", token="t")
        self.assertEqual(self.hook.times, 1)
        self.assert_asked(self.hook, action="run", script="echo", hosts=["web-01"], args=arguments, username="ann",
                          token="t", source_ip="127.0.0.1")

    def test_is_asked_before_discovery(self):
        self.assertEqual(self.discover().status, 200)
        self.assertEqual(self.hook.times, 1)
        self.assert_asked(self.hook, action="discovery", script="", hosts=["web-01"], args=[], username="", token="",
                          source_ip="127.0.0.1")

    def test_is_told_where_the_caller_is(self):
        code = curl(f"https://{self.agent.address}/capabilities", "--insecure", "--cacert", self.ca, "--cert",
                    self.identity[0], "--key", self.identity[1], "--interface", "127.0.0.7")[1]
        self.assertEqual(code, 200)
        self.assert_asked(self.hook, action="discovery", source_ip="127.0.0.7")

    def test_is_not_asked_about_a_ping_or_a_script_that_is_not_listed(self):
        self.assertEqual(self.ask("POST", "/ping", {}).status, 200)
        self.assertEqual(self.run_result("missing")["error"], "script not permitted")
        self.assertEqual(self.hook.times, 0)

    def test_only_exit_0_allows(self):
        for verdict, reason, _ in VERDICTS:
            with self.subTest(verdict):
                self.hook.answer(verdict)
                self.assertEqual(self.run_result(), {"script": "echo", "exit": -1, "error": f"not authorised: {reason}",
                                                     "reqid": "r"})
                answer = self.discover()
                self.assertEqual((answer.status, answer.json), (403, {"error": f"not authorised: {reason}"}))
        self.assertNotIn("ACTION=run ", self.agent_log)
        self.hook.answer("0")
        self.assertEqual(self.run_result()["exit"], 0)

    def test_its_output_is_discarded(self):
        self.assertEqual(self.run_result(), {"script": "echo", "exit": 0, "stdout": "\n", "stderr": "", "reqid": "r"})
        self.assertNotIn("noise", self.agent_log + self.agent.daemon.output)

    def test_that_is_missing_or_not_executable_denies(self):
        self.hook.path.chmod(0o644)
        for reason in ("not executable", "missing"):
            with self.subTest(reason):
                self.assertEqual(self.run_result()["error"], f"not authorised: the auth hook is {reason}")
                self.assertEqual(self.discover().status, 403)
            self.hook.path.unlink(missing_ok=True)

    def test_that_takes_too_long_is_killed_with_its_group(self):
        self.assert_group_is_killed(self.hook, lambda: self.run_result()["error"])

    def test_token_is_in_no_log(self):
        for verdict in ("0", "2"):
            self.hook.answer(verdict)
            self.run_result(token="s3cret")
        self.assertRegex(self.agent_log, r"ACTION=run (.*\n)+ACTION=deny ")
        self.assertNotIn("s3cret", self.agent_log)


del Case  # it has no tests of its own

if __name__ == "__main__":
    unittest.main()
