"""pairing-mode on a terminal: prompts at once, a/d/s, a1/d2, list, quit, and requests that vanish."""

import re
import signal
import unittest

from deployment import Deployment
from processes import poll
from terminal import Terminal

QUESTION = r"Accept, Deny, or Skip\? \[a/d/s\]: $"
QUESTION_OF_MANY = r"Accept, Deny, or Skip\? \[a\d+/d\d+/s\d+ …, list, quit\]: $"


class InteractivePairing(unittest.TestCase):
    def setUp(self):
        self.deployment = self.enterContext(Deployment())
        self.terminal = self.enterContext(
            Terminal(self.deployment.argv("pairing-mode"), self.deployment.environment()))
        self.port = int(self.terminal.expect(r"^Pairing mode: listening on 127\.0\.0\.1:(\d+)\n")[1])

    def ask(self, name):
        """The agent, its waiting process, and the id of its request."""
        agent = self.deployment.agent(name)
        process = agent.request_pairing(self)
        shown = self.terminal.expect(rf"^Pairing request from {name} \(127\.0\.0\.1\) - ID: ([0-9a-f]{{16}})\n"
                                     r"  Received: \d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ\n  Code: (\d{6})\n")
        self.assertEqual(process.wait_output(r"^Pairing code: (\d{6})$")[1], shown[2], "both sides show the same code")
        return agent, process, shown[1]

    def registered(self):
        return [agent["hostname"] for agent in self.deployment.json("list-agents")["agents"]]

    def test_a_accepts(self):
        agent, process, reqid = self.ask("web-01")
        self.terminal.expect(QUESTION)
        self.terminal.type("a\n")
        self.terminal.expect(r"^Approved: web-01 \(127\.0\.0\.1\), certificate valid until .* GMT\.$")
        self.assertEqual(process.wait_exit(), 0)
        self.terminal.expect(rf"Pairing request {reqid} from web-01: approved\n")
        self.assertTrue(agent.certificate.exists())
        self.assertEqual(self.registered(), ["web-01"])

    def test_d_denies(self):
        agent, process, reqid = self.ask("web-01")
        self.terminal.expect(QUESTION)
        self.terminal.type("d\n")
        self.terminal.expect(r"^Denied: web-01 \(127\.0\.0\.1\)\.\n")
        self.assertEqual(process.wait_exit(), 1)
        self.assertIn("rejected by operator", process.log)
        self.assertFalse(agent.certificate.exists())

    def test_s_leaves_it_waiting_and_it_can_be_accepted_later(self):
        _, process, reqid = self.ask("web-01")
        self.terminal.expect(QUESTION)
        self.terminal.type("s\n")
        self.terminal.expect(r"^Skipped: web-01 still waits; 'a1' accepts it\.\n")
        self.assertEqual([request["id"] for request in self.deployment.requests()], [reqid])
        self.terminal.type("list\n")
        self.terminal.expect(rf"^1 +web-01 +127\.0\.0\.1 +\d{{6}} +{reqid} ")
        self.terminal.type("a1\n")
        self.assertEqual(process.wait_exit(), 0)

    def test_with_several_waiting_a_letter_needs_its_number(self):
        _, first, _ = self.ask("web-01")
        _, second, _ = self.ask("web-02")
        self.terminal.expect(r"^NO +HOSTNAME +IP +CODE +ID +RECEIVED$")
        self.terminal.expect(QUESTION_OF_MANY)
        self.terminal.type("a\n")
        self.terminal.expect(r"^Several requests wait; say which one:$")
        self.terminal.expect(QUESTION_OF_MANY)
        self.terminal.type("d2\n")
        self.terminal.expect(r"^Denied: web-02 ")
        self.assertEqual(second.wait_exit(), 1)
        self.terminal.expect(QUESTION)
        self.terminal.type("a1\n")
        self.assertEqual(first.wait_exit(), 0)
        self.assertEqual(self.registered(), ["web-01"])

    def test_vanished_request_is_announced_and_its_answer_hits_nobody_else(self):
        _, first, reqid = self.ask("web-01")
        self.terminal.expect(QUESTION)
        first.kill()
        self.terminal.expect(rf"^Pairing request {reqid} from web-01: gone\n")
        _, second, _ = self.ask("web-02")
        self.terminal.expect(QUESTION)
        self.terminal.type("a\n")  # typed for web-01
        self.terminal.expect(r"^The requests have just changed; say which one:$")
        self.terminal.type("a1\n")
        self.terminal.expect(r"^There is no request 1\.$")
        self.assertEqual(self.registered(), [])
        self.terminal.type("a2\n")
        self.assertEqual(second.wait_exit(), 0)
        self.assertEqual(self.registered(), ["web-02"])

    def test_approval_of_another_process_is_announced(self):
        _, process, reqid = self.ask("web-01")
        self.terminal.expect(QUESTION)
        self.deployment.dispatcher("approve", reqid)
        self.terminal.expect(rf"^Pairing request {reqid} from web-01: approved\n")
        self.assertEqual(process.wait_exit(), 0)
        self.terminal.type("a\n")
        self.terminal.expect(r"^No request waits\.$")

    def test_approval_that_fails_is_told_and_can_be_repeated(self):
        _, process, _ = self.ask("web-01")
        key = self.deployment.ca / "ca.key"
        text = key.read_text()
        key.write_text("no key")
        self.terminal.expect(QUESTION)
        self.terminal.type("a\n")
        self.terminal.expect(rf"{re.escape(str(key))}")
        self.terminal.expect(QUESTION)
        key.write_text(text)
        self.terminal.type("a\n")
        self.assertEqual(process.wait_exit(), 0)

    def test_nonsense_is_answered_with_what_there_is(self):
        _, process, _ = self.ask("web-01")
        for line in ("x", "1", "yes", "\x00", "accept all of them", "a 1 2", "a-1", "a0x1"):
            self.terminal.expect(QUESTION)
            self.terminal.type(line + "\n")
            self.terminal.expect(r"^a, d or s: accept, deny or skip the request; .*; list; quit\n")
        for number in ("0", "2", "99999999999999999999"):
            self.terminal.expect(QUESTION)
            self.terminal.type(f"a{number}\n")
            self.terminal.expect(rf"^There is no request {number}\.\n")
        self.assertEqual(self.registered(), [])
        self.terminal.type("d\n")
        self.assertEqual(process.wait_exit(), 1)

    def test_quit_control_d_and_sigint_end_it_with_0(self):
        for end in (lambda: self.terminal.type("quit\n"), lambda: self.terminal.type("\x04"),
                    lambda: self.terminal.process.send_signal(signal.SIGINT)):
            end()
            self.assertEqual(self.terminal.wait_exit(), 0)
            self.terminal = self.enterContext(
                Terminal(self.deployment.argv("pairing-mode"), self.deployment.environment()))
            self.terminal.expect(r"listening on")

    def test_quit_while_a_request_waits_drops_it(self):
        _, process, _ = self.ask("web-01")
        self.terminal.expect(QUESTION)
        self.terminal.type("quit\n")
        self.assertEqual(self.terminal.wait_exit(), 0)
        self.assertEqual(process.wait_exit(), 1)
        poll("the queue is empty", lambda: not self.deployment.requests())


class WithoutTerminal(unittest.TestCase):
    def test_it_just_listens_and_asks_nothing(self):
        deployment = self.enterContext(Deployment())
        with deployment.pairing_mode() as listener:
            agent = deployment.agent("web-01")
            agent.pair(listener)
            self.assertNotIn("Accept", listener.output)


if __name__ == "__main__":
    unittest.main()
