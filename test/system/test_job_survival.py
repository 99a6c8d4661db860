"""What detached jobs survive, and what becomes of those that do not: each has exactly one outcome, and none runs twice."""

import fcntl
import json
import os
import pathlib
import secrets
import shutil
import signal
import subprocess
import time
import unittest

from deployment import BIN, BUILD
from job_agent import JobAgent, children, is_running, new_reqid
from processes import poll
from test_full_disk import fill, small_disk

NEVER_STARTED = "it was never started: the agent ended while it handed the job over"
KILLED = "its container was restarted, or its supervisor killed, while it ran"
REBOOTED = "the host was restarted while it ran"

# Counts its starts; `grandchild` and its own number are known to the test.
SCRIPT = """#!/bin/sh
echo run >>{0}/runs
sleep 1000 &
echo $! >{0}/grandchild
echo begun
touch {0}/begun
while [ ! -e {0}/go ]; do sleep 0.05; done
kill $!
exit 7
"""


class Case(unittest.TestCase):
    def start(self, **settings):
        self.agent = JobAgent(self, **settings)
        self.folder = self.agent.deployment.directory / "counted"
        self.folder.mkdir()
        self.agent.script("counted", SCRIPT.format(self.folder))
        return self.agent

    def runs(self):
        path = self.folder / "runs"
        return path.read_text().count("run\n") if path.exists() else 0

    def begun(self):
        """A job whose script runs."""
        reqid = self.agent.accepted("counted")
        poll("the script runs", (self.folder / "begun").exists)
        self.agent.script_process(reqid)
        return reqid

    def grandchild(self):
        return int((self.folder / "grandchild").read_text())

    def let_go(self):
        (self.folder / "go").touch()

    def serve_with(self, **environment):
        os.environ.update(environment)
        try:
            self.agent.serve()
        finally:
            for name in environment:
                del os.environ[name]

    def assert_lost(self, reqid, why):
        answer = self.agent.ended(reqid)
        self.assertEqual((answer["state"], answer["result"]["exit"], answer["result"]["lost"],
                          answer["result"]["error"]), ("lost", -1, True, why))
        self.assertEqual(self.agent.submit("counted", reqid=reqid)["state"], "lost")
        self.assertEqual(self.agent.cancel(reqid), "lost")
        return answer["result"]

    def made_by_hand(self, **files):
        """A job of which only these files are there; started: the supervisor's identity, with changes."""
        reqid = new_reqid()
        folder = self.agent.directory_of(reqid)
        folder.mkdir(parents=True, mode=0o700)
        record = {"reqid": reqid, "dispatcher": self.agent.dispatcher, "script": "counted", "username": "u",
                  "peer_ip": "127.0.0.1", "accepted": int(time.time()), "timeout_ms": 0, "kill_grace_ms": 5000,
                  "output_limit": 1 << 20}
        (folder / "job.json").write_text(json.dumps(record))
        (folder / "lock").touch(0o600)
        for name, content in files.items():
            (folder / f"{name}.json").write_text(json.dumps(content))
        return reqid


def identity(pid):
    stat = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return {"pid": pid, "start_ticks": int(stat[19]),
            "boot": pathlib.Path("/proc/sys/kernel/random/boot_id").read_text().strip()}


class AgentsEnd(Case):
    def test_killed_and_started_again_it_finds_the_job_and_its_outcome(self):
        agent = self.start()
        agent.serve()
        reqid = self.begun()
        supervisor = agent.supervisor(reqid)
        agent.kill()
        self.assertTrue(is_running(supervisor))
        agent.serve()
        self.assertEqual(agent.status(reqid)["state"], "running")
        self.let_go()
        self.assertEqual(agent.result(reqid)["exit"], 7)
        agent.daemon.wait_log(f"^ACTION=job-end DISPATCHER={agent.dispatcher} EXIT=7 REQID={reqid}")
        self.assertEqual(self.runs(), 1)
        self.assertFalse(is_running(supervisor))

    def test_one_that_ends_while_no_agent_is_there_is_told_of_later_once(self):
        agent = self.start()
        agent.serve()
        reqid = self.begun()
        supervisor = agent.supervisor(reqid)
        agent.daemon.stop()  # an orderly end leaves it alone, too
        self.assertTrue(is_running(supervisor))
        self.let_go()
        poll("the job has ended", lambda: not is_running(supervisor))
        agent.serve()
        self.assertEqual(agent.status(reqid)["result"]["exit"], 7)
        agent.daemon.wait_log(f"^ACTION=job-end DISPATCHER={agent.dispatcher} EXIT=7 REQID={reqid}")
        agent.daemon.stop()
        agent.serve()
        self.assertEqual(agent.status(reqid)["result"]["exit"], 7)
        self.assertNotIn("ACTION=job-end", agent.daemon.log)

    def test_a_job_of_an_earlier_agent_can_be_cancelled(self):
        agent = self.start()
        agent.serve()
        reqid = self.begun()
        agent.kill()
        agent.serve()
        self.assertEqual(agent.cancel(reqid), "cancelling")
        self.assertEqual((agent.result(reqid)["cancelled"], is_running(self.grandchild())), (True, False))

    def test_an_agent_that_was_replaced_by_an_upgrade_starts_jobs_all_the_same(self):
        agent = self.start()
        binary = agent.deployment.directory / "ctrl-exec-agent"
        shutil.copy(BIN / "ctrl-exec", binary)
        agent.agent.daemon = agent.deployment.start([binary, "--config", agent.config, "serve"], "copy").wait_listening()
        agent.agent.address = agent.agent.daemon.address
        binary.unlink()
        binary.write_text("not a program")
        reqid = self.begun()
        self.let_go()
        self.assertEqual(agent.result(reqid)["exit"], 7)


