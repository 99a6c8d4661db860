"""Volumes of the 0.8.4 images are taken over as they are: exchange the image, keep the volumes."""

import json
import unittest

from container_case import AGENT, ContainerCase, DISPATCHER
from docker_engine import ROOT
from processes import poll

OLD = ROOT / "test/data/old"


def old(name, permissions):
    return ((OLD / name).read_bytes(), permissions, 0, 0)


class OldVolumes(ContainerCase):
    def setUp(self):
        self.data, self.registry, self.agent_data, self.scripts = (self.volume() for _ in range(4))
        self.fill(self.data, {"ctrl-exec.conf": old("ctrl-exec.conf", 0o644), "ca.key": old("ca.key", 0o600),
                              "ca.crt": old("ca.crt", 0o644), "ca.serial": old("ca.serial", 0o600),
                              "ctrl-exec.key": old("ctrl-exec.key", 0o600),
                              "ctrl-exec.crt": old("ctrl-exec.crt", 0o644)})
        self.fill(self.registry, {"agents": (None, 0o755, 0, 0), "agents/agent1.json": old("agent1.json", 0o644),
                                  "runs": (None, 0o755, 0, 0),
                                  "runs/cd7c044574ba9441.json": old("run-cd7c044574ba9441.json", 0o640)})
        self.fill(self.agent_data, {"agent.conf": old("agent.conf", 0o644), "agent.key": old("agent.key", 0o640),
                                    "agent.crt": old("agent.crt", 0o640), "ca.crt": old("ca.crt", 0o644),
                                    "ctrl-exec-serial": old("ctrl-exec-serial", 0o644),
                                    "scripts.conf": old("scripts.conf", 0o644)})
        self.fill(self.scripts, {"true.sh": ("#!/bin/sh\n", 0o750, 0, 0)})

    def sums(self):
        places = {self.data: "/a", self.agent_data: "/b"}
        return self.shell("cd / && sha256sum a/c* b/*", places)

    def test_are_taken_over(self):
        before = self.sums()
        network = self.network()
        dispatcher = self.start_dispatcher(
            DISPATCHER, network=network, volumes={self.data: "/etc/ctrl-exec", self.registry: "/var/lib/ctrl-exec"})
        self.assertNotIn("First start", dispatcher.logs)
        agent = self.start_agent(
            "agent1", dispatcher.name, AGENT, network=network,
            volumes={self.agent_data: "/etc/ctrl-exec-agent", self.scripts: "/opt/ctrl-exec-scripts"})
        agent.wait_log(r"\[entrypoint\] Cert found - starting ctrl-exec-agent serve\.\.\.")
        agent.wait_log(r"listening on ")
        [record] = dispatcher.json("list-agents")["agents"]
        self.assertGreater(record.pop("days_left"), 0)  # is not in the file
        self.assertEqual(record.pop("trust"), "legacy")
        self.assertEqual(record, json.loads((OLD / "agent1.json").read_text()))
        self.assertEqual(dispatcher.run_result("agent1", "true")["exit"], 0)
        self.assertEqual(self.sums(), before, "no file has changed")

        newcomer = self.start_agent("agent2", dispatcher.name, network=network)
        self.pair(dispatcher, newcomer)
        self.assertEqual(dispatcher.registered(), ["agent1", "agent2"])
        dispatcher.dispatcher("ping", "agent1", "agent2")

    def test_stored_runs_of_more_than_a_day_are_purged(self):
        self.shell("touch -d @1 /volume/runs/*", {self.registry: "/volume"})
        dispatcher = self.start_dispatcher(
            volumes={self.data: "/etc/ctrl-exec", self.registry: "/var/lib/ctrl-exec"})
        poll("the old run is purged", lambda: not self.shell("ls /volume/runs", {self.registry: "/volume"}).strip())
        self.assertEqual(dispatcher.registered(), ["agent1"])


if __name__ == "__main__":
    unittest.main()
