"""Detached jobs of the agent: what is submitted runs once, and its outcome can be asked for, waited for and cancelled."""

import base64
import concurrent.futures
import os
import signal
import time
import unittest

from job_agent import JobAgent, children, is_running, new_reqid
from processes import poll

COUNTED = """#!/bin/sh
echo run >>{directory}/runs
cat >{directory}/stdin
while [ ! -e {directory}/go ]; do sleep 0.05; done
exit 7
"""


class Case(unittest.TestCase):
    def start(self, **settings):
        self.agent = JobAgent(self, **settings)
        return self.agent

    def counted(self):
        """A script that counts its starts, and ends once it may."""
        self.folder = self.agent.deployment.directory / "counted"
        self.folder.mkdir()
        self.agent.script("counted", COUNTED.format(directory=self.folder))
        return "counted"

    def runs(self):
        path = self.folder / "runs"
        return path.read_text().count("run\n") if path.exists() else 0

    def wait_started(self):
        poll("the script has read its stdin", lambda: (self.folder / "stdin").exists() and self.runs())

    def let_go(self):
        (self.folder / "go").touch()


class Submission(Case):
    def test_is_accepted_runs_once_and_its_outcome_is_kept(self):
        agent = self.start()
        agent.allow("x", "/bin/false")
        name = self.counted()
        agent.serve()
        before = time.time()
        reqid = new_reqid()
        answer = agent.submit(name, "a", "b", reqid=reqid)
        self.assertEqual(answer, {"status": "accepted", "state": "running", "script": name, "reqid": reqid})
        self.wait_started()
        status = agent.status(reqid)
        self.assertEqual((status["status"], status["state"], status["reqid"], status["script"]),
                         ("ok", "running", reqid, name))
        self.assertAlmostEqual(status["started"], before, delta=20)
        self.let_go()
        ended = agent.ended(reqid)
        self.assertEqual((ended["status"], ended["state"], ended["reqid"]), ("ok", "done", reqid))
        result = ended["result"]
        self.assertGreaterEqual(result.pop("ended"), result.pop("started"))
        self.assertEqual(result, {"script": name, "exit": 7, "stdout": "", "stderr": "", "reqid": reqid})
        self.assertEqual(self.runs(), 1)
        self.assertIn('"args":["a","b"]', (self.folder / "stdin").read_text())
        self.assertIn('"token":"s3cret"', (self.folder / "stdin").read_text())
        agent.daemon.wait_log(f"^ACTION=job-start DISPATCHER={agent.dispatcher} PEER=127.0.0.1 REQID={reqid} SCRIPT=")
        agent.daemon.wait_log(f"^ACTION=job-end DISPATCHER={agent.dispatcher} EXIT=7 REQID={reqid} SCRIPT={name}$")

    def test_a_second_one_starts_nothing_before_and_after_the_end_and_a_restart(self):
        agent = self.start()
        name = self.counted()
        agent.serve()
        reqid = agent.accepted(name)
        self.wait_started()
        self.assertEqual(agent.submit(name, reqid=reqid)["state"], "running")
        agent.kill()
        agent.serve()
        self.assertEqual(agent.submit(name, reqid=reqid)["state"], "running")
        self.let_go()
        agent.ended(reqid)
        self.assertEqual(agent.submit(name, reqid=reqid)["state"], "done")
        agent.daemon.stop()
        agent.serve()
        self.assertEqual(agent.submit(name, reqid=reqid)["state"], "done")
        self.assertEqual(self.runs(), 1)

    def test_many_at_once_of_the_same_job_start_it_once(self):
        agent = self.start()
        name = self.counted()
        agent.serve()
        reqid = new_reqid()
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(lambda _: agent.submit(name, reqid=reqid), range(16)))
        self.assertEqual({(a["status"], a["state"]) for a in answers}, {("accepted", "running")})
        self.let_go()
        agent.ended(reqid)
        self.assertEqual(self.runs(), 1)

    def test_another_dispatcher_neither_sees_nor_ends_it_and_may_use_the_same_id(self):
        agent = self.start()
        other = agent.add_dispatcher("other")
        name = self.counted()
        agent.script("quick", "#!/bin/sh\necho quick\n")
        agent.serve()
        reqid = agent.accepted(name)
        self.wait_started()
        self.assertEqual(agent.status(reqid, caller=other), {"status": "ok", "state": "unknown", "reqid": reqid})
        self.assertEqual(agent.cancel(reqid, caller=other), "unknown")
        self.assertEqual(agent.submit("quick", reqid=reqid, caller=other)["status"], "accepted")
        theirs = agent.status(reqid, 30, caller=other)
        self.assertEqual(theirs["result"]["stdout"], "quick\n")
        self.assertEqual(agent.status(reqid)["state"], "running")
        self.let_go()
        self.assertEqual(agent.result(reqid)["exit"], 7)

    def test_is_refused_as_a_run_is(self):
        agent = self.start()
        agent.script("listed", "#!/bin/sh\n")
        agent.serve()
        reqid = new_reqid()
        answer = agent.submit("unlisted", reqid=reqid)
        self.assertEqual((answer["exit"], answer["error"], answer["reqid"]), (-1, "script not permitted", reqid))
        self.assertEqual(agent.status(reqid)["state"], "unknown")
        for bad in ("", "0123", "../../etc/passwd", "0123456789ABCDEF", "0123456789abcdef0", "x" * 5000):
            answer = agent.submit("listed", reqid=bad) if bad else agent.ask(
                "/runs", {"script": "listed", "args": [], "mode": "detach"})
            self.assertEqual(answer["exit"], -1, bad)
            self.assertIn("16 hex digits", answer["error"])
        self.assertFalse(agent.jobs.exists() and any(agent.jobs.iterdir()))

    def test_one_that_cannot_be_executed_has_that_for_its_outcome(self):
        agent = self.start()
        agent.allow("missing", agent.directory / "nowhere.sh")
        agent.serve()
        result = agent.result(agent.accepted("missing"))
        self.assertEqual(result["exit"], 127)
        self.assertIn("no such file", result["stderr"])