class SupervisorsEnd(Case):
    def test_killed_the_job_is_lost_at_once_and_nothing_of_it_is_left(self):
        agent = self.start()
        agent.serve()
        reqid = self.begun()
        agent.kill_supervisor(reqid)
        result = self.assert_lost(reqid, KILLED)
        self.assertEqual(result["stdout"], "begun\n")
        self.assertGreater(result["started"], 0)
        poll("its processes are gone", lambda: not is_running(agent.script_process(reqid)) and
             not is_running(self.grandchild()))
        agent.daemon.wait_log(f"^ACTION=job-lost DISPATCHER={agent.dispatcher} REASON=\"its container .* REQID={reqid}")
        self.assertEqual(self.runs(), 1)
        self.assertEqual(children(agent.daemon.pid), [])

    def test_killed_together_with_the_agent(self):
        agent = self.start()
        agent.serve()
        reqid = self.begun()
        agent.kill()
        agent.kill_supervisor(reqid)
        agent.serve()
        self.assert_lost(reqid, KILLED)
        self.assertFalse(is_running(self.grandchild()))
        self.assertEqual(self.runs(), 1)

    def test_a_machine_that_was_restarted_has_lost_its_jobs(self):
        agent = self.start()
        started = {"pid": 4000, "start_ticks": 77, "boot": "of another start", "started": 1700000000}
        reqid = self.made_by_hand(started=started)
        agent.serve()
        self.assertEqual(self.assert_lost(reqid, REBOOTED)["started"], 1700000000)
        self.assertEqual(self.runs(), 0)

    def test_a_process_that_only_has_the_number_of_the_script_is_left_alone(self):
        agent = self.start()
        other = subprocess.Popen(["sleep", "1000"], start_new_session=True)
        self.addCleanup(other.wait, 30)
        self.addCleanup(other.kill)
        started = {**identity(os.getpid()), "started": 1700000000}
        for changes in ({"start_ticks": 5}, {"boot": "of another start"}, {"pid": 1}, {"pid": -1}, {"pid": 0}):
            script = {**identity(other.pid), **changes}
            reqid = self.made_by_hand(started=started, script=script)
            agent.serve()
            self.assert_lost(reqid, KILLED)
            agent.daemon.stop()
            self.assertIsNone(other.poll(), changes)
        reqid = self.made_by_hand(started=started, script=identity(other.pid))
        agent.serve()
        self.assert_lost(reqid, KILLED)
        self.assertEqual(other.wait(30), -signal.SIGKILL)


