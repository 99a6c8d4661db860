"""Either side is killed between any two messages: asked once more, the agent is paired, with one certificate that counts."""

import itertools
import json
import re
import signal
import threading
import unittest

from api import serve_api
from deployment import BUILD, Deployment
from pairing_mitm import Mitm
from pairing_trials import STAGED, Trial
from pairing_v2 import JoinToken, V2Agent, der_of, serial_text
from processes import poll
from test_hosted_pairing import START

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
    settings = {}

    def setUp(self):
        self.deployment = self.enterContext(Deployment(pairing_rate_limit="1000/1/1", **self.settings))
        self.listen()
        self.token = ""

    def listen(self):
        self.listener = self.enterContext(self.deployment.pairing_mode())
        self.address = self.listener.address

    def relay(self, stop):
        """Nobody can tell it from the dispatcher: it has its certificate and key."""
        return self.enterContext(Mitm(
            self.deployment.directory, self.address,
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
        self.listen()

    def request(self, trial):
        """Its own: that of an agent that was killed may still be there for a moment."""
        reqid = trial.wait_text(r"^Pairing request sent: (\w+)$")[1]
        return poll(f"request {reqid}", lambda: next((r for r in self.deployment.requests() if r["id"] == reqid), None))

    def approve(self, trial):
        request = self.request(trial)
        self.deployment.dispatcher("approve", request["id"], "--sas", request["sas"])

    def retry(self, trial):
        trial.close()
        trial.start()
        if trial.mode != "token":
            self.approve(trial)
        self.finish(trial)

    def finish(self, trial):
        """It ends well; where nobody sits at it, somebody types what the dispatcher shows."""
        self.assertEqual(trial.end(), STAGED if trial.mode == "staged" else 0, trial.text)
        if trial.mode == "staged":
            self.assertEqual(trial.stored, [])
            trial.agent.command("pairing-confirm", trial.sas)

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
            self.approve(trial)
        stop.wait()
        return stop, relay, trial


class Hosted:
    """A Case in which the HTTP API's process is the listener."""

    settings = {"api_port": 0, "api_auth_default": "allow", "pairing": "on"}

    def listen(self):
        self.listener = self.enterContext(serve_api(self.deployment))
        self.listener.wait_log(START)
        self.address = re.search(START, self.listener.log)[1]


class KillsAgent(Case):
    def check(self, mode, message):
        stop, relay, trial = self.stopped_before(mode, message)
        trial.process.kill()
        trial.process.wait()
        stop.go.set()
        self.assertEqual(trial.stored, [])
        poll("the relay has given up", lambda: relay.sessions[0].ended.is_set())
        self.retry(trial)
        self.assert_one_certificate(trial, relay)


class AgentIsKilled(KillsAgent):
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
        request = self.request(trial)
        trial.process.kill()
        self.deployment.dispatcher("approve", request["id"], check=None)  # in time or not: nobody can tell
        poll("its request is dropped", lambda: not self.deployment.requests())
        self.retry(trial)
        self.assert_one_certificate(trial, relay)


    def test_asked_again_instead_of_confirmed(self):
        """What was staged before counts no more."""
        relay = self.relay(Stop("none"))
        trial = self.agent("staged", relay.address)
        self.approve(trial)
        self.assertEqual(trial.end(), STAGED)
        earlier = trial.sas
        trial.close()
        trial.start()
        self.approve(trial)
        self.assertEqual(trial.end(), STAGED)
        trial.agent.command("pairing-confirm", earlier, check=1)
        self.finish(trial)
        self.assert_one_certificate(trial, relay)


class KillsDispatcher(Case):
    def check(self, mode, message):
        stop, relay, trial = self.stopped_before(mode, message)
        self.restart_listener()
        stop.go.set()
        relay.upstream = self.address
        if message == "last":
            self.finish(trial)  # it was on its way already
        else:
            self.assertNotIn(trial.end(), (0, STAGED), trial.text)
            self.assertEqual(trial.stored, [])
            self.retry(trial)
        self.assert_one_certificate(trial, relay)


class DispatcherIsKilled(KillsDispatcher):
    def test_before_somebody_confirms(self):
        relay = self.relay(Stop("none"))
        trial = self.agent("staged", relay.address)
        self.approve(trial)
        self.assertEqual(trial.end(), STAGED)
        self.restart_listener()
        self.finish(trial)
        self.assert_one_certificate(trial, relay)

    def test_while_the_operator_is_asked(self):
        relay = self.relay(Stop("none"))
        trial = self.agent("tofu", relay.address)
        self.deployment.wait_request("web-01")
        self.restart_listener()
        relay.upstream = self.address
        self.assertNotEqual(trial.end(), 0)
        self.assertEqual(self.deployment.requests(), [], "of an agent whose connection is gone")
        self.retry(trial)
        self.assert_one_certificate(trial, relay)

    def test_after_the_approval_before_it_is_delivered(self):
        relay = self.relay(Stop("none"))
        trial = self.agent("tofu", relay.address)
        request = self.request(trial)
        self.listener.wait_log(f"ACTION=pair-request .*REQID={request['id']}")  # it has let go of the queue
        self.listener.signal(signal.SIGSTOP)  # it delivers nothing
        approved = self.deployment.json("approve", request["id"], "--sas", request["sas"])
        lost = approved["agent"]["serial"]
        self.restart_listener()
        relay.upstream = self.address
        self.assertNotEqual(trial.end(), 0)
        self.assertEqual(trial.stored, [])
        self.retry(trial)
        self.assertIn(lost, (self.deployment.ca / "revoked-serials").read_text().lower())
        self.assert_one_certificate(trial, relay)


class AgentIsKilledAtTheApi(Hosted, KillsAgent):
    pass


class ApiIsKilled(Hosted, KillsDispatcher):
    pass


def add_tests(case, *modes):
    for mode, message in itertools.product(modes, MESSAGES):
        setattr(case, f"test_{mode}_at_the_{message}",
                lambda self, mode=mode, message=message: self.check(mode, message))


add_tests(AgentIsKilled, "tofu", "staged", "pin", "token")
add_tests(DispatcherIsKilled, "tofu", "staged", "pin", "token")
add_tests(AgentIsKilledAtTheApi, "tofu", "token")
add_tests(ApiIsKilled, "tofu", "token")


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
