"""The forms in which `run` and `ping` show results: for people, as one JSON document, and a line of JSON each."""

import json
import os
import subprocess
import unittest

from deployment import MISSING, Deployment
from processes import DEADLINE


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


if __name__ == "__main__":
    unittest.main()