class Files(Case):
    def test_hold_no_secret_and_are_for_the_agent_alone(self):
        agent = self.start()
        name = self.counted()
        agent.serve()
        reqid = agent.accepted(name)
        self.wait_started()
        self.let_go()
        agent.ended(reqid)
        self.assertEqual(agent.jobs.stat().st_mode & 0o777, 0o700)
        folder = agent.directory_of(reqid)
        self.assertEqual(folder.stat().st_mode & 0o777, 0o700)
        for path in folder.iterdir():
            self.assertEqual(path.stat().st_mode & 0o777, 0o600, path)
            self.assertNotIn(b"s3cret", path.read_bytes(), path)
        self.assertNotIn("s3cret", agent.daemon.log)


class Waiting(Case):
    def test_an_answer_comes_when_the_job_ends_or_the_time_is_over(self):
        agent = self.start()
        name = self.counted()
        agent.serve()
        reqid = agent.accepted(name)
        self.wait_started()
        begin = time.monotonic()
        self.assertEqual(agent.status(reqid, wait=1)["state"], "running")
        self.assertGreater(time.monotonic() - begin, 0.9)
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            waiting = [pool.submit(agent.status, reqid, 60) for _ in range(4)]
            self.assertEqual(concurrent.futures.wait(waiting, 0.3).done, set())
            begin = time.monotonic()
            self.let_go()
            for answer in waiting:
                self.assertEqual(answer.result()["result"]["exit"], 7)
            self.assertLess(time.monotonic() - begin, 10)

    def test_a_preference_that_is_none_is_none(self):
        agent = self.start()
        name = self.counted()
        agent.serve()
        reqid = agent.accepted(name)
        for text in ("wait=x", "wait=-1", "wait", "", "respond-async", "wait=99999999999999999999"):
            answer = agent.ask(f"/result/{reqid}", method="GET", headers=[f"Prefer: {text}"])
            self.assertEqual(answer["state"], "running", text)
        for target in ("", "x", "0123456789abcdef", "../jobs", "0" * 4000, f"{reqid}/", f"{reqid}?x"):
            self.assertEqual(agent.ask(f"/result/{target}", method="GET")["state"], "unknown", target)
        self.let_go()
        agent.ended(reqid)


