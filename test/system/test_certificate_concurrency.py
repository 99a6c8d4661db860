"""Approvals, renewals and rotations by several processes at the same time: nothing is lost, no serial is given twice."""

import json
import unittest

from deployment import Deployment
from dispatcher_client import facts

AGENTS = 6


def serial_of(certificate):
    return facts(certificate)["serial"]


class Concurrency(unittest.TestCase):
    def test_approve_renew_and_rotate_at_once(self):
        deployment = self.enterContext(Deployment())
        names = [f"host-{number}" for number in range(AGENTS)]
        agents = deployment.paired_agents(*names)
        for name, agent in zip(names, agents):
            agent.script("hello", "#!/bin/sh\necho hello\n")
            agent.serve()
            deployment.dispatcher("edit-agent", name, "--ip", "127.0.0.1", "--lookup-by", "ip", "--agent-port",
                                  agent.daemon.port)
        newcomers = [deployment.agent(f"new-{number}") for number in range(AGENTS)]
        with deployment.pairing_mode() as listener:
            asking = [agent.request_pairing(listener) for agent in newcomers]
            requests = [deployment.wait_request(agent.name)["id"] for agent in newcomers]
            before = deployment.json("serial-status")["current_serial"]
            commands = [deployment.start(deployment.argv(*words), "at-once") for words in
                        [("approve", request) for request in requests] + [("maintain", "--all")] * 3 +
                        [("rotate-cert",)] * 3]
            codes = [command.wait_exit() for command in commands]
            self.assertEqual(codes[:AGENTS], [0] * AGENTS, 
                             "\n".join(command.describe() for command in commands[:AGENTS]))
            for process in asking:
                self.assertEqual(process.wait_exit(), 0, process.describe())
        self.assertNotEqual(deployment.json("serial-status")["current_serial"], before,
                            "\n".join(command.describe() for command in commands[-3:]))
        results = deployment.json("run", *names, "hello")["results"]
        self.assertEqual({result["exit"] for result in results}, {0})
        records = {record["hostname"]: record for record in deployment.json("list-agents")["agents"]}
        self.assertEqual(set(records), set(names) | {agent.name for agent in newcomers})
        for agent in [*agents, *newcomers]:
            self.assertEqual(int(records[agent.name]["serial"], 16), int(serial_of(agent.certificate), 16), agent.name)
        serials = [serial_of(agent.certificate) for agent in [*agents, *newcomers]]
        serials.append(serial_of(deployment.ca / "ctrl-exec.crt"))
        self.assertEqual(len(set(serials)), len(serials), json.dumps(serials))


if __name__ == "__main__":
    unittest.main()
