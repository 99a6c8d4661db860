"""Runs in the background: begun, asked after, waited for and cancelled, whatever becomes of those who take part."""

import json
import signal
import socket
import threading
import unittest

from deployment import FAILED, MISSING, REFUSED, Deployment
from processes import poll
from renewing_agent import RenewingAgent

PENDING = 2
REQID = r"^[0-9a-f]{16}\n$"


class Case(unittest.TestCase):
    def begin(self, *words, check=0):
        """The id of a run that was begun."""
        output = self.deployment.dispatcher("run", "--async", *words, check=check).stdout.decode()
        self.assertRegex(output, REQID)
        return output.strip()

    def status(self, reqid, check):
        return self.deployment.json("status", reqid, check=check)

    def wait(self, reqid, check=0, *words):
        return self.deployment.json("wait", reqid, *words, check=check)

    def results(self, answer):
        return {each["host"]: each for each in answer["results"]}

    def stored(self, reqid):
        """Where the run lies: what goes on in submitted/, what is done beside it."""
        runs = self.deployment.state / "runs"
        return [path.parent.name for path in (runs / f"{reqid}.json", runs / "submitted" / f"{reqid}.json")
                if path.exists()]


class Background(Case):
    @classmethod
    def setUpClass(cls):
        cls.deployment = cls.enterClassContext(Deployment())
        cls.go = cls.deployment.directory / "go"
        cls.ledger = cls.deployment.directory / "ledger"
        cls.agents = [cls.deployment.paired_agent(name, kill_grace="1s", state_dir=cls.deployment.directory / name)
                      for name in ("web-01", "web-02")]
        for agent in cls.agents:
            agent.script("wait", f"#!/bin/sh\necho {agent.name} $1\necho ran >>{cls.ledger}\n"
                                 f"until [ -e {cls.go}$1 ]; do sleep 0.02; done\nexit ${{1:-0}}\n")
            agent.script("quick", "#!/bin/sh\ncat\n")
            agent.script("talks", f"#!/bin/sh\necho {agent.name} begins\necho {agent.name} complains >&2\n"
                                  f"until [ -e {cls.go} ]; do sleep 0.02; done\nprintf '{agent.name} ends'\n")
            agent.script("one", f"#!/bin/sh\necho {agent.name}\n"
                                f"[ {agent.name} = web-01 ] || until [ -e {cls.go} ]; do sleep 0.02; done\n")
            agent.serve()
        # Results bear the host that was asked for: one loopback address each.
        cls.first = cls.agents[0].target
        cls.second = cls.agents[1].target.replace("127.0.0.1", "localhost")

    def setUp(self):
        for path in self.deployment.directory.glob("go*"):
            path.unlink()
        self.ledger.unlink(missing_ok=True)

    def ran(self):
        return self.ledger.read_text().count("ran") if self.ledger.exists() else 0

    def test_run_goes_on_by_itself_and_its_result_is_fetched(self):
        reqid = self.begin(self.first, self.second, "wait")
        answer = self.status(reqid, PENDING)
        self.assertEqual((answer["status"], answer["results"], sorted(answer["pending"]), answer["script"]),
                         ("running", [], ["127.0.0.1", "localhost"], "wait"))
        self.assertEqual(self.stored(reqid), ["submitted"])
        text = self.deployment.dispatcher("status", reqid, check=PENDING).stdout.decode()
        self.assertRegex(text, rf"^==> 127\.0\.0\.1  \[PENDING  running  .*req:{reqid}\]\n==> localhost  \[PENDING  ")
        self.go.touch()
        answer = self.wait(reqid)
        self.assertEqual((answer["status"], answer["pending"]), ("done", []))
        results = self.results(answer)
        self.assertEqual({host: (each["exit"], each["stdout"], each["outcome"], each["reqid"])
                          for host, each in results.items()},
                         {"127.0.0.1": (0, "web-01\n", "ok", reqid), "localhost": (0, "web-02\n", "ok", reqid)})
        self.assertEqual(self.stored(reqid), ["runs"])
        self.assertEqual(self.status(reqid, 0)["results"], answer["results"])
        self.assertEqual(self.deployment.json("run-status", reqid)["results"], answer["results"])

    def test_wait_prints_each_result_as_it_comes(self):
        reqid = self.begin(self.first, self.second, "one")
        with self.deployment.start(self.deployment.argv("wait", reqid), "wait") as waiting:
            waiting.wait_output(r"^==> 127\.0\.0\.1  \[OK  ")
            self.assertNotIn("localhost", waiting.output)
            self.go.touch()
            self.assertEqual(waiting.wait_exit(), 0)
            self.assertRegex(waiting.output, r"web-01\n==> localhost  \[OK  exit:0  \d+ms  req:[0-9a-f]{16}\]\nweb-02\n$")

    def test_wait_has_a_time(self):
        reqid = self.begin(self.first, "wait")
        done = self.deployment.dispatcher("wait", reqid, "--timeout", "300ms", check=PENDING)
        self.assertEqual((done.stdout, done.stderr), (b"", b"ctrl-exec-dispatcher: 127.0.0.1: still pending\n"))
        self.go.touch()
        self.wait(reqid)

    def test_several_may_wait(self):
        reqid = self.begin(self.first, self.second, "wait")
        waiting = [self.enterContext(self.deployment.start(self.deployment.argv("wait", reqid, "--json"), "wait"))
                   for _ in range(4)]
        self.status(reqid, PENDING)
        self.go.touch()
        for each in waiting:
            self.assertEqual(each.wait_exit(), 0, each.describe())
            self.assertEqual(len(json.loads(each.output)["results"]), 2)
        self.assertEqual(self.stored(reqid), ["runs"])
        self.assertEqual(self.ran(), 2)

    def test_exit_code_says_that_something_failed(self):
        reqid = self.begin(self.first, "wait", "--", "3")
        (self.go.parent / "go3").touch()
        [result] = self.wait(reqid, FAILED)["results"]
        self.assertEqual((result["exit"], result["outcome"]), (3, "failed"))
        self.status(reqid, FAILED)

    def test_host_that_does_not_accept_it_is_told_at_once_and_the_others_run(self):
        done = self.deployment.dispatcher("run", "--async", self.first, "127.0.0.9:1", "quick", check=MISSING)
        self.assertRegex(done.stderr.decode(), r"^ctrl-exec-dispatcher: 127\.0\.0\.9: missing: connection refused.*\n$")
        reqid = done.stdout.decode().strip()
        results = self.results(self.wait(reqid, FAILED))
        self.assertEqual({host: each["outcome"] for host, each in results.items()},
                         {"127.0.0.1": "ok", "127.0.0.9": "missing"})
        answer = self.deployment.json("run", "--async", self.first, "reboot", check=REFUSED)
        [result] = answer["results"]
        self.assertEqual((answer["ok"], result["outcome"], result["error"]), (1, "refused", "script not permitted"))
        self.assertEqual(self.stored(answer["reqid"]), ["runs"])

    def test_script_finds_the_same_input_and_the_lock_is_free_meanwhile(self):
        reqid = self.begin("--token", "t", "--username", "ann", self.first, "quick", "--", "a b")
        [result] = self.wait(reqid)["results"]
        given = json.loads(result["stdout"])
        self.assertEqual((given["script"], given["args"], given["reqid"], given["username"], given["token"]),
                         ("quick", ["a b"], reqid, "ann", "t"))
        first = self.begin(self.first, "wait")
        second = self.begin(self.first, "wait")
        self.go.touch()
        self.wait(first)
        self.wait(second)

    def test_time_limit(self):
        reqid = self.begin("--timeout", "200ms", self.first, "wait")
        [result] = self.wait(reqid, FAILED)["results"]
        self.assertEqual((result["outcome"], result["timed_out"], result["stdout"]), ("timed-out", True, "web-01\n"))

    def test_cancel(self):
        reqid = self.begin(self.first, self.second, "wait")
        table = self.deployment.dispatcher("cancel", reqid, self.second).stdout.decode().splitlines()
        self.assertEqual([line.split() for line in table if "--" not in line],
                         [["HOST", "STATE"], ["localhost", "cancelling"]])
        answer = self.deployment.json("cancel", reqid)
        self.assertEqual(answer["ok"], 1)
        self.assertEqual({each["host"] for each in answer["hosts"]}, {"127.0.0.1", "localhost"})
        results = self.results(self.wait(reqid, FAILED))
        self.assertEqual({each["outcome"] for each in results.values()}, {"cancelled"})
        self.assertEqual(self.deployment.json("cancel", reqid, self.first)["hosts"],
                         [{"host": "127.0.0.1", "state": "done"}])
        self.assertEqual([each["state"] for each in self.deployment.json("cancel", reqid)["hosts"]], ["done", "done"])
        unknown = self.deployment.json("cancel", "00c9845e0001ab42", self.first, check=FAILED)
        self.assertEqual(unknown["hosts"], [{"host": "127.0.0.1", "state": "unknown"}])

    def test_output_is_followed_from_its_beginning(self):
        reqid = self.begin(self.first, self.second, "talks")
        with self.deployment.start(self.deployment.argv("wait", reqid, "--follow"), "wait") as waiting:
            for host, name in (("127.0.0.1", "web-01"), ("localhost", "web-02")):
                waiting.wait_output(rf"^{host} \| {name} begins$")
                waiting.wait_output(rf"^{host} ! {name} complains$")
            self.assertNotIn("==>", waiting.output)
            self.go.touch()
            self.assertEqual(waiting.wait_exit(), 0, waiting.describe())
        for host, name in (("127.0.0.1", "web-01"), ("localhost", "web-02")):
            self.assertRegex(waiting.output, rf"(?m)^{host} \| {name} ends$")
            self.assertRegex(waiting.output, rf"(?m)^==> {host}  \[OK  exit:0  ")
            self.assertEqual(waiting.output.count(f"{name} begins"), 1)

    def test_agent_may_be_restarted(self):
        reqid = self.begin(self.first, "wait")
        agent = self.agents[0]
        poll("the script runs", lambda: self.ran() == 1)
        with self.deployment.start(self.deployment.argv("wait", reqid, "--json"), "wait") as waiting:
            agent.daemon.stop()
            answer = self.status(reqid, PENDING)
            self.assertEqual(answer["pending"], ["127.0.0.1"])
            text = self.deployment.dispatcher("status", reqid, check=PENDING).stdout.decode()
            self.assertRegex(text, r"\[PENDING  accepted  req:.*\]\n    ERROR: connection refused")
            self.go.touch()
            port = agent.daemon.port
            agent.config.write_text(agent.config.read_text().replace("port = 0\n", f"port = {port}\n"))
            agent.serve()
            self.assertEqual(waiting.wait_exit(), 0, waiting.describe())
            [result] = json.loads(waiting.output)["results"]
            self.assertEqual((result["exit"], result["stdout"]), (0, "web-01\n"))
        self.assertEqual(self.ran(), 1)


