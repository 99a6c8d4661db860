"""Either side is killed between any two messages: asked once more, the agent is paired, with one certificate that counts."""

import itertools
import json
import threading
import unittest

from deployment import BUILD, Deployment
from pairing_mitm import Mitm
from pairing_trials import Trial
from pairing_v2 import JoinToken, V2Agent, der_of, serial_text
from processes import poll

MESSAGES = ("request", "first", "reveal", "last")


class Stop:
    """Holds the first message of that name in a relay, until the test lets it go on."""

    def __init__(self, message):
        self._message, self._used = message, False
        self.reached, self.go = threading.Event(), threading.Event()

    def hook(self, name):
        def pass_on(_, message):
            if name == self._message and not self._used:
                self._used = True
                self.reached.set()
                self.go.wait(40)
            return message

        return pass_on

    def wait(self):
        if not self.reached.wait(40):
            raise AssertionError(f"{self._message} was never sent")


class Case(unittest.TestCase):
    def setUp(self):
        self.deployment = self.enterContext(Deployment(pairing_rate_limit="1000/1/1"))
        self.listener = self.enterContext(self.deployment.pairing_mode())
        self.token = ""
        self.certificates = set()  # serials of all that the relay has seen

    def relay(self, stop):
        """Nobody can tell it from the dispatcher: it has its certificate and key."""
        return self.enterContext(Mitm(
            self.deployment.directory, self.listener.address,
            identity=(self.deployment.ca / "ctrl-exec.crt", self.deployment.ca / "ctrl-exec.key"),
            asks=stop.hook("request"), first=stop.hook("first"), reveals=stop.hook("reveal"), last=stop.hook("last")))

    def make_token(self):
        self.token = self.deployment.dispatcher("join-token", "create").stdout.decode().strip()
        return self.token

    def agent(self, mode, address):
        return self.enterContext(Trial(self.deployment, mode, address, token=self.token, name="web-01"))

    def restart_listener(self):
        """Killed, and started again."""
        self.listener.kill()
        self.listener = self.enterContext(self.deployment.pairing_mode())

    def approve(self):
        request = self.deployment.wait_request("web-01")
        self.deployment.dispatcher("approve", request["id"], "--sas", request["sas"])

    def retry(self, trial):
        trial.close()
        trial.start()
        if trial.mode != "token":
            self.approve()
        self.assertEqual(trial.end(), 0, trial.text)

    def assert_one_certificate(self, trial, relay):
        """The agent has it, the registry knows it, it works, and every other one is revoked."""
        agent = trial.agent
        own = serial_text(der_of(agent.certificate.read_text()))
        [record] = self.deployment.json("list-agents")["agents"]
        self.assertEqual((record["hostname"], record["serial"]), ("web-01", own))
        seen = {serial_text(der_of(session.real_last["cert"])) for session in relay.sessions
                if session.real_last and "cert" in session.real_last}
        revoked = self.deployment.ca / "revoked-serials"
        text = revoked.read_text().lower() if revoked.exists() else ""
        for serial in seen - {own}:
            self.assertIn(serial, text)
        self.assertNotIn(own, text)
        self.assertEqual([path.name for path in agent.directory.glob(".pairing*")], [])
        if trial.mode == "token":
            [listed] = self.deployment.json("join-token", "list")["tokens"]
            self.assertEqual(listed["used"], 1)
            self.assertEqual(seen, {own}, "the same certificate again")
        with agent.serve().daemon:
            [result] = self.deployment.json("ping", agent.target)["results"]
            self.assertEqual(result["status"], "ok")

    def stopped_before(self, mode, message):
        """A pairing that goes on until that message, which the relay holds back."""
        if mode == "token":
            self.make_token()
        stop = Stop(message)
        relay = self.relay(stop)
        trial = self.agent(mode, relay.address)
        if message == "last" and mode != "token":
            self.approve()
        stop.wait()
        return stop, relay, trial


