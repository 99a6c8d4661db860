#!/usr/bin/python3
"""Kills agents, dispatchers and supervisors under load, at random moments, and holds every run to a ledger.

The script of the load writes its run's id into the ledger of its host as the first thing it does. At the end every
run that a dispatcher remembers must have exactly one outcome on each host, the ledger must agree with it, and nobody
may stand there twice. `soak.py MINUTES [SEED]`, or `./dev soak MINUTES`; CTRL_EXEC_BIN_DIR names the program.
"""

import collections
import concurrent.futures
import json
import os
import pathlib
import random
import signal
import subprocess
import sys
import threading
import time

from api import Client, serve_api
from deployment import BIN, Deployment

HOSTS = 3
FINAL = {"ok", "failed", "lost", "refused", "busy", "missing"}
NEVER_RAN = {"refused", "busy", "missing"}
PAUSE = 0.5  # seconds; without it an hour would leave more outcomes than anybody wants to ask for
LONG = 120  # seconds that nothing here may take

SCRIPT = r"""#!/bin/sh
read -r input
id=${input#*\"reqid\":\"}
id=${id%%\"*}
[ -n "$id" ] || exit 98  # the agent was killed before it had given us our input, and whoever waited for us knows nothing
echo "$id $2" >>"LEDGER" || exit 99
echo "begun $id"
sleep "$1"
exit "$2"
"""


class Tally:
    """What the threads of the load have seen."""

    def __init__(self):
        self._lock = threading.Lock()
        self.accepted = set()  # (reqid, host): somebody was told that it was accepted
        self.told = {}  # (reqid, host) -> outcome that a waiting caller was told
        self.supervisors_killed = set()  # reqid
        self.counts = collections.Counter()
        self.problems = []

    def count(self, what):
        with self._lock:
            self.counts[what] += 1

    def accept(self, reqid, host):
        with self._lock:
            self.accepted.add((reqid, host))

    def tell(self, reqid, host, outcome):
        with self._lock:
            self.told[reqid, host] = outcome

    def complain(self, problem):
        with self._lock:
            self.problems.append(problem)


