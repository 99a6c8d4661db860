"""The forms in which `run` and `ping` show results: for people, as one JSON document, and a line of JSON each."""

import json
import os
import re
import signal
import subprocess
import unittest

from deployment import MISSING, Deployment
from processes import DEADLINE
from terminal import Terminal


def setUpModule():
    """Who runs the tests in the background may have us ignore it, and then so would all that we start."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    unittest.addModuleCleanup(signal.signal, signal.SIGINT, before)


class Formats(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.deployment = cls.enterClassContext(Deployment())
        cls.gate = cls.deployment.directory / "gate"
        cls.slow, cls.fast = cls.deployment.paired_agents("web-01", "web-02", bind="0.0.0.0")
        cls.slow.script("work", f"#!/bin/sh\nuntil [ -e {cls.gate} ]; do sleep 0.02; done\necho slow\n")
        cls.fast.script("work", "#!/bin/sh\necho fast\n")
        for agent in (cls.slow, cls.fast):
            agent.script("hello", "#!/bin/sh\necho hello\n")
            agent.serve()

    def targets(self):
        return [f"127.0.0.1:{self.slow.daemon.port}", f"127.0.0.2:{self.fast.daemon.port}"]

    def test_json_is_the_same_by_either_name(self):
        def shape(*words):
            document = json.loads(self.deployment.dispatcher("run", self.targets()[0], "hello", *words).stdout)
            self.assertEqual(list(document), ["ok", "results"])
            return [list(result) for result in document["results"]]

        self.assertEqual(shape("--json"), shape("--output", "json"))

    def test_a_document_without_spaces_whatever_the_results(self):
        done = self.deployment.dispatcher("run", *self.targets(), "127.0.0.3:1", "hello", "--json", check=MISSING)
        self.assertRegex(done.stdout.decode(), r'\A\{"ok":1,"results":\[\{.*\},\{.*\},\{.*\}\]\}\n\Z')
        self.assertEqual(json.dumps(json.loads(done.stdout), separators=(",", ":")) + "\n", done.stdout.decode())

    def test_lines_come_as_hosts_finish(self):
        command = self.deployment.start(self.deployment.argv("run", *self.targets(), "work", "--output", "ndjson"), "run")
        command.wait_output("fast")
        self.assertTrue(command.running())
        [first] = command.output.splitlines()
        self.assertEqual(json.loads(first)["stdout"], "fast\n")
        self.gate.touch()
        self.assertEqual(command.wait_exit(), 0)
        self.assertEqual([json.loads(line)["stdout"] for line in command.output.splitlines()], ["fast\n", "slow\n"])

    def test_a_line_is_an_element_of_the_document(self):
        def known(result):
            return {key: value for key, value in result.items() if key not in ("rtt", "reqid")}

        words = ("run", self.targets()[0], "hello")
        [line] = self.deployment.dispatcher(*words, "--output", "ndjson").stdout.decode().splitlines()
        [element] = self.deployment.json(*words)["results"]
        self.assertEqual(known(json.loads(line)), known(element))

    def test_lines_of_ping(self):
        done = self.deployment.dispatcher("ping", *self.targets(), "127.0.0.3:1", "--output", "ndjson", check=1)
        results = {result["host"]: result for result in map(json.loads, done.stdout.decode().splitlines())}
        self.assertEqual({host: result["status"] for host, result in results.items()},
                         {"127.0.0.1": "ok", "127.0.0.2": "ok", "127.0.0.3": "error"})
        self.assertEqual(results["127.0.0.1"]["reported_hostname"], "web-01")

    def test_reader_that_hangs_up_ends_the_output_and_not_the_run(self):
        for words in (("--output", "ndjson"), ("--json",), ()):
            for more, expected in (((), 1), (("127.0.0.3:1",), MISSING)):
                with self.subTest(words=words, expected=expected):
                    ours, theirs = os.pipe()
                    os.close(ours)
                    try:
                        done = subprocess.run(
                            [str(word) for word in self.deployment.argv("run", *self.targets(), *more, "hello", *words)],
                            env=self.deployment.environment(), stdin=subprocess.DEVNULL, stdout=theirs,
                            stderr=subprocess.PIPE, timeout=DEADLINE, check=False)
                    finally:
                        os.close(theirs)
                    self.assertEqual(done.returncode, expected, done.stderr)
                    self.assertIn(b"cannot write the output", done.stderr)


class Groups(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.deployment = cls.enterClassContext(Deployment())
        agent = cls.deployment.paired_agent("web-01", bind="0.0.0.0")
        agent.script("hello", "#!/bin/sh\nprintf 'the same\\nagain'; echo and more >&2\n")
        agent.script("random", "#!/bin/sh\necho $$; exit 7\n")
        agent.serve()
        cls.port = agent.daemon.port

    def targets(self, count):
        return [f"127.0.0.{1 + i}:{self.port}" for i in range(count)]

    def run_grouped(self, *words, check=0):
        done = self.deployment.dispatcher("run", "--group-output", *words, check=check)
        return re.sub(r"req:[0-9a-f]{16}", "req:<REQID>", done.stdout.decode()), done.stderr.decode()

    def test_equal_results_are_printed_once_and_the_biggest_group_first(self):
        output, errors = self.run_grouped("127.0.1.1:1", *self.targets(25), "127.0.1.2:1", "hello", check=MISSING)
        names = sorted(target.partition(":")[0] for target in self.targets(25))[:20]
        self.assertEqual(output, f"==> on 25 hosts: {' '.join(names)} and 5 more  [OK  exit:0  req:<REQID>]\n"
                                 "the same\nagain\n    STDERR: and more\n"
                                 "==> on 2 hosts: 127.0.1.1 127.0.1.2  [MISSING  exit:-1  req:<REQID>]\n"
                                 "    ERROR: connection refused by HOST: nothing listens there\n")
        self.assertIn("25 ok, 2 missing (", errors)

    def test_different_results_are_printed_each(self):
        output, _ = self.run_grouped(*self.targets(3), "random", check=1)
        self.assertEqual(output.count("==> on 1 host: 127.0.0."), 3)
        self.assertEqual(output.count("[FAIL  exit:7"), 3)

    def test_alone_a_host_is_named_in_its_error(self):
        output, _ = self.run_grouped("127.0.1.1:1", "hello", check=MISSING)
        self.assertIn("ERROR: connection refused by 127.0.1.1:1: nothing", output)


class ProgressBar(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.deployment = cls.enterClassContext(Deployment())
        cls.gate = cls.deployment.directory / "gate"
        cls.slow, cls.fast = cls.deployment.paired_agents("web-01", "web-02", bind="0.0.0.0")
        cls.slow.script("work", f"#!/bin/sh\nuntil [ -e {cls.gate} ]; do sleep 0.02; done\nprintf slow\n")
        cls.fast.script("work", "#!/bin/sh\nprintf fast\n")
        cls.slow.serve()
        cls.fast.serve()
        cls.targets = [f"127.0.0.1:{cls.slow.daemon.port}", f"127.0.0.2:{cls.fast.daemon.port}"]

    def setUp(self):
        self.gate.unlink(missing_ok=True)

    def terminal(self, *words, columns=80, **environment):
        environment = self.deployment.environment(**{"TERM": "xterm", "NO_COLOR": "1", **environment})
        return self.enterContext(Terminal(self.deployment.argv("run", "--progress", *self.targets, "work", *words), environment,
                                          columns))

    def test_it_is_drawn_erased_for_results_and_gone_at_the_end(self):
        run = self.terminal()
        run.expect(r"\r\x1b\[K\[>               .*\] 0/2  \d+ s")
        # The result begins where the bar was, and the bar where a line begins although the output has no end of line.
        run.expect(r"\r\x1b\[K==> 127\.0\.0\.2  \[OK .*\]\nfast\n\r\x1b\[K\[=+> *\] 1/2  1 ok  \d+ s")
        run.expect(r"\r\x1b\[K\[=+> *\] 1/2  1 ok  [1-9] s")  # time goes on without results
        self.gate.touch()
        self.assertEqual(run.wait_exit(), 0)
        run.expect(r"\r\x1b\[K==> 127\.0\.0\.1  \[OK .*\]\nslow\Z")

    def test_colours_are_for_terminals_that_want_them(self):
        run = self.terminal("--group-output", NO_COLOR="")
        run.expect(r"1/2\x1b\[32m  1 ok\x1b\[0m  \d+ s")
        self.gate.touch()
        self.assertEqual(run.wait_exit(), 0)
        run.expect(r"\r\x1b\[K==> on 1 host: 127")

    def test_ping_has_it_too(self):
        argv = self.deployment.argv("ping", "--progress", *self.targets, "127.0.0.3:1")
        ping = self.enterContext(Terminal(argv, self.deployment.environment(TERM="xterm", NO_COLOR="1")))
        ping.expect(r"\r\x1b\[K\[>.*\] 0/3  0 ok  \d+ s")
        self.assertEqual(ping.wait_exit(), 1)
        ping.expect(r"\r\x1b\[KHOST +STATUS ")

    def test_words_do_not_stand_behind_the_bar(self):
        run = self.terminal("--group-output")
        run.expect("1/2  1 ok")
        run.process.send_signal(signal.SIGINT)
        run.expect(r"\r\x1b\[Kctrl-exec-dispatcher: still waiting for 127\.0\.0\.1; .*\n")
        run.expect(r"\r\x1b\[K\[.*1/2  1 ok")
        self.gate.touch()
        self.assertEqual(run.wait_exit(), 0)

    def test_it_fits_into_the_terminal_also_when_that_is_made_smaller(self):
        run = self.terminal("--group-output", columns=20)
        run.expect(r"\r\x1b\[K1/2  1 ok  \d+ s")  # no room for a bar
        run.resize(8)
        run.expect(r"\r\x1b\[K1/2$")
        self.gate.touch()
        self.assertEqual(run.wait_exit(), 0)

    def test_nothing_of_it_without_a_terminal_or_on_a_dumb_one(self):
        self.gate.touch()
        done = self.deployment.dispatcher("run", "--progress", *self.targets, "work")
        self.assertNotIn(b"\r", done.stdout + done.stderr)
        self.assertNotIn(b"/2", done.stderr)
        run = self.terminal(TERM="dumb")
        self.assertEqual(run.wait_exit(), 0)
        run.expect(r"\A==> [^\r\x1b]*\Z")


if __name__ == "__main__":
    unittest.main()