class AgentIsKilled(Case):
    def check(self, mode, message):
        stop, relay, trial = self.stopped_before(mode, message)
        trial.process.kill()
        trial.process.wait()
        stop.go.set()
        self.assertEqual(trial.stored, [])
        poll("the relay has given up", lambda: relay.sessions[0].ended.is_set())
        self.retry(trial)
        self.assert_one_certificate(trial, relay)

    def test_while_the_operator_is_asked(self):
        relay = self.relay(Stop("none"))
        trial = self.agent("tofu", relay.address)
        self.deployment.wait_request("web-01")
        trial.process.kill()
        poll("its request is dropped", lambda: not self.deployment.requests())
        self.retry(trial)
        self.assertEqual(relay.sessions[0].asked["csr"], relay.sessions[1].asked["csr"], "the key was kept")
        self.assert_one_certificate(trial, relay)

    def test_after_it_was_approved_and_has_not_heard_of_it(self):
        relay = self.relay(Stop("none"))
        trial = self.agent("tofu", relay.address)
        request = self.deployment.wait_request("web-01")
        trial.process.kill()
        self.deployment.dispatcher("approve", request["id"], check=None)  # in time or not: nobody can tell
        poll("its request is dropped", lambda: not self.deployment.requests())
        self.retry(trial)
        self.assert_one_certificate(trial, relay)


class DispatcherIsKilled(Case):
    def check(self, mode, message):
        stop, relay, trial = self.stopped_before(mode, message)
        self.restart_listener()
        stop.go.set()
        relay.upstream = self.listener.address
        status = trial.end()
        if message == "last":
            self.assertEqual(status, 0, "it was on its way already")
        else:
            self.assertEqual((status != 0, trial.stored), (True, []), trial.text)
            self.retry(trial)
        self.assert_one_certificate(trial, relay)

    def test_while_the_operator_is_asked(self):
        relay = self.relay(Stop("none"))
        trial = self.agent("tofu", relay.address)
        self.deployment.wait_request("web-01")
        self.restart_listener()
        relay.upstream = self.listener.address
        self.assertNotEqual(trial.end(), 0)
        self.assertEqual(self.deployment.requests(), [], "of an agent whose connection is gone")
        self.retry(trial)
        self.assert_one_certificate(trial, relay)

    def test_after_the_approval_before_it_is_delivered(self):
        relay = self.relay(Stop("none"))
        trial = self.agent("tofu", relay.address)
        request = self.deployment.wait_request("web-01")
        self.listener.signal(19)  # SIGSTOP: it holds its lock, and delivers nothing
        approved = self.deployment.json("approve", request["id"], "--sas", request["sas"])
        lost = approved["agent"]["serial"]
        self.restart_listener()
        relay.upstream = self.listener.address
        self.assertNotEqual(trial.end(), 0)
        self.assertEqual(trial.stored, [])
        self.retry(trial)
        self.assertIn(lost, (self.deployment.ca / "revoked-serials").read_text().lower())
        self.assert_one_certificate(trial, relay)


def add_tests(case):
    for mode, message in itertools.product(("tofu", "token"), MESSAGES):
        setattr(case, f"test_{mode}_at_the_{message}",
                lambda self, mode=mode, message=message: self.check(mode, message))


add_tests(AgentIsKilled)
add_tests(DispatcherIsKilled)


class WhileItJoins(Case):
    """The listener is killed at each step of a join: one use, one certificate, and the retry gets it."""

    def test_at_every_step(self):
        for fault in ("join-signed", "join-recorded", "join-registered"):
            with self.subTest(fault):
                self.listener.stop()
                token = self.make_token()
                name = f"web-{fault}"
                crashing = self.deployment.start(["env", f"CTRL_EXEC_TEST_FAULT={fault}",
                                                  *self.deployment.argv("pairing-mode")], "crashing").wait_listening()
                agent = self.enterContext(V2Agent(crashing.address, name, token))
                agent.wait()
                self.assertEqual(crashing.wait_exit(), -9)
                self.listener = self.enterContext(self.deployment.pairing_mode())
                path = self.deployment.state / "join-tokens" / JoinToken.parse(token).kid
                left = [json.loads(each.read_text())["serial"] for each in path.iterdir()
                        if each.name != "token.json" and not each.name.startswith(".")]
                again = self.enterContext(V2Agent(self.listener.address, name, token, (agent.key, agent.csr)))
                certificate = again.pair()
                if fault != "join-signed":
                    self.assertEqual(left, [serial_text(certificate)])
                record = json.loads((self.deployment.state / "agents" / f"{name}.json").read_text())
                self.assertEqual(record["serial"], serial_text(certificate))
                with V2Agent(self.listener.address, f"{name}-2", token) as other:
                    self.assertEqual(other.ask()["reason"], "join token used up")


if BUILD != "debug":
    del WhileItJoins  # what is shipped has no such points
del Case  # it has no tests of its own

if __name__ == "__main__":
    unittest.main()