class Soak:
    """The dispatcher on this host, and agents anywhere."""

    submitters = 6

    def __init__(self, deployment, agents, seed, pause=0.0):
        self.deployment, self.agents, self.seed, self.pause = deployment, agents, seed, pause
        self.tally = Tally()
        self.stopping = threading.Event()
        self.reckoning = False  # from then on nothing is killed any more
        self.api = None

    def targets(self, chance):
        return [agent.target for agent in chance.sample(self.agents, chance.randint(1, len(self.agents)))]

    # --- load ---

    def work(self, chance):
        return [str(chance.choice((0, 0, 0.05, 0.3, 1, 2))), str(chance.choice((0, 0, 0, 3)))]

    def command(self, chance, *words, deadly=0.0):
        """What a dispatcher command prints as JSON, or nothing when it was killed."""
        process = subprocess.Popen([str(w) for w in self.deployment.argv(*words)], stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, env=self.deployment.environment())
        try:
            if chance.random() < deadly:
                try:
                    process.wait(chance.uniform(0, 0.15))
                except subprocess.TimeoutExpired:
                    process.kill()
                    self.tally.count("dispatchers killed")
            out, err = process.communicate(timeout=LONG)
        except subprocess.TimeoutExpired:
            process.kill()
            self.tally.complain(f"{words} does not end")
            return None
        if process.returncode == -signal.SIGKILL:
            return None
        try:
            return json.loads(out)
        except ValueError:
            self.tally.complain(f"{words}: exit {process.returncode}, no JSON: {out!r} {err!r}")
            return None

    def submit_by_command(self, chance):
        targets = self.targets(chance)
        answer = self.command(chance, "run", "--async", "--json", *targets, "work", "--", *self.work(chance), deadly=0.3)
        self.tally.count("async runs by command")
        if answer:
            self.note_accepted(answer, targets)

    def submit_by_api(self, chance):
        targets = self.targets(chance)
        try:
            with Client(self.api.address) as client:
                status, answer = client.call("POST", "/run", {"hosts": targets, "script": "work", "async": True,
                                                              "args": self.work(chance)})
        except (OSError, ValueError) as gone:
            self.tally.count(f"API gone: {type(gone).__name__}")
            time.sleep(0.05)
            return
        self.tally.count("async runs by API")
        if status == 202:
            self.note_accepted(answer, targets)
        elif status != 503:
            self.tally.complain(f"POST /run answered {status}: {answer}")

    def note_accepted(self, answer, targets):
        refused = {result["host"] for result in answer.get("results", [])}
        for target in targets:
            if host_of(target) not in refused:
                self.tally.accept(answer["reqid"], host_of(target))

    def run_and_wait(self, chance):
        targets = self.targets(chance)[:1]
        # Under another name: as long as one is waited for, its script begins on that host for nobody else.
        answer = self.command(chance, "run", "--json", *targets, "waited", "--", *self.work(chance), deadly=0.2)
        self.tally.count("runs that are waited for")
        if not answer or "results" not in answer:  # killed, or locked: another one of the load is there
            return
        for result in answer["results"]:
            self.tally.tell(result["reqid"], result["host"], result["outcome"])

    def load(self, number):
        chance = random.Random(f"{self.seed}-{number}")
        kinds = [self.submit_by_command, self.submit_by_command, self.run_and_wait]
        if self.api:
            kinds.append(self.submit_by_api)
        while not self.stopping.is_set():
            chance.choice(kinds)(chance)
            self.stopping.wait(chance.uniform(0, 2 * self.pause))

    # --- kills ---

    def kill_agents(self):
        chance = random.Random(f"{self.seed}-agents")
        while not self.stopping.wait(chance.uniform(0.1, 1.5)):
            agent = chance.choice(self.agents)
            agent.kill()
            time.sleep(chance.uniform(0, 0.3))
            agent.revive()
            self.tally.count("agents killed")

    def kill_supervisors(self):
        chance = random.Random(f"{self.seed}-supervisors")
        while not self.stopping.wait(chance.uniform(0.5, 4)):
            agent = chance.choice(self.agents)
            jobs = [job for job in agent.jobs.glob("*/started.json") if not (job.parent / "result.json").exists()]
            if not jobs:
                continue
            job = chance.choice(jobs)
            try:
                pid = json.loads(job.read_text())["pid"]
                # It may have ended, and its number may be another's: only what names this job is killed.
                if os.fsencode(job.parent.name) in pathlib.Path(f"/proc/{pid}/cmdline").read_bytes():
                    self.tally.supervisors_killed.add(job.parent.name.partition("-")[0])
                    os.kill(pid, signal.SIGKILL)
                    self.tally.count("supervisors killed")
            except (OSError, ValueError):
                pass

    def kill_api(self):
        chance = random.Random(f"{self.seed}-api")
        while not self.stopping.wait(chance.uniform(0.5, 3)):
            self.api.process.kill()
            self.api.process.wait()
            self.api = serve_api(self.deployment)
            self.tally.count("APIs killed")

    # --- the end ---

    def run(self, seconds, with_api=True):
        """The problems that were found; none is what is hoped for."""
        if with_api:
            self.api = serve_api(self.deployment)
        threads = [threading.Thread(target=self.load, args=(number,)) for number in range(self.submitters)]
        threads.append(threading.Thread(target=self.kill_agents))
        if all(agent.on_this_host for agent in self.agents):
            threads.append(threading.Thread(target=self.kill_supervisors))
        if with_api:
            threads.append(threading.Thread(target=self.kill_api))
        for thread in threads:
            thread.start()
        time.sleep(seconds)  # the load itself: nothing is waited for
        self.stopping.set()
        for thread in threads:
            thread.join()
        self.reckoning = True
        problems = self.reckon()
        return self.tally.problems + problems

    def records(self):
        """(reqid, hosts) of each asynchronous run that a dispatcher has written down, complete or not."""
        runs = self.deployment.state / "runs"
        found = {}
        for path in [*runs.glob("*.json"), *runs.glob("submitted/*.json")]:
            record = json.loads(path.read_text())
            found[record["reqid"]] = record
        return found

    def ledger(self):
        return {host_of(agent.target): collections.Counter(line.split()[0] for line in agent.ledger_lines())
                for agent in self.agents}

    def codes(self):
        return dict(line.split() for agent in self.agents for line in agent.ledger_lines())

    def ask_twice(self, reqid):
        chance = random.Random(reqid)
        return (self.command(chance, "wait", "--json", "--timeout", str(LONG), reqid),
                self.command(chance, "status", "--json", reqid))

    def reckon(self):
        problems, outcomes, records = [], {}, list(self.records())
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            answers = list(pool.map(self.ask_twice, records))
        for reqid, (first, again) in zip(records, answers):
            if first is None or again is None:
                problems.append(f"{reqid}: no answer")
                continue
            of_first = {result["host"]: result for result in first["results"]}
            of_again = {result["host"]: result for result in again["results"]}
            if of_first != of_again:
                problems.append(f"{reqid}: two outcomes: {of_first} and {of_again}")
            if set(of_first) != set(first["hosts"]) or len(first["results"]) != len(of_first):
                problems.append(f"{reqid}: not one outcome for each of {first['hosts']}: {first['results']}")
            outcomes.update({(reqid, host): result for host, result in of_first.items()})
        ledger, codes = self.ledger(), self.codes()
        for (reqid, host), result in outcomes.items():
            self.tally.count(f"outcome {result['outcome']}")
            problems += self.judge(reqid, host, result, ledger[host][reqid], codes.get(reqid))
        for (reqid, host), outcome in self.tally.told.items():
            ran = ledger[host][reqid]
            if ran > 1 or (outcome in ("ok", "failed") and ran != 1):
                problems.append(f"{reqid} on {host} ran {ran} times, and its caller was told: {outcome}")
        for host, entries in ledger.items():
            for reqid, times in entries.items():
                if times > 1:
                    problems.append(f"{reqid} ran {times} times on {host}")
        for reqid, host in self.tally.accepted - set(outcomes):
            problems.append(f"{reqid} was accepted by {host}, and nobody remembers it")
        self.tally.counts["entries in the ledgers"] = sum(sum(entries.values()) for entries in ledger.values())
        return problems

    def judge(self, reqid, host, result, ran, code):
        outcome, what = result["outcome"], f"{reqid} on {host}: {result}"
        if outcome not in FINAL:
            return [f"no final outcome: {what}"]
        if outcome in ("ok", "failed") and (ran != 1 or str(result["exit"]) != code):
            return [f"ran {ran} times, to exit with {code}: {what}"]
        if outcome in NEVER_RAN and ran != 0:
            return [f"ran all the same: {what}"]
        if outcome in NEVER_RAN and (reqid, host) in self.tally.accepted:
            return [f"was accepted: {what}"]
        on_this_host = all(agent.on_this_host for agent in self.agents)
        if outcome == "lost" and ran and on_this_host and reqid not in self.tally.supervisors_killed:
            return [f"lost, and nobody had killed its supervisor: {what}"]
        return []