class StandIn(RenewingAgent):
    """Takes jobs as it is told to: `submissions`, what becomes of each ("take", "lose the answer", "lose it")."""

    def __init__(self, agent, port):
        super().__init__(agent, port)
        self.behaviour, self.submissions, self.jobs = [], [], {}
        self.hold = None  # an event for which a submission waits before anything is known of it

    def _answer(self, target, asked):
        if target == "/runs":
            self.submissions.append(asked)
            if self.hold:
                self.hold.wait(60)
            act = self.behaviour.pop(0) if self.behaviour else "take"
            if act != "lose it":
                self.jobs.setdefault(asked["reqid"], {"status": "ok", "state": "running", "reqid": asked["reqid"]})
            if act != "take":
                return 0, None
            return 200, {"status": "accepted", "state": "running", "script": asked["script"], "reqid": asked["reqid"]}
        if target.startswith("/result/"):
            reqid = target.removeprefix("/result/")
            return 200, self.jobs.get(reqid, {"status": "ok", "state": "unknown", "reqid": reqid})
        return super()._answer(target, asked)

    def end(self, reqid, state="done", **members):
        result = {"script": "job", "exit": 0, "stdout": "fine\n", "stderr": "", "started": 100, "ended": 104, **members}
        self.jobs[reqid] = {"status": "ok", "state": state, "reqid": reqid, "result": result}


