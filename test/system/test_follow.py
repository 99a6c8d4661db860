"""Output that is seen while scripts run: lines as they come, each with its host in front."""

import unittest

from deployment import FAILED, REFUSED, Deployment
from old_peers import OldAgent, OldVolumes, Script


class Follow(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.deployment = cls.enterClassContext(Deployment())
        cls.go = cls.deployment.directory / "go"
        cls.agent = cls.deployment.paired_agent("web-01")
        cls.agent.script("talks", f"#!/bin/sh\necho first; echo wrong >&2; printf half\n"
                                  f"until [ -e {cls.go} ]; do sleep 0.02; done\nprintf ' whole\\nrest'; exit ${{1:-0}}\n")
        cls.agent.script("much", "#!/bin/sh\nhead -c 2000000 /dev/zero | tr '\\0' x\necho; echo end\n")
        cls.agent.script("silent", "#!/bin/sh\n")
        cls.agent.script("raw", "#!/bin/sh\nprintf 'a\\377b\\n'\n")
        cls.agent.serve()

    def setUp(self):
        self.go.unlink(missing_ok=True)

    def follow(self, *words, check=0):
        return self.deployment.dispatcher("run", "--follow", self.agent.target, *words, check=check).stdout

    def test_lines_come_while_the_script_runs_and_are_not_repeated(self):
        words = self.deployment.argv("run", "--follow", self.agent.target, "talks", "--", "3")
        with self.deployment.start(words, "run") as run:
            run.wait_output(r"^127\.0\.0\.1 \| first$")
            run.wait_output("^127\\.0\\.0\\.1 ! wrong$")
            self.assertNotIn("half", run.output)
            self.go.touch()
            self.assertEqual(run.wait_exit(), FAILED, run.describe())
        self.assertRegex(run.output, r"127\.0\.0\.1 \| half whole\n127\.0\.0\.1 \| rest\n==> 127\.0\.0\.1  \[FAIL  exit:3  [^\n]*\n$")
        self.assertEqual(run.output.count("first"), 1)

    def test_script_that_prints_nothing(self):
        self.assertRegex(self.follow("silent"), rb"^==> 127\.0\.0\.1  \[OK  exit:0  [^\n]*\n$")

    def test_bytes_are_those_of_the_script(self):
        self.assertIn(b"127.0.0.1 | a\xffb\n", self.follow("raw"))

    def test_much_output_is_cut_visibly(self):
        output = self.follow("much")
        self.assertIn(b"127.0.0.1 | end\n", output)
        self.assertIn(b"WARNING: stdout was cut by the agent: the script wrote 2000005 bytes\n", output)

    def test_refusal_is_a_plain_answer(self):
        self.assertIn(b"[REFUSED  exit:-1", self.follow("reboot", check=REFUSED))

    def test_time_limit(self):
        output = self.follow("--timeout", "300ms", "talks", check=5)
        self.assertIn(b"127.0.0.1 | half\n==> 127.0.0.1  [TIMED OUT  exit:126", output)

    def test_options_that_do_not_go_together(self):
        for words in (("--follow", "--json"), ("--follow", "--async")):
            self.deployment.dispatcher("run", *words, self.agent.target, "talks", check=2)

    def test_old_agent_tells_everything_at_the_end(self):
        deployment = self.enterContext(OldVolumes())
        agent = self.enterContext(OldAgent(scripts={"says": Script(stdout=b"hello\n")}))
        output = deployment.dispatcher("run", "--follow", agent.address, "says").stdout
        self.assertRegex(output, rb"^==> 127\.0\.0\.1  \[OK  exit:0  [^\n]*\nhello\n$")
        self.assertEqual([request.line.split()[1] for request in agent.requests], ["/runs", "/run"])


if __name__ == "__main__":
    unittest.main()
