"""pairing-mode on a terminal while another process serves the queue: a front end of that one's requests."""

import signal
import unittest

from api import serve_api
from deployment import Deployment
from pairing_v2 import V2Agent
from terminal import Terminal

START = "ACTION=pairing-mode-start"
QUESTION = r"Accept, Deny, or Skip\? \[a/d/s\]: $"


class FrontEnd(unittest.TestCase):
    def setUp(self):
        self.deployment = self.enterContext(Deployment())
        self.listener = self.enterContext(self.deployment.pairing_mode())

    def terminal(self):
        terminal = self.enterContext(Terminal(self.deployment.argv("pairing-mode"), self.deployment.environment()))
        terminal.expect(rf"^Pairing mode: another pairing-mode listens on {self.listener.address}; this terminal answers "
                        r"its requests$")
        return terminal

    def ask(self, name="web-01"):
        return self.enterContext(V2Agent(self.listener.address, name)).wait()

    def test_shows_what_waits_already_and_what_comes_and_takes_answers(self):
        first = self.ask()
        self.deployment.wait_request("web-01")
        terminal = self.terminal()
        terminal.expect(rf"^Pairing request from web-01 \(127\.0\.0\.1\) - ID: {first.first['reqid']}$")
        terminal.expect(QUESTION)
        terminal.type(f"{first.sas}\n")
        terminal.expect(r"^The check code matched\.")
        self.assertEqual(first.read_last()["status"], "approved")
        second = self.ask("web-02")
        terminal.expect(rf"^Pairing request from web-02 .* ID: {second.first['reqid']}$")
        terminal.expect(QUESTION)
        terminal.type("d\n")
        terminal.expect(r"^Denied: web-02 ")
        self.assertEqual(second.read_last()["reason"], "rejected by operator")

    def test_what_others_decide_and_who_hangs_up_is_told(self):
        terminal = self.terminal()
        agent = self.ask()
        terminal.expect(QUESTION)
        self.deployment.dispatcher("approve", agent.first["reqid"], "--sas", agent.sas)
        terminal.expect(r"^Pairing request [0-9a-f]{16} from web-01: approved$")
        gone = self.ask("web-02")
        terminal.expect(QUESTION)
        gone.close()
        terminal.expect(r"^Pairing request [0-9a-f]{16} from web-02: denied or gone$")

    def test_it_ends_by_itself_when_nobody_serves_the_queue_any_more(self):
        terminal = self.terminal()
        self.listener.stop()
        self.assertEqual(terminal.wait_exit(), 1)
        terminal.expect("no pairing-mode is running")

    def test_its_end_leaves_the_listener_alone(self):
        for end in (lambda t: t.type("quit\n"), lambda t: t.type("\x04"), lambda t: t.process.send_signal(signal.SIGINT)):
            terminal = self.terminal()
            end(terminal)
            self.assertEqual(terminal.wait_exit(), 0)
        agent = self.ask()
        self.deployment.dispatcher("approve", agent.first["reqid"])
        self.assertEqual(agent.read_last()["status"], "approved")

    def test_beside_the_api_that_serves_the_pairing_port(self):
        deployment = self.enterContext(Deployment(api_port=0, api_auth_default="allow", pairing="on"))
        api = serve_api(deployment)
        api.wait_log(START)
        terminal = self.enterContext(Terminal(deployment.argv("pairing-mode"), deployment.environment()))
        address = terminal.expect(r"^Pairing mode: the API process listens on (\S+); this terminal answers its requests$")[1]
        agent = self.enterContext(V2Agent(address, "web-01")).wait()
        terminal.expect(QUESTION)
        terminal.type(f"{agent.sas}\n")
        self.assertEqual(agent.read_last()["status"], "approved")
        agent.check_last()

    def test_without_a_terminal_it_is_an_error(self):
        done = self.deployment.dispatcher("pairing-mode", check=1)
        self.assertIn(b"pairing mode is already running", done.stderr)


if __name__ == "__main__":
    unittest.main()