class Faults(Case):
    """Whoever is killed at whatever moment: the job runs at most once, and says what became of it."""

    def submit_to_one_that_dies(self, fault):
        self.serve_with(CTRL_EXEC_TEST_FAULT=fault)
        reqid = new_reqid()
        with self.assertRaises(Exception):
            self.agent.submit("counted", reqid=reqid)
        self.agent.daemon.wait_exit()
        self.agent.serve()
        return reqid

    def test_the_agent_before_the_job_is_there(self):
        agent = self.start()
        if BUILD == "debug":
            reqid = self.submit_to_one_that_dies("job-filled")
        else:  # what such a death leaves
            reqid = self.made_by_hand()
            agent.directory_of(reqid).rename(agent.jobs / f".{agent.directory_of(reqid).name}.abc.tmp")
            agent.serve()
        self.assertEqual(agent.status(reqid)["state"], "unknown")
        self.assertEqual(self.runs(), 0)
        [leftover] = agent.jobs.iterdir()
        os.utime(leftover, (1, 1))
        agent.daemon.stop()
        agent.serve()
        self.assertEqual(agent.status(reqid)["state"], "unknown")
        self.assertEqual(list(agent.jobs.iterdir()), [])
        # And then it is an ordinary first submission.
        self.let_go()
        self.assertEqual(agent.submit("counted", reqid=reqid)["state"], "running")
        self.assertEqual((agent.result(reqid)["exit"], self.runs()), (7, 1))

    def test_the_agent_between_the_job_and_its_supervisor(self):
        agent = self.start()
        if BUILD == "debug":
            reqid = self.submit_to_one_that_dies("job-created")
        else:
            reqid = self.made_by_hand()
            agent.serve()
        self.assert_lost(reqid, NEVER_STARTED)
        self.assertEqual(self.runs(), 0)

    def test_the_agent_while_it_hands_the_job_over(self):
        agent = self.start()
        if BUILD == "debug":
            reqid = self.submit_to_one_that_dies("job-spawned")
        else:
            reqid = self.made_by_hand()
            supervise(agent.directory_of(reqid), b"")
            agent.serve()
        self.assert_lost(reqid, NEVER_STARTED)
        self.assertEqual(self.runs(), 0)

    def test_the_supervisor_before_and_after_it_has_started_the_script(self):
        agent = self.start()
        self.let_go()
        for fault, most in (("job-started", 0), ("job-running", 1), ("job-ended", 1)):
            before = self.runs()
            if BUILD == "debug":
                self.serve_with(CTRL_EXEC_TEST_FAULT=fault)
                reqid = agent.accepted("counted")
            else:
                reqid = self.made_by_hand(started={**identity(os.getpid()), "started": 1700000000})
                agent.serve()
            self.assert_lost(reqid, KILLED)
            agent.daemon.stop()
            agent.serve()
            self.assert_lost(reqid, KILLED)
            agent.daemon.stop()
            self.assertIn(self.runs() - before, range(most + 1), fault)


def supervise(folder, spec, check=0):
    """A supervisor, as an agent starts it."""
    done = subprocess.run(["ctrl-exec-job", folder], executable=BIN / "ctrl-exec", input=spec, check=False,
                          capture_output=True, timeout=60, env={**os.environ, "CTRL_EXEC_LOG": "stderr"})
    if done.returncode != check:
        raise AssertionError(done)
    return done


