"""Two dispatchers of one CA on one agent: both are obeyed, each goes its own way, and one can be taken away."""

import shutil
import unittest

from deployment import REFUSED, Deployment
from processes import poll


class TwoDispatchers(unittest.TestCase):
    def setUp(self):
        self.first = self.enterContext(Deployment())
        self.second = self.enterContext(Deployment(set_up=False))
        for name in ("ca.key", "ca.crt", "ca.serial"):
            shutil.copy2(self.first.ca / name, self.second.ca / name)
        self.second.dispatcher("setup-ctrl-exec")
        self.agent = self.first.paired_agent("web-01")
        with self.second.pairing_mode() as listener, self.agent.request_pairing(listener) as asking:
            self.second.dispatcher("approve", self.second.wait_request("web-01")["id"])
            self.assertEqual(asking.wait_exit(), 0, asking.describe())
        self.agent.script("whose", "#!/bin/sh\necho done\n")
        self.agent.serve()
        for dispatcher in (self.first, self.second):
            dispatcher.dispatcher("edit-agent", "web-01", "--ip", "127.0.0.1", "--lookup-by", "ip", "--agent-port",
                                  self.agent.daemon.port)

    def assert_obeyed(self, *dispatchers):
        for dispatcher in dispatchers:
            [result] = dispatcher.json("run", "web-01", "whose", check=None)["results"]
            self.assertEqual((result["exit"], result.get("error")), (0, None))

    def renew(self, dispatcher):
        """A renewal must be newer than what the agent has, if only by the second that certificates know."""
        poll("it is renewed", lambda: dispatcher.dispatcher("maintain", "--all", check=None).returncode == 0)

    def test_both_are_obeyed_also_after_one_has_rotated_and_renewed(self):
        self.assert_obeyed(self.first, self.second)
        self.first.dispatcher("rotate-cert")
        self.assert_obeyed(self.first, self.second)
        self.renew(self.second)
        self.assert_obeyed(self.first, self.second)
        self.second.dispatcher("rotate-cert")
        self.renew(self.first)
        self.assert_obeyed(self.first, self.second)

    def test_one_that_is_removed_is_refused_and_the_other_is_not(self):
        ids = [(dispatcher.state / "dispatcher-id").read_text().strip() for dispatcher in (self.first, self.second)]
        table = self.agent.command("dispatchers").stdout.decode()
        for name in ids:
            self.assertIn(name, table)
        self.agent.command("dispatchers", "remove", ids[1])
        self.assert_obeyed(self.first)
        [result] = self.second.json("run", "web-01", "whose", check=REFUSED)["results"]
        self.assertEqual(result["error"], "forbidden: serial mismatch")

    def test_one_that_is_revoked_is_refused(self):
        serial = self.second.json("serial-status")["current_serial"]
        self.first.dispatcher("revoke", serial, "--push")
        self.assert_obeyed(self.first)
        self.assertEqual(self.second.json("run", "web-01", "whose", check=REFUSED)["results"][0]["exit"], -1)


if __name__ == "__main__":
    unittest.main()