def host_of(target):
    return target.partition(":")[0]


class SoakedAgent:
    """An agent on this host, on an address of its own, so that its results can be told from others'."""

    on_this_host = True

    def __init__(self, deployment, number):
        self.name = f"soak-{number}"
        self.agent = deployment.agent(self.name, bind=f"127.0.0.{number + 1}", max_runs=200, rate_limit_disable="yes")
        self.ledger = self.agent.directory / "ledger"
        self.jobs = self.agent.directory / "state" / "jobs"
        path = self.agent.script("work", SCRIPT.replace("LEDGER", str(self.ledger)))
        self.agent.allow("waited", path)

    def start(self):
        self.agent.serve()
        self.target = self.agent.target
        self.agent.settings["port"] = self.target.rpartition(":")[2]
        self.agent.config.write_text("".join(f"{key} = {value}\n" for key, value in self.agent.settings.items()))

    def kill(self):
        self.agent.daemon.process.kill()
        self.agent.daemon.process.wait()

    def revive(self):
        self.agent.serve()

    def ledger_lines(self):
        return self.ledger.read_text().splitlines() if self.ledger.exists() else []


def soak(seconds, seed, with_api=True, pause=0.0):
    """(problems, what happened). `pause`: seconds that each thread of the load waits after a request, on average."""
    settings = {"api_port": 0, "api_auth_default": "allow"} if with_api else {}
    with Deployment(**settings) as deployment:
        agents = [SoakedAgent(deployment, number) for number in range(HOSTS)]
        with deployment.pairing_mode() as listener:
            for agent in agents:
                agent.agent.pair(listener)
        for agent in agents:
            agent.start()
        soaked = Soak(deployment, agents, seed, pause)
        problems = soaked.run(seconds, with_api)
        return problems, soaked.tally.counts


def main(minutes, seed=None):
    seed = seed or str(time.time_ns())
    print(f"Soaking for {minutes} min with {BIN}, seed {seed}", flush=True)
    problems, counts = soak(float(minutes) * 60, seed, pause=PAUSE)
    for what, count in sorted(counts.items()):
        print(f"{count:8} {what}")
    for problem in problems:
        print(problem, file=sys.stderr)
    print("no problem found" if not problems else f"{len(problems)} problems found; the seed was {seed}")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
