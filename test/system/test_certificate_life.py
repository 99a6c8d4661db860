"""A year and a half of a fleet: certificates renew, the dispatcher's own rotates, some agents are off meanwhile, and no request that
reaches an agent is ever refused. The build with a clock of its own lives through them; the other does the same steps now."""

import os
import unittest

from deployment import BUILD, Deployment

DAY = 86400
FLEET = 20


class Life(unittest.TestCase):
    def setUp(self):
        self.deployment = self.enterContext(Deployment(cert_days=200, cert_overlap_days=30))
        clock = self.deployment.directory / "clock"
        clock.write_text("0")
        os.environ["CTRL_EXEC_TEST_CLOCK"] = str(clock)  # for every process from here on
        self.addCleanup(os.environ.pop, "CTRL_EXEC_TEST_CLOCK")
        self.clock, self.days = clock, 0
        self.names = [f"host-{number:02}" for number in range(FLEET)]
        self.agents = dict(zip(self.names, self.deployment.paired_agents(*self.names)))
        for name, agent in self.agents.items():
            agent.script("hello", "#!/bin/sh\necho hello\n")
            agent.serve()
            agent.settings["port"] = agent.daemon.port  # the same after each restart
            agent.config.write_text("".join(f"{key} = {value}\n" for key, value in agent.settings.items()))
            self.deployment.dispatcher("edit-agent", name, "--ip", "127.0.0.1", "--lookup-by", "ip", "--agent-port",
                                       agent.daemon.port)

    def pass_days(self, days):
        self.days += days
        self.clock.with_suffix(".new").write_text(str(self.days * DAY))
        self.clock.with_suffix(".new").replace(self.clock)

    def assert_works(self, names):
        """Each of them runs a script; nobody is refused."""
        results = self.deployment.json("run", *names, "hello", check=None)["results"]
        self.assertEqual({result["host"]: (result["exit"], result.get("error")) for result in results},
                         {name: (0, None) for name in names}, f"after {self.days} days")

    def dispatcher_serial(self):
        return self.deployment.json("serial-status")["current_serial"]

    def test_all_of_it(self):
        serials, certificates = {self.dispatcher_serial()}, set()
        off = []
        for period in range(14):
            for name in off:
                self.agents[name].serve()
            self.assert_works(self.names)  # also those that were off during a rotation
            off = [] if period == 13 else self.names[period % 5::5]
            for name in off:
                self.agents[name].daemon.stop()
            on = [name for name in self.names if name not in off]
            self.pass_days(40)
            # Those who are off cannot be renewed: that is said by the exit code.
            self.deployment.dispatcher("maintain", *([] if BUILD == "debug" else ["--all"]), check=None)
            self.assert_works(on)
            if period % 3 == 0:
                self.deployment.dispatcher("rotate-cert", check=None)
                serials.add(self.dispatcher_serial())
                self.assert_works(on)
            certificates.add(self.agents["host-00"].certificate.read_text())
        self.assertGreaterEqual(len(serials), 5, "it has rotated")
        self.assertGreaterEqual(len(certificates), 4, "it has renewed")
        self.assert_works(self.names)
        status = self.deployment.json("serial-status")
        self.assertEqual({agent["hostname"]: agent["status"] for agent in status["agents"]},
                         {name: "current" for name in self.names})


if __name__ == "__main__":
    unittest.main()
