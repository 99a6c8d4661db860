"""POST /runs and /cancel between peers of ours: a run is bounded, can be cancelled, and is seen while it goes."""

import json
import os
import secrets
import signal
import threading
import time
import unittest

from deployment import Deployment
from dispatcher_client import Caller
from processes import poll, processes_naming
from wire import request

OURS = "X-Ctrl-Exec: 1"


class Case(unittest.TestCase):
    settings = {"kill_grace": "1s"}
    scripts = {}

    @classmethod
    def setUpClass(cls):
        cls.deployment = cls.enterClassContext(Deployment())
        cls.agent = cls.deployment.paired_agent("web-01", **cls.settings)
        for name, text in cls.scripts.items():
            cls.agent.script(name, text)
        cls.agent.serve()
        cls.caller = Caller.of(cls.deployment)

    def ask(self, target, body):
        return self.caller.ask(self.agent, target, body).json

    def run_order(self, script, *args, **members):
        return self.ask("/runs", {"script": script, "args": list(args), "reqid": secrets.token_hex(8), **members})

    def follow(self, script, *args, reqid=None, **members):
        client = self.enterContext(self.caller.connect(self.agent))
        body = {"script": script, "args": list(args), "reqid": reqid or secrets.token_hex(8), "mode": "follow"}
        client.send(request("POST", "/runs", {**body, **members}, OURS))
        head = client.read_head()
        self.assertEqual((head.status, head.headers["content-type"]), (200, "application/x-ndjson"))
        self.assertEqual(head.headers["transfer-encoding"], "chunked")
        return client

    def line(self, client):
        return json.loads(client.read_line())

    def no_script_is_left(self):
        poll("the scripts' end", lambda: processes_naming(self.agent.directory) == [self.agent.daemon.pid])


class Bounds(Case):
    scripts = {
        "sleep": "#!/bin/sh\necho begun; echo worried >&2; exec sleep 1000\n",
        "polite": "#!/bin/sh\ntrap 'echo cleaned; exit 0' TERM\necho begun\nwhile :; do sleep 0.05; done\n",
        "stubborn": "#!/bin/sh\ntrap '' TERM\necho begun\nsleep 1000 &\nwhile :; do sleep 0.05; done\n",
        "quick": "#!/bin/sh\necho quick\n",
    }

    def test_a_script_that_takes_too_long_is_ended(self):
        answer = self.run_order("sleep", timeout_ms=300)
        self.assertEqual((answer["exit"], answer["signal"], answer["timed_out"]), (126, signal.SIGTERM, True))
        self.assertEqual((answer["stdout"], answer["stderr"]), ("begun\n", "worried\n"))
        self.assertNotIn("cancelled", answer)

    def test_one_that_obeys_term_has_not_succeeded_all_the_same(self):
        answer = self.run_order("polite", timeout_ms=300)
        self.assertEqual((answer["exit"], answer["signal"], answer["timed_out"]), (126, signal.SIGTERM, True))
        self.assertEqual(answer["stdout"], "begun\ncleaned\n")

    def test_one_that_ignores_term_is_killed_with_its_group(self):
        start = time.monotonic()
        answer = self.run_order("stubborn", timeout_ms=300)
        self.assertGreaterEqual(time.monotonic() - start, 1.3)
        self.assertEqual((answer["exit"], answer["signal"], answer["timed_out"]), (126, signal.SIGKILL, True))
        self.no_script_is_left()

    def test_one_that_is_quick_enough_is_not_disturbed(self):
        answer = self.run_order("quick", timeout_ms=60000)
        self.assertEqual((answer["exit"], answer["stdout"]), (0, "quick\n"))
        self.assertEqual(set(answer), {"script", "exit", "stdout", "stderr", "reqid"})

    def test_orders_that_mean_nothing_are_refused(self):
        for members in ({"mode": "later"}, {"timeout_ms": 0}, {"timeout_ms": "soon"}):
            answer = self.run_order("quick", **members)
            self.assertEqual(answer["exit"], -1)
            self.assertIn("must be", answer["error"])

    def test_an_old_caller_is_told_in_words(self):
        with Deployment() as deployment:
            agent = deployment.paired_agent("old-01", run_timeout="300ms", kill_grace="1s")
            agent.script("sleep", self.scripts["sleep"])
            agent.serve()
            with Caller.of(deployment).connect(agent) as client:
                client.send(request("POST", "/run", {"script": "sleep", "args": []}))
                answer = client.only_answer().json
        self.assertEqual(answer["exit"], 126)
        self.assertEqual(answer["stderr"], "worried\n[ctrl-exec: timed out]\n")
        self.assertNotIn("timed_out", answer)