class Supervisor(Case):
    SPEC = {"path": "/bin/sh", "arguments": ["-c", "echo $0 $NAME; pwd; umask; cat", "zero"],
            "environment": ["NAME=value", {"b64": "WD3/"}], "directory": "/tmp", "credentials": None, "umask": 0o27,
            "nice": 0, "input": "what it reads", "input_timeout_ms": 5000, "run_timeout_ms": 0, "kill_grace_ms": 100,
            "output_limit": 1000}

    def setUp(self):
        self.start()

    def result(self, reqid):
        return json.loads((self.agent.directory_of(reqid) / "result.json").read_text())

    def output(self, reqid):
        return (self.agent.directory_of(reqid) / "stdout").read_bytes()[40:]

    def test_executes_the_specification_once(self):
        reqid = self.made_by_hand()
        spec = json.dumps(self.SPEC).encode()
        supervise(self.agent.directory_of(reqid), spec)
        self.assertEqual(self.output(reqid), b"zero value\n/tmp\n0027\nwhat it reads")
        first = self.result(reqid)
        self.assertEqual((first["exit"], first["signal"]), (0, 0))
        supervise(self.agent.directory_of(reqid), spec)
        self.assertEqual(self.result(reqid), first)
        (self.agent.directory_of(reqid) / "result.json").unlink()  # but it had been started
        supervise(self.agent.directory_of(reqid), spec)
        self.assertFalse((self.agent.directory_of(reqid) / "result.json").exists())

    def test_starts_nothing_when_the_specification_is_not_whole(self):
        spec = json.dumps(self.SPEC).encode()
        broken = [spec[:n] for n in (0, 1, 50, len(spec) // 2, len(spec) - 1)]
        broken += [b"\0" * 100, b"[]", b"{}", spec + spec, b"\xff" * 10]
        broken += [json.dumps({key: value for key, value in self.SPEC.items() if key != missing}).encode()
                   for missing in self.SPEC]
        wrong = {"path": "bin/sh", "arguments": [1], "environment": {}, "umask": 0o1000, "nice": 20,
                 "credentials": {"uid": 0}, "run_timeout_ms": -1, "output_limit": "1", "input": None}
        broken += [json.dumps({**self.SPEC, key: value}).encode() for key, value in wrong.items()]
        for text in broken:
            reqid = self.made_by_hand()
            supervise(self.agent.directory_of(reqid), text)
            self.assertEqual((self.result(reqid)["lost"], self.result(reqid)["error"]), (True, NEVER_STARTED), text)
            self.assertFalse((self.agent.directory_of(reqid) / "started.json").exists(), text)

    def test_leaves_a_job_alone_that_is_anothers(self):
        reqid = self.made_by_hand()
        with (self.agent.directory_of(reqid) / "lock").open() as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            self.assertIn(b"is held by another process", supervise(self.agent.directory_of(reqid), b"", 1).stderr)
        self.assertFalse((self.agent.directory_of(reqid) / "result.json").exists())
        supervise(self.agent.jobs / "nowhere", b"", 1)


class Strange(Case):
    """A volume may hold anything."""

    def test_what_is_no_job_is_told_and_left_alone(self):
        agent = self.start()
        agent.jobs.mkdir(parents=True)
        names = ["x", "0123456789abcdef", "0123456789abcdef-", "0123456789abcdef-a\nb", f"{'0' * 16}-{'d' * 65}"]
        for name in names:
            (agent.jobs / name).mkdir()
        (agent.jobs / "0123456789abcdef-file").write_text("")
        (agent.jobs / "0123456789abcdef-link").symlink_to("/")
        agent.serve()
        agent.daemon.wait_log("not a job; remove it", 5)
        self.let_go()
        self.assertEqual(agent.result(self.begun())["exit"], 7)
        self.assertEqual(len(list(agent.jobs.iterdir())), 8)

    def test_each_file_of_a_job_may_be_garbage(self):
        agent = self.start()
        agent.serve()
        self.let_go()
        good = self.begun()
        agent.ended(good)
        agent.daemon.stop()
        ways = {"text": lambda p: p.write_bytes(b"\0garbage"), "empty": lambda p: p.write_bytes(b""),
                "directory": lambda p: p.mkdir(), "fifo": lambda p: os.mkfifo(p),
                "loop": lambda p: p.symlink_to(p.name), "huge": lambda p: p.write_bytes(b"[" * 1_000_000),
                "device": lambda p: p.symlink_to("/dev/zero"), "missing": lambda p: None}
        made = {}
        for name in ("job.json", "lock", "started.json", "script.json", "stdout", "stderr", "result.json", "logged"):
            for way, spoil in ways.items():
                reqid = new_reqid()
                folder = agent.directory_of(reqid)
                shutil.copytree(agent.directory_of(good), folder)
                (folder / name).unlink()
                spoil(folder / name)
                made[reqid] = name, way
        agent.serve()
        for reqid, (name, way) in made.items():
            answer = agent.status(reqid, 5)
            with self.subTest(file=name, is_now=way):
                if name == "result.json":
                    self.assertEqual((answer["state"], answer["result"]["exit"]), ("lost", -1))
                else:
                    self.assertEqual((answer["state"], answer["result"]["exit"]), ("done", 7))
                if name == "stdout" and way != "missing":
                    self.assertIn("stdout", answer["result"]["error"])
                self.assertEqual(agent.submit("counted", reqid=reqid)["status"], "accepted")
        self.assertEqual(agent.status(good)["result"]["stdout"], "begun\n")
        self.assertEqual(self.runs(), 1)

    def test_a_jobs_directory_that_cannot_be_used_is_told_and_only_jobs_are_refused(self):
        agent = self.start()
        agent.state.mkdir()
        agent.jobs.write_text("a file")
        agent.serve()
        answer = agent.submit("counted")
        self.assertEqual(answer["exit"], -1)
        self.assertIn(str(agent.jobs), answer["error"])
        self.let_go()
        self.assertEqual(agent.deployment.json("run", agent.target, "counted", check=1)["results"][0]["exit"], 7)


class Keeping(Case):
    def test_for_a_day_after_the_end(self):
        agent = self.start()
        agent.serve()
        self.let_go()
        old, young = self.begun(), agent.accepted("counted")
        for reqid in (old, young):
            agent.ended(reqid)
        agent.daemon.stop()
        for reqid, age in ((old, 86_401), (young, 86_000)):
            path = agent.directory_of(reqid) / "result.json"
            result = json.loads(path.read_text())
            path.write_text(json.dumps({**result, "ended": int(time.time()) - age}))
        agent.serve()
        self.assertEqual([agent.status(reqid)["state"] for reqid in (old, young)], ["unknown", "done"])
        self.assertEqual([path.name for path in agent.jobs.iterdir()], [agent.directory_of(young).name])

    def test_of_ten_thousand_at_most(self):
        agent = self.start()
        agent.jobs.mkdir(parents=True)
        ended = int(time.time()) - 60
        for _ in range(10_000):
            folder = agent.directory_of(secrets.token_hex(8))
            folder.mkdir()
            (folder / "result.json").write_text(json.dumps({"exit": 0, "signal": 0, "started": ended, "ended": ended}))
        agent.serve()
        answer = agent.submit("counted")
        self.assertEqual((answer["exit"], answer["busy"]), (-1, True))
        self.assertIn("too many jobs are stored", answer["error"])
        self.assertEqual(agent.submit("counted", reqid=folder.name[:16])["state"], "done")


class FullDisk(Case):
    def test_a_job_is_refused_when_it_cannot_be_stored(self):
        disk = self.enterContext(small_disk(1024))
        agent = self.start(state_dir=disk)
        agent.serve()
        self.let_go()
        agent.result(self.begun())
        for pages in range(6):
            fill(disk, pages)
            answer = agent.submit("counted")
            if answer.get("status") == "accepted":  # room enough for it, or at least to tell its outcome
                result = agent.result(answer["reqid"])
                if not result.get("lost"):
                    continue
                self.assertIn("No space left on device", result["error"])
            else:
                self.assertEqual(answer["exit"], -1)
                self.assertIn("No space left on device", answer["error"])
                self.assertIn("free some space", answer["error"])
                self.assertEqual(agent.status(answer["reqid"])["state"], "unknown")
        (disk / "filler").unlink()
        self.assertEqual(agent.result(agent.accepted("counted"))["exit"], 7)
        self.assertEqual([path for path in agent.jobs.iterdir() if path.name.endswith(".tmp")], [])

    def test_one_that_fills_it_has_its_outcome_and_says_how_much_is_missing(self):
        disk = self.enterContext(small_disk(1024))
        agent = self.start(state_dir=disk, output_limit="4M")
        agent.script("much", "#!/bin/sh\nyes 0123456789abcde | head -c 8000000\nexit 9\n")
        agent.serve()
        result = agent.result(agent.accepted("much"))
        self.assertEqual((result["exit"], result["stdout_truncated"], result["stdout_bytes"]), (9, True, 8_000_000))
        agent.daemon.wait_log("^ACTION=job-fail .*REASON=.*No space left on device.*the rest of the output is left out")
        self.assertRegex(result["stdout"], r"\A(0123456789abcde\n)+.*\n\[ctrl-exec: \d+ bytes left out\]\n\Z")


class Capacity(Case):
    def test_jobs_of_an_earlier_agent_count(self):
        agent = self.start(max_runs=2)
        agent.script("other", "#!/bin/sh\necho other\n")
        agent.serve()
        first = self.begun()
        second = agent.accepted("counted")
        agent.script_process(second)  # before that, it would end with the agent
        agent.kill()
        agent.serve()
        answer = agent.submit("other")
        self.assertEqual((answer["exit"], answer["busy"]), (-1, True))
        self.assertIn("max_runs", answer["error"])
        # The same job again takes no place.
        self.assertEqual(agent.submit("counted", reqid=first)["state"], "running")
        self.let_go()
        for reqid in (first, second):
            agent.ended(reqid)
        self.assertEqual(agent.result(agent.accepted("other"))["stdout"], "other\n")

    def test_concurrency_of_a_script_holds_for_its_jobs(self):
        agent = self.start()
        agent.allowlist.write_text(agent.allowlist.read_text().rstrip("\n") + " concurrency=1\n")
        agent.script("other", "#!/bin/sh\necho other\n")
        agent.serve()
        first = self.begun()
        for again in (False, True):
            if again:
                agent.kill()
                agent.serve()
            answer = agent.submit("counted")
            self.assertEqual((answer["exit"], answer["busy"]), (-1, True))
            self.assertEqual(agent.result(agent.accepted("other"))["stdout"], "other\n")
        self.let_go()
        agent.ended(first)
        self.assertEqual(agent.result(agent.accepted("counted"))["exit"], 7)
        self.assertEqual(self.runs(), 2)


if __name__ == "__main__":
    unittest.main()