class Output(Case):
    def test_of_both_streams_is_exact_whatever_bytes_it_has(self):
        agent = self.start()
        agent.script("bytes", "#!/bin/sh\nprintf 'a\\377\\000b'\nprintf 'oops\\n' >&2\n")
        agent.serve()
        result = agent.result(agent.accepted("bytes"))
        self.assertEqual(base64.b64decode(result["stdout_b64"]), b"a\xff\0b")
        self.assertEqual(result["stdout"], "a\ufffd\0b")
        self.assertEqual(result["stderr"], "oops\n")
        self.assertNotIn("stdout_truncated", result)

    def test_beyond_the_limit_is_cut_in_the_middle_on_disk_too(self):
        agent = self.start(output_limit="64K")
        agent.script("much", "#!/bin/sh\necho begin\nyes 0123456789abcde | head -c 50000000\necho end\n")
        agent.serve()
        reqid = agent.accepted("much")
        result = agent.result(reqid)
        total = 50_000_000 + len("begin\nend\n")
        self.assertEqual((result["exit"], result["stdout_truncated"], result["stdout_bytes"]), (0, True, total))
        head, _, tail = result["stdout"].partition(f"\n[ctrl-exec: {total - 65536} bytes left out]\n")
        self.assertEqual((len(head), len(tail)), (32768, 32768))
        self.assertTrue(head.startswith("begin\n0123") and tail.endswith("0123456789abcde\nend\n"))
        self.assertLess((agent.directory_of(reqid) / "stdout").stat().st_size, 66_000)


class Ending(Case):
    def test_cancelled(self):
        agent = self.start()
        agent.script("sleep", "#!/bin/sh\necho begun\nsleep 1000 &\nwait\n")
        agent.serve()
        reqid = agent.accepted("sleep")
        poll("output", lambda: agent.status(reqid)["stdout_bytes"])
        self.assertEqual(agent.cancel(reqid), "cancelling")
        result = agent.result(reqid)
        self.assertEqual((result["exit"], result["signal"], result["cancelled"], result["stdout"]),
                         (126, signal.SIGTERM, True, "begun\n"))
        self.assertEqual(agent.cancel(reqid), "done")
        self.assertEqual(agent.cancel(new_reqid()), "unknown")

    def test_cancelled_at_once_after_the_submission(self):
        agent = self.start()
        agent.script("sleep", "#!/bin/sh\nexec sleep 1000\n")
        agent.serve()
        for _ in range(20):
            reqid = agent.accepted("sleep")
            self.assertEqual(agent.cancel(reqid), "cancelling")
            result = agent.result(reqid)
            self.assertEqual((result["exit"], result["cancelled"]), (126, True), result)

    def test_when_its_time_is_over_although_it_ignores_term(self):
        agent = self.start(kill_grace="500ms")
        agent.script("deaf", "#!/bin/sh\ntrap '' TERM\necho begun\nwhile :; do sleep 0.1; done\n")
        agent.serve()
        reqid = agent.accepted("deaf", timeout_ms=700)
        script = agent.script_process(reqid)
        result = agent.result(reqid)
        self.assertEqual((result["exit"], result["signal"], result["timed_out"], result["stdout"]),
                         (126, signal.SIGKILL, True, "begun\n"))
        self.assertNotIn("cancelled", result)
        self.assertFalse(is_running(script))

    def test_by_a_signal_of_its_own(self):
        agent = self.start()
        agent.script("abort", "#!/bin/sh\nkill -ABRT $$\n")
        agent.serve()
        result = agent.result(agent.accepted("abort"))
        self.assertEqual((result["exit"], result["signal"]), (126, signal.SIGABRT))
        self.assertNotIn("timed_out", result)

    def test_because_the_host_goes_down(self):
        agent = self.start()
        agent.script("sleep", "#!/bin/sh\nexec sleep 1000\n")
        agent.serve()
        reqid = agent.accepted("sleep")
        agent.script_process(reqid)
        os.kill(agent.supervisor(reqid), signal.SIGTERM)
        result = agent.result(reqid)
        self.assertEqual((result["exit"], result["cancelled"], result["error"]),
                         (126, True, "it was ended because the host goes down"))


if __name__ == "__main__":
    unittest.main()