class Accidents(Case):
    """Answers that get lost, agents that forget, dispatchers that are killed."""

    @classmethod
    def setUpClass(cls):
        cls.deployment = cls.enterClassContext(Deployment())
        cls.files = cls.deployment.paired_agent("web-01")

    def setUp(self):
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
        self.agent = self.enterContext(StandIn(self.files, port))
        self.target = f"127.0.0.1:{port}"

    def test_broken_connection_is_tried_again_with_the_same_id(self):
        self.agent.behaviour = ["lose it", "lose the answer", "take"]
        reqid = self.begin(self.target, "job")
        self.assertEqual([each["reqid"] for each in self.agent.submissions], [reqid] * 3)
        self.assertEqual({each["mode"] for each in self.agent.submissions}, {"detach"})
        self.agent.end(reqid)
        [result] = self.wait(reqid)["results"]
        self.assertEqual((result["outcome"], result["rtt"]), ("ok", "4000ms"))

    def test_job_whose_acceptance_got_lost_is_found(self):
        self.agent.behaviour = ["lose the answer"] * 4
        reqid = self.begin(self.target, "job", check=MISSING)
        self.assertEqual(self.status(reqid, PENDING)["pending"], ["127.0.0.1"])
        self.agent.end(reqid, exit=3)
        self.assertEqual(self.results(self.status(reqid, FAILED))["127.0.0.1"]["exit"], 3)

    def test_job_that_was_never_accepted_is_missing(self):
        self.agent.behaviour = ["lose it"] * 4
        done = self.deployment.dispatcher("run", "--async", self.target, "job", check=MISSING)
        self.assertIn(b"it may have been accepted", done.stderr)
        reqid = done.stdout.decode().strip()
        [result] = self.status(reqid, FAILED)["results"]
        self.assertEqual(result["outcome"], "missing")
        self.assertIn("has never confirmed", result["error"])

    def test_job_that_its_agent_has_forgotten_is_lost(self):
        reqid = self.begin(self.target, "job")
        self.agent.jobs.clear()
        [result] = self.wait(reqid, FAILED)["results"]
        self.assertEqual((result["outcome"], result["lost"]), ("lost", True))
        self.assertIn("does not know it any more", result["error"])

    def test_job_that_was_lost_with_its_host(self):
        reqid = self.begin(self.target, "job")
        self.agent.end(reqid, state="lost", exit=-1, error="the host or its container was restarted while it ran")
        text = self.deployment.dispatcher("wait", reqid, check=FAILED).stdout.decode()
        self.assertRegex(text, r"^==> 127\.0\.0\.1  \[LOST  exit:-1  ")

    def test_job_that_is_still_being_submitted_is_never_missing(self):
        self.agent.hold = threading.Event()
        with self.deployment.start(self.deployment.argv("run", "--async", self.target, "job"), "run") as run:
            reqid = poll("the run's id", lambda: run.output.strip())
            poll("the submission", lambda: self.agent.submissions)
            self.assertEqual(self.status(reqid, PENDING)["pending"], ["127.0.0.1"])
            self.agent.hold.set()
            self.assertEqual(run.wait_exit(), 0)
        self.assertEqual(self.status(reqid, PENDING)["pending"], ["127.0.0.1"])
        self.agent.end(reqid)
        self.status(reqid, 0)

    def test_dispatcher_that_is_killed_while_it_submits(self):
        self.agent.hold = threading.Event()
        run = self.deployment.start(self.deployment.argv("run", "--async", self.target, "127.0.0.9:1", "job"), "run")
        reqid = poll("the run's id", lambda: run.output.strip())
        poll("the submission", lambda: self.agent.submissions)
        run.signal(signal.SIGKILL)
        run.wait_exit()
        self.agent.hold.set()
        poll("the job is there", lambda: self.agent.jobs)
        self.assertEqual(sorted(self.status(reqid, PENDING)["pending"]), ["127.0.0.1", "127.0.0.9"])
        self.agent.end(reqid)
        self.assertEqual(self.status(reqid, PENDING)["pending"], ["127.0.0.9"])

    def test_answers_that_make_no_sense_leave_it_pending(self):
        reqid = self.begin(self.target, "job")
        for answer in ({}, [], {"state": "maybe"}, {"state": 1}, {"exit": 0}, {"state": "done", "result": {}},
                       {"state": "done", "result": {"exit": "x"}}, {"state": "done", "result": []}):
            with self.subTest(answer):
                self.agent.jobs[reqid] = answer
                text = self.deployment.dispatcher("status", reqid, check=PENDING).stdout.decode()
                self.assertRegex(text, r"\[PENDING  accepted  .*\]\n    ERROR: the agent's answer")
        self.agent.jobs[reqid] = {"state": "done"}  # without its result
        self.deployment.dispatcher("status", reqid, check=PENDING)

    def test_refusal_in_place_of_a_result(self):
        self.agent.answers["/runs"] = (200, {"script": "job", "exit": -1, "error": "busy: 8 scripts run",
                                             "busy": True})
        answer = self.deployment.json("run", "--async", self.target, "job", check=4)
        self.assertEqual([each["outcome"] for each in answer["results"]], ["busy"])


if __name__ == "__main__":
    unittest.main()
