"""An agent that is started before anybody can answer: it waits, asks again, and tells why."""

import unittest

from container_case import ContainerCase


class PairingWaits(ContainerCase):
    def test_agent_before_its_dispatcher(self):
        network = self.network()
        agent = self.start_agent("agent", "later", network=network)
        agent.wait_log(r"\[entrypoint\] No cert found - requesting pairing with later\.\.\.")
        agent.wait_log(r"not paired yet: .*'later'")
        dispatcher = self.start_dispatcher(network=network, name="later")
        self.pair(dispatcher, agent)
        self.assertEqual(agent.inspect()["RestartCount"], 0)
        dispatcher.dispatcher("ping", "agent")

    def test_closed_pairing_port_is_told_once(self):
        network = self.network()
        dispatcher = self.start_dispatcher(network=network)
        agent = self.start_agent("agent", dispatcher.name, network=network)
        agent.wait_log(r"refused")
        self.pair(dispatcher, agent)
        self.assertLessEqual(len([line for line in agent.logs.splitlines() if "refused" in line]), 2, agent.logs)

    def test_dispatcher_restarts_while_a_request_waits(self):
        network = self.network()
        dispatcher = self.start_dispatcher(network=network)
        dispatcher.listen_for_pairing()
        agent = self.start_agent("agent", dispatcher.name, network=network)
        first = dispatcher.wait_request("agent")
        self.engine.docker("restart", dispatcher.name)
        dispatcher.wait_log(r"listening on ", count=2)
        dispatcher.listen_for_pairing()
        second = dispatcher.approve("agent")
        self.assertNotEqual(first["id"], second["id"])
        agent.wait_log(r"listening on ")
        dispatcher.dispatcher("ping", "agent")

    def test_denied_ends_the_wait(self):
        network = self.network()
        dispatcher = self.start_dispatcher(network=network)
        dispatcher.listen_for_pairing()
        agent = self.start_agent("agent", dispatcher.name, network=network)
        dispatcher.dispatcher("deny", dispatcher.wait_request("agent")["id"])
        self.assertEqual(agent.wait_exit(), 1)
        self.assertIn("rejected by operator", agent.logs)

    def test_stop_while_waiting(self):
        network = self.network()
        agent = self.start_agent("agent", "nobody", network=network)
        agent.wait_log(r"not paired yet: .*'nobody'")
        seconds, code = agent.stop()
        self.assertLess(seconds, 5)
        self.assertIn(code, (0, 143))

    def test_asking_once_ends_when_nobody_listens(self):
        network = self.network()
        dispatcher = self.start_dispatcher(network=network)
        for host, reason in ((dispatcher.name, r"refused"), ("nobody.invalid", r"name servers|no address")):
            with self.subTest(host):
                agent = self.start_agent("agent-once", host, network=network, environment={"AGENT_PAIRING": "exit"})
                self.assertEqual(agent.wait_exit(), 1)
                self.assertRegex(agent.logs, reason)
                self.assertIn(host, agent.logs)
                self.engine.docker("rm", "-fv", agent.name)


if __name__ == "__main__":
    unittest.main()
