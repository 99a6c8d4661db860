"""A script's arguments, input, output and exit code go through unharmed, whatever they are, on all hosts at once."""

import base64
import json
import time
import unittest

from deployment import REFUSED, Deployment
from wire import TlsClient, request

TEN_MEGABYTES = 10 * 1024 * 1024


class Case(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.deployment = cls.enterClassContext(Deployment())
        cls.agent = cls.deployment.paired_agent("web-01", stdin_timeout=1, output_limit="16M")
        for name, text in cls.scripts.items():
            cls.agent.script(name, text)
        cls.prepare()
        cls.agent.serve()

    @classmethod
    def prepare(cls):
        pass

    def run_json(self, script, *arguments, check=0):
        done = self.deployment.dispatcher("run", "--json", self.agent.target, script, "--", *arguments, check=check)
        [result] = json.loads(done.stdout)["results"]
        return result


class Output(Case):
    scripts = {
        "flood": f"#!/bin/sh\n{{ yes 'this is stdout' | head -c {TEN_MEGABYTES}; }} &\n"
                 f"{{ yes 'and this stderr' | head -c {TEN_MEGABYTES}; }} >&2 &\nwait\n",
        "raw": r"#!/bin/sh" "\n" r"printf 'a\377\376\000\033[31m\r\n\200'; printf '\303(' >&2" "\n",
        "utf8": "#!/bin/sh\nprintf 'smörgås 🦊\\n\\t\"\\\\ \\001'\n",
        "silent": "#!/bin/sh\n",
        "late": "#!/bin/sh\necho first; (sleep 0.05; echo second) &\n",
    }

    def test_ten_megabytes_on_both_streams_at_once(self):
        expected_out = (b"this is stdout\n" * (TEN_MEGABYTES // 15 + 1))[:TEN_MEGABYTES].decode()
        expected_err = (b"and this stderr\n" * (TEN_MEGABYTES // 16 + 1))[:TEN_MEGABYTES].decode()
        result = self.run_json("flood")
        self.assertEqual(result["exit"], 0)
        self.assertEqual((len(result["stdout"]), len(result["stderr"])), (TEN_MEGABYTES, TEN_MEGABYTES))
        self.assertTrue(result["stdout"] == expected_out and result["stderr"] == expected_err, "bytes differ")
        self.assertNotIn("stdout_truncated", result)

    def test_ten_megabytes_for_people(self):
        output = self.deployment.dispatcher("run", self.agent.target, "flood").stdout
        head, _, rest = output.partition(b"\n")
        self.assertTrue(head.startswith(b"==> "), head)
        self.assertTrue(rest.startswith((b"this is stdout\n" * (TEN_MEGABYTES // 15 + 1))[:TEN_MEGABYTES]))
        self.assertEqual(rest.count(b"    STDERR: and this stderr\n"), TEN_MEGABYTES // 16)

    def test_bytes_that_are_no_utf8_arrive_exactly_in_human_output(self):
        output = self.deployment.dispatcher("run", self.agent.target, "raw").stdout
        self.assertEqual(output.partition(b"\n")[2], b"a\xff\xfe\x00\x1b[31m\r\n\x80\n    STDERR: \xc3(\n")

    def test_bytes_that_are_no_utf8_arrive_exactly_in_json(self):
        result = self.run_json("raw")
        self.assertEqual(base64.b64decode(result["stdout_b64"]), b"a\xff\xfe\x00\x1b[31m\r\n\x80")
        self.assertEqual(base64.b64decode(result["stderr_b64"]), b"\xc3(")
        self.assertEqual(result["stdout"], "a\ufffd\ufffd\x00\x1b[31m\r\n\ufffd")
        self.assertEqual(result["stderr"], "\ufffd(")

    def test_utf8_needs_no_base64(self):
        result = self.run_json("utf8")
        self.assertEqual(result["stdout"], 'smörgås 🦊\n\t"\\ \x01')
        self.assertNotIn("stdout_b64", result)

    def test_no_output(self):
        result = self.run_json("silent")
        self.assertEqual((result["stdout"], result["stderr"]), ("", ""))
        output = self.deployment.dispatcher("run", self.agent.target, "silent").stdout
        self.assertEqual(output.count(b"\n"), 1)

    def test_output_of_a_child_that_outlives_the_script_a_little(self):
        self.assertEqual(self.run_json("late")["stdout"], "first\nsecond\n")


class Input(Case):
    scripts = {
        "arguments": "#!/bin/sh\nprintf '%s\\0' $# \"$@\"\n",
        "input": "#!/bin/sh\ncat\n",
        "ignores-input": "#!/bin/sh\necho done\n",
        "closes-input": "#!/bin/sh\nexec <&-\nsleep 0.1\necho done\n",
        "reads-too-late": "#!/bin/sh\nsleep 2\ncat >/dev/null\necho survived\n",
        "environment": "#!/bin/sh\npwd; umask; env\n",
    }
    # More JSON than a pipe holds, so that writing it must wait for a reader.
    big = ["x" * 120_000] * 5

    def test_arguments_arrive_exactly(self):
        arguments = ["", "two words", "it's", '"quoted"', "line\nbreak\n", "\ttab", "back\\slash", "$HOME `id` $(id)",
                     "; | & * ? > /tmp/x", "--json", "-h", "--", "--port=1", "🦊 ünïcode é", "e\u0301", " edges ", "",
                     "y" * 100_000, "\x01\x7f\u2028"]
        output = self.run_json("arguments", *arguments)["stdout"]
        self.assertEqual(output.split("\0")[:-1], [str(len(arguments)), *arguments])
        self.assertEqual(json.loads(self.run_json("input", *arguments)["stdout"])["args"], arguments)

    def test_no_arguments(self):
        self.assertEqual(self.run_json("arguments")["stdout"], "0\0")

    def test_argument_that_is_no_utf8_is_refused_before_anything_runs(self):
        done = self.deployment.dispatcher("run", self.agent.target, "arguments", "--", b"\xff", check=2)
        self.assertIn(b"UTF-8", done.stderr)

    def test_input_is_one_json_object_and_then_ends(self):
        environment = self.deployment.environment(ENVEXEC_TOKEN="s3cret")
        done = self.deployment.dispatcher("run", "--json", "--username", "ann", self.agent.target, "input", "--", "a",
                                          environment=environment)
        [result] = json.loads(done.stdout)["results"]
        given = json.loads(result["stdout"])
        self.assertRegex(given.pop("timestamp"), r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")
        self.assertEqual(given, {"script": "input", "args": ["a"], "reqid": result["reqid"], "peer_ip": "127.0.0.1",
                                 "username": "ann", "token": "s3cret"})
        self.assertNotIn("s3cret", self.agent.daemon.log + self.agent.daemon.output)

    def test_script_that_ignores_its_input(self):
        for script in ("ignores-input", "closes-input"):
            with self.subTest(script):
                result = self.run_json(script, *self.big)
                self.assertEqual((result["exit"], result["stdout"]), (0, "done\n"))

    def test_script_that_reads_too_late_lives_on_with_closed_input(self):
        result = self.run_json("reads-too-late", *self.big)
        self.assertEqual((result["exit"], result["stdout"]), (0, "survived\n"))
        self.agent.daemon.wait_log(rf"ACTION=stdin-timeout .*REQID={result['reqid']} SCRIPT=reads-too-late$")

    def test_environment_is_clean(self):
        folder, umask, *variables = self.run_json("environment")["stdout"].splitlines()
        self.assertEqual((folder, umask), ("/", "0022"))
        names = {line.partition("=")[0] for line in variables} - {"PWD", "_", "SHLVL", "OLDPWD"}  # the shell's own
        self.assertEqual(names - {"TZ"}, {"PATH", "HOME", "LANG"})


class ExitCodes(Case):
    scripts = {
        "exit": "#!/bin/sh\nexit $1\n",
        "killed": "#!/bin/sh\necho before\nkill -$1 $$\n",
        "no-interpreter": "#!/nonexistent/interpreter\n",
        "no-format": "neither a script nor a program\n",
    }

    @classmethod
    def prepare(cls):
        cls.agent.script("not-executable", "#!/bin/sh\n", permissions=0o644)
        cls.agent.allow("missing", cls.agent.directory / "missing.sh")
        cls.agent.allow("folder", cls.agent.directory)

    def test_every_exit_code(self):
        identity = (self.deployment.ca / "ctrl-exec.crt", self.deployment.ca / "ctrl-exec.key")
        codes = []
        with TlsClient(self.agent.address, self.deployment.ca / "ca.crt", identity) as client:
            for code in range(256):
                client.send(request("POST", "/run", {"script": "exit", "args": [str(code)], "reqid": "r"},
                                    "X-Ctrl-Exec: 1"))
                codes.append(client.read_answer().json["exit"])
        self.assertEqual(codes, list(range(256)))

    def test_command_succeeds_only_when_the_script_does(self):
        for code, expected in ((0, 0), (1, 1), (2, 1), (78, 1), (255, 1)):
            self.assertEqual(self.run_json("exit", str(code), check=expected)["exit"], code)

    def test_killed_by_a_signal(self):
        for signal in ("KILL", "TERM", "SEGV"):
            result = self.run_json("killed", signal, check=1)
            self.assertEqual((result["exit"], result["stdout"]), (126, "before\n"), signal)

    def test_what_cannot_be_executed(self):
        for script, reason in (("missing", "missing.sh"), ("not-executable", "not-executable.sh"),
                               ("no-interpreter", "no-interpreter.sh"), ("no-format", "no-format.sh"),
                               ("folder", str(self.agent.directory))):
            with self.subTest(script):
                result = self.run_json(script, check=1)
                self.assertEqual(result["exit"], 127, result)
                self.assertIn(reason, result["stderr"])

    def test_script_that_is_not_permitted(self):
        result = self.run_json("reboot", check=REFUSED)
        self.assertEqual((result["exit"], result["error"]), (-1, "script not permitted"))
        self.agent.daemon.wait_log(rf"ACTION=deny .*REQID={result['reqid']} SCRIPT=reboot$")

    def test_name_that_could_be_a_path_is_refused(self):
        for name in ("../exit", "/bin/sh", "exit;id", ""):
            self.deployment.dispatcher("run", self.agent.target, name, check=2)


class Parallel(unittest.TestCase):
    """On several agents at once: each script waits until all of them run, so one after the other would never end."""

    def test_scripts_of_all_agents_run_at_the_same_time(self):
        names = ["web-01", "web-02", "web-03", "web-04"]
        with Deployment() as deployment:
            meeting = deployment.directory / "meeting"
            meeting.mkdir()
            agents = deployment.paired_agents(*names)
            for agent in agents:
                agent.script("meet", f"#!/bin/sh\n: >{meeting}/{agent.name}\n"
                                     f"until [ $(ls {meeting} | wc -l) -eq {len(names)} ]; do sleep 0.02; done\n"
                                     f"echo {agent.name}\n")
                agent.script("second", "#!/bin/sh\nsleep 1\n")
                agent.serve()
            targets = [agent.target for agent in agents]
            results = deployment.json("run", *targets, "meet")["results"]
            self.assertEqual(sorted(result["stdout"] for result in results), [f"{name}\n" for name in names])
            self.assertEqual(len({result["reqid"] for result in results}), 1)

            start = time.monotonic()
            deployment.json("run", *targets, "second")
            self.assertLess(time.monotonic() - start, 3, "four scripts of 1 s each")

    def test_results_come_as_hosts_finish(self):
        with Deployment() as deployment:
            slow, fast = deployment.paired_agents("slow", "fast")
            go = deployment.directory / "go"
            slow.script("work", f"#!/bin/sh\nuntil [ -e {go} ]; do sleep 0.02; done\necho slow\n")
            fast.script("work", "#!/bin/sh\necho fast\n")
            targets = [agent.serve().target for agent in (slow, fast)]
            command = deployment.start(deployment.argv("run", *targets, "work"), "run")
            command.wait_output("^fast$")
            self.assertTrue(command.running())
            self.assertNotIn("slow", command.output)
            go.touch()
            self.assertEqual(command.wait_exit(), 0)
            self.assertRegex(command.output, r"(?s)^==> .*\nfast\n==> .*\nslow\n$")


del Case  # it has no tests of its own

if __name__ == "__main__":
    unittest.main()
