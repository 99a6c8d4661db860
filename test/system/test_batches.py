"""run --batch: canary first, then so many hosts at a time, and none any more once too many have gone wrong."""

import json
import os
import signal
import unittest

from deployment import Deployment
from processes import poll
from test_targets import serve_under_its_name

INTERRUPTED, USAGE = 130, 2
NAMES = ["a-1", "a-2", "a-3", "a-4", "a-5"]


def setUpModule():
    """Who runs the tests in the background may have us ignore it, and then so would all that we start."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    unittest.addModuleCleanup(signal.signal, signal.SIGINT, before)


class Batches(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.deployment = cls.enterClassContext(Deployment())
        cls.events = cls.deployment.directory / "events"
        cls.go = cls.deployment.directory / "go"
        cls.agents = cls.deployment.paired_agents(*NAMES)
        for agent in cls.agents:
            # Fails where a file says so. Beginning and end are lines of a file that all append to.
            agent.script("step", f"#!/bin/sh\necho begin {agent.name} >>{cls.events}\n[ ! -e {agent.directory}/bad ] || exit 7\n"
                                 f"sleep 0.05\necho end {agent.name} >>{cls.events}\n")
            agent.script("wait", f"#!/bin/sh\necho begin {agent.name} >>{cls.events}\n"
                                 f"until [ -e {cls.go} ]; do sleep 0.02; done\n")
            serve_under_its_name(agent)

    def setUp(self):
        self.events.write_text("")
        self.go.unlink(missing_ok=True)
        for agent in self.agents:
            (agent.directory / "bad").unlink(missing_ok=True)

    def spoil(self, *names):
        for agent in self.agents:
            if agent.name in names:
                (agent.directory / "bad").touch()

    def outcomes(self, *words, check=0):
        """{host: outcome} of one run of step on all."""
        results = self.deployment.json("run", "a-*", "step", *words, check=check)["results"]
        self.assertEqual(len(results), len(NAMES))
        for result in results:
            if result["outcome"] == "skipped":
                self.assertEqual((result["exit"], "stdout" in result), (-1, False))
                self.assertTrue(result["error"].startswith("not started: "), result["error"])
        self.assertEqual(self.deployment.json("list-locks")["locks"], [])
        return {result["host"]: result["outcome"] for result in results}

    def begun(self):
        return [line.split()[1] for line in self.events.read_text().splitlines() if line.startswith("begin")]

    def test_a_batch_begins_when_the_one_before_has_ended(self):
        self.assertEqual(set(self.outcomes("--batch", "2").values()), {"ok"})
        steps = [tuple(line.split()) for line in self.events.read_text().splitlines()]
        self.assertEqual(steps[:2], [("begin", "a-1"), ("end", "a-1")])
        self.assertEqual({name for _, name in steps[2:6]}, {"a-2", "a-3"})
        self.assertEqual({name for _, name in steps[6:]}, {"a-4", "a-5"})

    def test_canary_that_fails_ends_it_whatever_may_fail(self):
        self.spoil("a-1")
        self.assertEqual(self.outcomes("--batch", "2", "--max-failures", "100%", check=1),
                         {"a-1": "failed", "a-2": "skipped", "a-3": "skipped", "a-4": "skipped", "a-5": "skipped"})
        self.assertEqual(self.begun(), ["a-1"])

    def test_without_a_canary_the_first_batch_is_like_the_others(self):
        self.spoil("a-1")
        self.assertEqual(self.outcomes("--batch", "40%", "--canary", "0", "--max-failures", "1", check=1),
                         {"a-1": "failed", "a-2": "ok", "a-3": "ok", "a-4": "ok", "a-5": "ok"})

    def test_more_failures_than_allowed_end_it(self):
        self.spoil("a-2", "a-3", "a-4")
        self.assertEqual(self.outcomes("--batch", "1", "--max-failures", "1", check=1),
                         {"a-1": "ok", "a-2": "failed", "a-3": "failed", "a-4": "skipped", "a-5": "skipped"})
        self.assertEqual(self.begun(), ["a-1", "a-2", "a-3"])

    def test_within_a_batch_nothing_more_begins_either(self):
        self.spoil("a-2")
        self.assertEqual(self.outcomes("--batch", "100%", check=1), {
            "a-1": "ok", "a-2": "failed", "a-3": "ok", "a-4": "ok", "a-5": "ok"})
        environment = self.deployment.environment(CTRL_EXEC_MAX_PARALLEL="1")
        done = self.deployment.dispatcher("--json", "run", "a-*", "step", "--batch", "100%", check=1,
                                          environment=environment)
        self.assertEqual([each["outcome"] for each in json.loads(done.stdout)["results"]],
                         ["ok", "failed", "skipped", "skipped", "skipped"])

    def test_skipped_hosts_are_told_and_are_never_a_success(self):
        self.spoil("a-2")
        done = self.deployment.dispatcher("run", "a-*", "step", "--batch", "1", "--min-success", "1", check=1)
        self.assertRegex(done.stdout.decode(),
                         r"(?m)^==> a-5  \[SKIPPED  exit:-1  0ms  req:[0-9a-f]+\]\n"
                         r"    ERROR: not started: 1 of the hosts before did not go well, --max-failures is 0$")
        self.assertEqual(done.stderr, b"ctrl-exec-dispatcher: 1 ok, 1 failed (a-2), 3 skipped (a-3, a-4, a-5)\n")

    def test_two_ports_of_one_host_keep_its_lock_until_both_are_done(self):
        first, second = (f"127.0.0.1:{agent.daemon.port}" for agent in self.agents[:2])
        run = self.enterContext(self.deployment.start(
            self.deployment.argv("run", first, "a-3", second, "wait", "--batch", "1", "--json"), "run"))
        poll("the first has begun", self.begun)
        self.go.touch()
        self.assertEqual(run.wait_exit(), 0)
        self.assertEqual(self.begun(), ["a-1", "a-3", "a-2"])
        log = run.log
        self.assertEqual(log.count("ACTION=lock-release"), 2)
        self.assertLess(log.index("ACTION=run EXIT=0", log.index("TARGET=a-3")), log.index("ACTION=lock-release REQID", log.index("TARGET=a-3")))

    def test_order_is_that_of_the_words(self):
        done = self.deployment.json("run", "a-5", "a-?", "--limit", "5", "step", "--batch", "1")
        self.assertEqual([each["host"] for each in done["results"]], NAMES)
        done = self.deployment.json("run", "a-5", "a-?", "step", "--batch", "1")
        self.assertEqual([each["host"] for each in done["results"]], ["a-5", *NAMES[:4]])

    def test_options_that_do_not_go_together(self):
        for words in (["--canary", "2"], ["--max-failures", "1"], ["--pause", "1s"], ["--batch", "0"],
                      ["--batch", "1", "--async"], ["--batch", "1", "--pause", "never"],
                      ["--batch", "1", "--max-failures", "-1"]):
            with self.subTest(words=words):
                said = self.deployment.dispatcher("run", "a-*", "step", *words, check=USAGE).stderr.decode()
                self.assertIn(words[-2] if words[-1] != "--async" else "--batch", said)
        self.assertEqual(self.begun(), [])

    def start(self, *words):
        return self.enterContext(self.deployment.start(self.deployment.argv("run", *words, "--json"), "run"))

    def interrupt(self, run, said):
        run.signal(signal.SIGINT)
        run.wait_log(said)

    def test_interrupted_run_begins_nothing_more(self):
        run = self.start("a-*", "wait", "--batch", "2")
        poll("the canary has begun", self.begun)
        self.interrupt(run, "still waiting for a-1, and 4 have not begun; another Ctrl-C cancels the script there")
        self.interrupt(run, "cancelling on a-1; another Ctrl-C ends this at once")
        self.assertEqual(run.wait_exit(), INTERRUPTED)
        results = json.loads(run.output)["results"]
        self.assertEqual([each["outcome"] for each in results], ["cancelled"] + 4 * ["skipped"])
        self.assertEqual({each["error"] for each in results[1:]}, {"not started: the run was interrupted"})

    def test_interrupted_pause_ends_it(self):
        run = self.start("a-*", "step", "--batch", "2", "--pause", "1h")
        run.wait_log("ACTION=lock-release")
        self.interrupt(run, "4 hosts have not begun; another Ctrl-C leaves them alone")
        self.interrupt(run, "nothing more begins$")
        self.assertEqual(run.wait_exit(), INTERRUPTED)
        self.assertEqual(run.log.count("ACTION=lock-release"), 5)
        self.assertEqual([each["outcome"] for each in json.loads(run.output)["results"]], ["ok"] + 4 * ["skipped"])

    def test_run_that_was_ended_at_once_names_every_host(self):
        run = self.start("a-*", "wait", "--batch", "2", "--canary", "0")
        poll("two have begun", lambda: len(self.begun()) == 2)
        os.kill(self.agents[0].daemon.pid, signal.SIGSTOP)
        self.addCleanup(os.kill, self.agents[0].daemon.pid, signal.SIGCONT)
        self.interrupt(run, "still waiting for a-1, a-2, and 3")
        self.interrupt(run, "cancelling on a-1, a-2;")
        run.signal(signal.SIGINT)
        self.assertEqual(run.wait_exit(), INTERRUPTED)
        outcomes = {each["host"]: each["outcome"] for each in json.loads(run.output)["results"]}
        self.assertEqual(len(outcomes), 5)
        self.assertEqual((outcomes["a-1"], {outcomes[name] for name in NAMES[2:]}), ("missing", {"skipped"}))
        self.go.touch()

    def test_pause_is_between_batches(self):
        self.assertEqual(set(self.outcomes("--batch", "4", "--pause", "10ms").values()), {"ok"})


if __name__ == "__main__":
    unittest.main()
