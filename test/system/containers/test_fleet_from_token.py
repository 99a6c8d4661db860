"""compose.fleet.yml as it is: one token file, any number of agents, no further command."""

from container_case import ComposeCase, Container
from processes import poll


class FleetFromToken(ComposeCase):
    files = ("compose.fleet.yml",)
    project = "fleet"

    def setUp(self):
        super().setUp()
        self.dispatcher = Container(self.engine, "fleet_dispatcher_1")

    def up(self, agents):
        self.compose("up", "-d", "--scale", f"agent={agents}")
        members = [Container(self.engine, f"fleet_agent_{number + 1}") for number in range(agents)]
        for member in members:
            member.wait_log(r"listening on ")
        return members

    def assert_all_serve(self, members):
        names = sorted(member.inspect()["Config"]["Hostname"] for member in members)
        poll("all are registered", lambda: self.dispatcher.registered() == names)
        self.assertEqual({agent["trust"] for agent in self.dispatcher.json("list-agents")["agents"]}, {"token"})
        results = self.dispatcher.json("ping", "all")["results"]
        self.assertEqual(sorted(result["host"] for result in results if result["status"] == "ok"), names)

    def test_up_and_more_and_again(self):
        self.assert_all_serve(self.up(3))
        members = self.up(5)
        self.assert_all_serve(members)
        token = self.dispatcher.exec("cat", "/join/token").stdout
        self.assertRegex(token, r"^cej2_[0-9a-f]{16}_[A-Z2-7]{32}_[0-9a-f]{64}\n?$")
        [listed] = self.dispatcher.json("join-token", "list")["tokens"]
        self.assertEqual(listed["used"], 5)
        self.compose("restart")
        for container in (self.dispatcher, *members):
            container.wait_log(r"listening on ", count=2)
        self.assert_all_serve(members)
        self.assertEqual(self.dispatcher.exec("cat", "/join/token").stdout, token)
        for member in members:
            self.assertNotIn(token.strip(), member.logs)
        self.assertNotIn(token.strip().split("_")[2], self.dispatcher.logs)