class Cancel(Case):
    scripts = {"sleep": "#!/bin/sh\necho begun; exec sleep 1000\n"}

    def test_a_run_is_cancelled_by_its_id(self):
        reqid = secrets.token_hex(8)
        answers = []
        waiting = threading.Thread(target=lambda: answers.append(
            self.ask("/runs", {"script": "sleep", "reqid": reqid})))
        waiting.start()
        cancel = lambda: self.ask("/cancel", {"reqid": reqid})  # noqa: E731
        answer = poll("the run's start", lambda: (a := cancel())["state"] == "cancelling" and a)
        self.assertEqual(answer, {"status": "ok", "state": "cancelling", "reqid": reqid})
        waiting.join()
        [answer] = answers
        self.assertTrue(answer["cancelled"])
        self.assertIn(answer["exit"], (126, -1))  # -1: before it was started
        self.assertEqual(cancel()["state"], "unknown")

    def test_who_has_not_asked_for_it_cannot_cancel_it(self):
        reqid = secrets.token_hex(8)
        client = self.follow("sleep", reqid=reqid)
        self.assertEqual(self.line(client)["data"], "begun\n")
        self.assertEqual(self.ask("/cancel", {"reqid": secrets.token_hex(8)})["state"], "unknown")
        for body in ({}, {"reqid": ""}, {"reqid": [reqid]}):
            self.assertEqual(self.ask("/cancel", body)["state"], "unknown")
        self.assertEqual(self.ask("/cancel", {"reqid": reqid})["state"], "cancelling")
        self.assertEqual(self.line(client)["result"]["cancelled"], True)
        self.agent.daemon.wait_log(f"ACTION=cancel .*REQID={reqid} STATE=cancelling")


class Follow(Case):
    scripts = {
        "steps": "#!/bin/sh\necho one\nread line <\"$1\"\necho two >&2\nread line <\"$2\"\nprintf 'm\\303'\n"
                 "read line <\"$3\"\nprintf '\\266\\377\\n'; exit 3\n",
        "flood": "#!/bin/sh\nhead -c 50000000 /dev/zero | tr '\\0' x\n",
        "gate": "#!/bin/sh\necho begun\nread line <\"$1\"\necho ended\n",
    }

    def gate(self):
        path = self.deployment.directory / f"gate-{secrets.token_hex(4)}"
        os.mkfifo(path)
        return path

    def test_output_comes_while_the_script_runs(self):
        gates = [self.gate() for _ in range(3)]
        client = self.follow("steps", *map(str, gates))
        self.assertEqual(self.line(client), {"stream": "stdout", "offset": 0, "data": "one\n"})
        gates[0].write_text("go\n")
        self.assertEqual(self.line(client), {"stream": "stderr", "offset": 0, "data": "two\n"})
        gates[1].write_text("go\n")
        self.assertEqual(self.line(client), {"stream": "stdout", "offset": 4, "data": "m"})
        gates[2].write_text("go\n")
        line = self.line(client)
        self.assertEqual((line["offset"], line["data"], line["data_b64"]), (5, "ö\ufffd\n", "w7b/Cg=="))
        result = self.line(client)["result"]
        self.assertEqual((result["exit"], result["stderr"]), (3, "two\n"))
        self.assertEqual(result["stdout"], "one\nmö\ufffd\n")
        self.assertIsNone(client.read_line())

    def test_a_flood_is_counted_to_the_last_byte(self):
        client = self.follow("flood")
        expected = 0
        while "result" not in (line := self.line(client)):
            self.assertEqual(line["offset"], expected)
            expected += len(line["data"]) if "data" in line else line["skipped"]
        self.assertEqual(expected, 50_000_000)
        self.assertEqual((line["result"]["stdout_bytes"], line["result"]["stdout_truncated"]), (50_000_000, True))
        self.assertLess(len(line["result"]["stdout"]), 1_100_000)

    def test_a_caller_that_goes_away_does_not_end_the_script(self):
        gate, reqid = self.gate(), secrets.token_hex(8)
        client = self.follow("gate", str(gate), reqid=reqid)
        self.line(client)
        client.close()
        gate.write_text("go\n")
        self.agent.daemon.wait_log(f"ACTION=run .*EXIT=0 .*REQID={reqid}")

    def test_what_is_refused_is_a_plain_answer(self):
        answer = self.run_order("nothing", mode="follow")
        self.assertEqual((answer["exit"], answer["error"]), (-1, "script not permitted"))


