"""A thousand detached jobs at the same time: all are accepted, each has its own outcome, and neither processes nor
descriptors nor memory stay behind. With sanitizers, which make each process a large one, a hundred."""

import concurrent.futures
import os
import pathlib
import unittest

from deployment import BUILD
from job_agent import JobAgent, children, new_reqid
from processes import poll
from wire import request

COUNT = 1000 if BUILD == "release" else 100
PATIENCE = 240  # seconds for all of them to start, on a machine that is busy with other tests
MAX_PSS = 400  # KiB of a supervisor, in the release build
SCRIPT = """#!/bin/sh
read line <{0}/gate
echo "$1"
exit 5
"""


def pss(pid):
    """KiB that the process has for itself, with its share of what it shares."""
    for line in pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1])
    raise AssertionError("no Pss")


def descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


class Many(unittest.TestCase):
    def setUp(self):
        self.agent = JobAgent(self, max_runs=2 * COUNT)
        self.gate = self.agent.deployment.directory / "gate"
        os.mkfifo(self.gate)
        self.agent.script("waits", SCRIPT.format(self.gate.parent))
        self.agent.serve()

    def submit(self, reqids):
        """All of them on one connection."""
        with self.agent.caller.connect(self.agent) as client:
            for reqid in reqids:
                client.send(request("POST", "/runs", {"script": "waits", "args": [reqid], "reqid": reqid, "mode": "detach"},
                                    "X-Ctrl-Exec: 1"))
                answer = client.read_answer()
                self.assertEqual((answer.status, answer.json["status"]), (200, "accepted"))

    def all_running(self, reqids):
        return all((self.agent.directory_of(reqid) / "script.json").exists() for reqid in reqids)

    def open_gate(self):
        """Whoever reads the FIFO, now or later, gets its end, or a line."""
        self.writer = os.open(self.gate, os.O_RDWR)
        self.addCleanup(os.close, self.writer)
        os.write(self.writer, b"\n" * COUNT)

    def check_results(self, reqids):
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            for reqid, result in zip(reqids, pool.map(self.agent.result, reqids)):
                self.assertEqual((result["exit"], result["stdout"]), (5, f"{reqid}\n"))

    def test_run_beside_each_other_and_leave_nothing(self):
        agent = self.agent
        first = new_reqid()
        self.submit([first])
        before = descriptors(agent.daemon.pid)
        reqids = [new_reqid() for _ in range(COUNT)]
        parts = [reqids[i::8] for i in range(8)]
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            list(pool.map(self.submit, parts))
        poll("all run", lambda: self.all_running(reqids), PATIENCE)
        supervisors = children(agent.daemon.pid)
        self.assertEqual(len(supervisors), COUNT + 1)
        if BUILD == "release":
            each = [pss(pid) for pid in supervisors]
            self.assertLess(sum(each) / len(each), MAX_PSS)
        self.assertEqual(agent.submit("waits", reqid=reqids[0])["state"], "running")
        self.open_gate()
        os.write(self.writer, b"\n")
        self.check_results(reqids)
        agent.ended(first)
        poll("no child is left", lambda: not children(agent.daemon.pid))
        poll("no descriptor is left", lambda: descriptors(agent.daemon.pid) <= before)

    def test_survive_an_agent_that_is_killed_and_are_all_found_again(self):
        reqids = [new_reqid() for _ in range(COUNT)]
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            list(pool.map(self.submit, [reqids[i::8] for i in range(8)]))
        poll("all run", lambda: self.all_running(reqids), PATIENCE)  # before that, they would end with the agent
        self.agent.kill()
        self.agent.serve()
        self.open_gate()
        self.check_results(reqids)


if __name__ == "__main__":
    unittest.main()
