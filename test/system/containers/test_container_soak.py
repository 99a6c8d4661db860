"""The soak with agents and dispatcher in containers, each the first process of its own: a kill takes all of a
container along, and what ran there is lost, never twice run and never running for ever."""

import json
import random
import subprocess
import time
import unittest

from container_case import ContainerCase
from soak import LONG, SCRIPT, Soak

SECONDS = 20
LEDGER = "/tmp/ledger"


class SoakedContainer:
    on_this_host = False

    def __init__(self, container):
        self.container, self.target = container, container.name

    def kill(self):
        self.container.engine.docker("kill", self.target)

    def revive(self):
        self.container.engine.docker("start", self.target)

    def ledger_lines(self):
        return self.container.exec("sh", "-c", f"cat {LEDGER} 2>/dev/null || :").stdout.splitlines()


class ContainerSoak(Soak):
    """Dispatcher commands by `docker exec`; the whole dispatcher's container is killed, and not a command alone."""

    submitters = 3

    def __init__(self, dispatcher, agents, seed):
        super().__init__(None, agents, seed)
        self.dispatcher = dispatcher

    def command(self, chance, *words, deadly=0.0):
        try:
            done = self.dispatcher.dispatcher(*words, check=False, timeout=LONG)
        except subprocess.TimeoutExpired:
            self.tally.complain(f"{words} does not end")
            return None
        try:
            return json.loads(done.stdout)
        except ValueError:
            # Killed with its container, or there was none just then.
            if self.reckoning:
                self.tally.complain(f"{words}: exit {done.returncode}, no JSON: {done.stdout!r} {done.stderr!r}")
            return None

    def kill_agents(self):
        chance = random.Random(f"{self.seed}-containers")
        while not self.stopping.wait(chance.uniform(0.5, 2)):
            if chance.random() < 0.3:
                self.dispatcher.engine.docker("kill", self.dispatcher.name)
                self.dispatcher.engine.docker("start", self.dispatcher.name)
                self.tally.count("dispatchers killed")
                continue
            agent = chance.choice(self.agents)
            agent.kill()
            time.sleep(chance.uniform(0, 0.3))
            agent.revive()
            self.tally.count("agents killed")

    def records(self):
        text = self.dispatcher.exec(
            "sh", "-c", "cd /var/lib/ctrl-exec/runs && cat *.json submitted/*.json 2>/dev/null || :").stdout
        found, decoder, at = {}, json.JSONDecoder(), 0
        while at < len(text):
            record, at = decoder.raw_decode(text, at)
            found[record["reqid"]] = record
            while at < len(text) and text[at].isspace():
                at += 1
        return found


class ContainersAreKilled(ContainerCase):
    def test_every_run_has_one_outcome_and_none_runs_twice(self):
        network, seed = self.network(), str(time.time_ns())
        dispatcher = self.start_dispatcher(network=network)
        containers = [self.start_agent(f"soaked-{number}", dispatcher.name, network=network,
                                       environment={"CTRL_EXEC_AGENT_RATE_LIMIT_DISABLE": "yes"})
                      for number in range(2)]
        self.pair(dispatcher, *containers)
        for container in containers:
            self.add_script(container, "work", SCRIPT.replace("LEDGER", LEDGER))
            container.exec("ctrl-exec-agent", "allow", "waited", "/opt/ctrl-exec-scripts/work.sh")
        soaked = ContainerSoak(dispatcher, [SoakedContainer(container) for container in containers], seed)
        problems = soaked.run(SECONDS, with_api=False)
        counts = soaked.tally.counts
        self.assertFalse(problems, f"seed {seed}: {problems}")
        for what in ("agents killed", "dispatchers killed", "outcome ok", "outcome lost", "entries in the ledgers"):
            self.assertGreater(counts[what], 0, f"no {what}: {counts}")


if __name__ == "__main__":
    unittest.main()