class Processing(Case):
    scripts = {"slow": "#!/bin/sh\nread line <\"$1\"\necho done\n", "quick": "#!/bin/sh\n"}

    def test_a_caller_of_ours_hears_that_the_script_runs(self):
        gate = self.deployment.directory / "gate"
        os.mkfifo(gate)
        with self.caller.connect(self.agent) as client:
            client.send(request("POST", "/run", {"script": "slow", "args": [str(gate)]}, OURS))
            interim = client.read_head()
            self.assertEqual((interim.status, interim.headers["x-ctrl-exec"]), (102, "1"))
            gate.write_text("go\n")
            self.assertEqual(client.read_answer().json["stdout"], "done\n")

    def test_an_old_caller_gets_nothing_but_its_answer(self):
        gate = self.deployment.directory / "gate-2"
        os.mkfifo(gate)
        with self.caller.connect(self.agent) as client:
            client.send(request("POST", "/run", {"script": "slow", "args": [str(gate)]}))
            time.sleep(0.8)  # past the half second after which a caller of ours is told
            gate.write_text("go\n")
            self.assertEqual(client.read_head().status, 200)


class ReadTimeout(unittest.TestCase):
    def test_a_dispatcher_that_stops_waiting_says_that_the_script_goes_on(self):
        with Deployment(read_timeout=1) as deployment:
            agent = deployment.paired_agent("web-01")
            agent.script("slow", "#!/bin/sh\nread line <\"$1\"\necho done\n")
            agent.serve()
            gate = deployment.directory / "gate"
            os.mkfifo(gate)
            done = deployment.dispatcher("run", "--json", agent.target, "slow", "--", gate, check=5)
            [result] = json.loads(done.stdout)["results"]
            self.assertEqual((result["outcome"], result["exit"], result["still_running"]), ("still-running", -1, True))
            self.assertIn("within 1 s; the script goes on there", result["error"])
            gate.write_text("go\n")
            agent.daemon.wait_log("ACTION=run .*EXIT=0")


class Shutdown(Case):
    scripts = {"sleep": "#!/bin/sh\necho begun; exec sleep 1000\n"}

    def test_who_waits_for_a_job_is_answered_when_the_agent_ends_and_the_job_goes_on(self):
        reqid = secrets.token_hex(8)
        self.assertEqual(self.ask("/runs", {"script": "sleep", "reqid": reqid, "mode": "detach"})["status"], "accepted")
        with self.caller.connect(self.agent) as client:
            client.send(request("GET", f"/result/{reqid}", None, OURS))
            self.assertEqual(client.read_answer().json["state"], "running")
            client.send(request("GET", f"/result/{reqid}", None, OURS, "Prefer: wait=60"))
            poll("the agent has read the question", client.peer_has_read)
            started = time.monotonic()
            self.agent.daemon.stop()
            self.assertEqual(client.read_answer().json["state"], "running")
        self.assertLess(time.monotonic() - started, 3)
        self.agent.serve()
        self.assertEqual(self.ask("/cancel", {"reqid": reqid})["state"], "cancelling")
        ended = poll("its end", lambda: (a := self.caller.ask(self.agent, f"/result/{reqid}", method="GET").json)
                     ["state"] == "done" and a)
        self.assertEqual((ended["result"]["stdout"], ended["result"]["cancelled"]), ("begun\n", True))


class Busy(Case):
    settings = {"max_runs": 1}
    scripts = {"sleep": "#!/bin/sh\necho begun; exec sleep 1000\n", "quick": "#!/bin/sh\n"}

    def test_more_scripts_than_max_runs_are_refused_as_busy(self):
        reqid = secrets.token_hex(8)
        client = self.follow("sleep", reqid=reqid)
        self.line(client)
        answer = self.run_order("quick")
        self.assertEqual((answer["exit"], answer["busy"]), (-1, True))
        self.assertEqual(answer["error"], "busy: 1 scripts run here already, as many as max_runs permits")
        self.ask("/cancel", {"reqid": reqid})
        self.assertIn("result", self.line(client))
        self.assertEqual(poll("room", lambda: (a := self.run_order("quick"))["exit"] == 0 and a)["exit"], 0)


if __name__ == "__main__":
    unittest.main()
