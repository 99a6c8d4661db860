"""Somebody in the path of a pairing, in every way that we know of, against every way in which an agent comes to trust.

Each attack names what must become of it on both sides. Where nobody can see it (tofu: nobody compares anything), the
agent must say so, in words and in the log.
"""

import contextlib
import functools
import pathlib
import unittest

from deployment import Deployment
from pairing_mitm import Mitm, TakesOver, ground_csr
from pairing_trials import MODES, STAGED, Trial
from pairing_v2 import (Authority, JoinToken, V2Agent, V2Dispatcher, commitment, der_of, join_answer_mac,
                        join_request_mac, key_digest, pairing_code, serial_text, sha256)
from processes import poll

IN_THE_PATH = "somebody may be in the path"


def each(*modes):
    """Decorates a test that is done in each of these modes, or in all."""

    def decorate(test):
        @functools.wraps(test)
        def all_of_them(self):
            for mode in modes or MODES:
                with self.subTest(mode):
                    test(self, mode)

        return all_of_them

    return decorate


class Case(unittest.TestCase):
    settings = {}

    @classmethod
    def setUpClass(cls):
        cls.deployment = cls.enterClassContext(Deployment(pairing_max_queue=100, pairing_rate_limit="1000/1/1",
                                                          **cls.settings))
        cls.listener = cls.enterClassContext(cls.deployment.pairing_mode())
        cls.directory = cls.deployment.directory
        cls.evil = Authority(cls.directory / "evil")
        cls.real_identity = cls.deployment.ca / "ctrl-exec.crt", cls.deployment.ca / "ctrl-exec.key"
        cls.ca = der_of((cls.deployment.ca / "ca.crt").read_text())

    def token(self, *words):
        return self.deployment.dispatcher("join-token", "create", *words).stdout.decode().strip()

    def trial(self, mode, address, **options):
        if mode == "token" and "token" not in options:
            options["token"] = JoinToken.invented(options["ca"]).text if "ca" in options else self.token()
        return self.enterContext(Trial(self.deployment, mode, address, **options))

    def assert_nothing_stored(self, trial):
        self.assertEqual(trial.stored, [], trial.text)

    def assert_refused(self, trial, *words):
        """The agent ends by itself, says why, and has stored nothing, not even to be confirmed later."""
        self.assertNotIn(trial.end(), (0, STAGED), trial.text)
        for word in words:
            self.assertIn(word, trial.text)
        self.assert_nothing_stored(trial)
        self.assertFalse((trial.agent.directory / ".pairing-staged.json").exists())

    def assert_not_registered(self, trial):
        self.assertNotIn(trial.name, [each["hostname"] for each in self.deployment.json("list-agents")["agents"]])

    def assert_says_what_it_cannot_see(self, trial, version=2):
        """Nobody has looked who answered: the pairing counts, and the agent says that loudly."""
        self.assertEqual(trial.end(), 0, trial.text)
        self.assertRegex(trial.text, rf"ACTION=pair-complete .*PAIR_V={version}.*TRUST=tofu")
        unchecked = "an agent cannot check who answers"
        if version == 2:
            unchecked = rf"nobody has checked .* must show the check code {trial.sas}\b"
        self.assertRegex(trial.text, rf"(?m)^ctrl-exec-agent: warning: .*{unchecked}")

    def assert_needs_a_person(self, trial):
        """Nothing counts before somebody has compared the check codes, and he sees that they differ."""
        if trial.mode == "terminal":
            trial.answer("n")
            self.assertEqual(trial.end(), 1, trial.text)
            self.assertFalse((trial.agent.directory / ".pairing-staged.json").exists())
        else:
            self.assertEqual(trial.end(), STAGED, trial.text)
            wrong = "0000-0000" if trial.sas != "0000-0000" else "0000-0001"
            done = trial.agent.command("pairing-confirm", wrong, check=1)
            self.assertNotIn(trial.sas.encode(), done.stdout + done.stderr, "the right code is for the dispatcher's eyes")
            trial.agent.command("pairing-confirm", "--discard")
        self.assert_nothing_stored(trial)


class ForeignDispatcher(Case):
    """He answers in the dispatcher's place, with a CA of his own, and approves without any operator."""

    def foreign(self, **options):
        return self.enterContext(V2Dispatcher(self.directory, authority=self.evil, **options))

    @each()
    def test_with_his_own_ca(self, mode):
        dispatcher = self.foreign()
        trial = self.trial(mode, dispatcher.address)
        if mode == "tofu":
            self.assert_says_what_it_cannot_see(trial)
            self.assertEqual(trial.trusts, key_digest(self.evil.der))
        elif mode in ("terminal", "staged"):
            self.assert_needs_a_person(trial)
        else:
            self.assert_refused(trial, "pin", IN_THE_PATH)
            self.assertIsNone(dispatcher.sessions[0].reveal, "the agent's nonce is nobody's who is not believed")

    @each()
    def test_with_the_real_ca_over_his_own_certificate(self, mode):
        ca = (self.deployment.ca / "ca.crt").read_text()
        dispatcher = self.foreign(first=lambda _, answer: {**answer, "ca": ca})
        trial = self.trial(mode, dispatcher.address)
        self.assert_refused(trial, IN_THE_PATH)
        self.assertIsNone(dispatcher.sessions[0].reveal)

    @each()
    def test_with_another_serial_than_his_certificates(self, mode):
        dispatcher = self.foreign(serial=self.deployment.json("serial-status")["current_serial"])
        self.assert_refused(self.trial(mode, dispatcher.address, ca=self.evil.der), "serial", IN_THE_PATH)

    @each()
    def test_with_a_certificate_whose_time_is_not_now(self, mode):
        for dates in ({"end": "20260101000000Z", "start": "20250101000000Z"}, {"start": "20500101000000Z",
                                                                              "end": "20510101000000Z"}):
            dispatcher = self.foreign(identity=self.evil.identity(**dates))
            trial = self.trial(mode, dispatcher.address, ca=self.evil.der)
            self.assert_refused(trial, "clock", *(dates[name][:4] for name in ("start", "end")))

    @each("tofu", "staged", "pin", "token")
    def test_that_says_at_last_what_it_did_not_say_at_first(self, mode):
        other = Authority(self.directory / f"other-{mode}")
        lies = {
            "another CA": lambda session, answer: {**answer, "ca": other.pem, "cert": other.sign(session.asked["csr"])},
            "another serial": lambda _, answer: {**answer, "dispatcher_serial": "1234"},
            "another id": lambda _, answer: {**answer, "dispatcher_id": "0" * 16},
            "no id": lambda _, answer: {**answer, "dispatcher_id": ""},
            "version 1": lambda _, answer: {**answer, "pair_v": 1},
            "no version": lambda _, answer: {name: answer[name] for name in answer if name != "pair_v"},
            "another nonce": lambda _, answer: {**answer, "nonce": "0" * 32},
            "another agent's certificate": lambda _, answer: {
                **answer, "cert": pathlib.Path(self.evil.identity("web-01")[0]).read_text()},
            "a certificate of another CA": lambda session, answer: {**answer, "cert": other.sign(session.asked["csr"])},
        }
        token = JoinToken.invented(self.evil.der)
        for name, lie in lies.items():
            dispatcher = self.foreign(last=lie, token=token if mode == "token" else None)
            with self.subTest(name):
                trial = self.trial(mode, dispatcher.address, ca=self.evil.der, token=token.text)
                self.assert_refused(trial)

    @each("tofu", "staged", "pin", "token")
    def test_replays_the_answer_of_an_earlier_pairing(self, mode):
        """The same agent asks again with the same key: what once was approved must not count twice."""
        token = JoinToken.invented(self.evil.der)
        earlier = {}

        def remember(_, answer, earlier=earlier):
            if earlier:
                return dict(earlier)
            earlier.update(answer)
            return {"status": "denied", "reason": "approval timeout", "pair_v": 2}  # the agent never saw it

        dispatcher = self.foreign(last=remember, token=token if mode == "token" else None)
        trial = self.trial(mode, dispatcher.address, ca=self.evil.der, token=token.text)
        trial.end()
        trial.close()
        self.assertIn("cert", earlier, trial.text)
        self.assert_refused(trial.start(), "nonce", IN_THE_PATH)
        self.assertEqual(dispatcher.sessions[0].asked["csr"], dispatcher.sessions[1].asked["csr"])
        self.assertNotEqual(dispatcher.sessions[0].asked["sas_commit"], dispatcher.sessions[1].asked["sas_commit"])

    def test_that_knows_the_token_s_name_only(self):
        token, unknown = JoinToken.invented(self.evil.der), JoinToken.invented(self.evil.der)
        for name, options in {
                "no mac": {},
                "a mac with another secret": {"token": unknown},
                "an empty mac": {"last": lambda _, answer: {**answer, "join_mac": ""}},
                "a mac that is no text": {"last": lambda _, answer: {**answer, "join_mac": 0}},
                "the mac of the request": {"last": lambda session, answer: {
                    **answer, "join_mac": session.asked["join"]["mac"]}},
        }.items():
            with self.subTest(name):
                trial = self.trial("token", self.foreign(**options).address, token=token.text)
                self.assert_refused(trial, "token", IN_THE_PATH)


class TakenOver(Case):
    """He pairs the agent with himself and himself with the dispatcher, where an operator sits who approves."""

    def attack(self, **options):
        return self.enterContext(TakesOver(self.directory, self.listener.address, authority=self.evil, **options))

    @each("terminal", "staged", "tofu")
    def test_operator_who_compares_sees_it(self, mode):
        attacker = self.attack()
        trial = self.trial(mode, attacker.address)
        sas = trial.sas
        request = self.deployment.wait_request(trial.name)
        self.assertNotEqual(request["sas"], sas)
        done = self.deployment.dispatcher("approve", request["id"], "--sas", sas, check=1)
        self.assertNotIn(request["sas"].encode(), done.stdout + done.stderr)
        self.assertEqual(self.deployment.wait_request(trial.name), request, "it still waits")
        self.deployment.dispatcher("deny", request["id"])
        self.assert_refused(trial, "rejected by operator")
        self.assert_not_registered(trial)

    @each()
    def test_agent_sees_it_when_the_operator_does_not(self, mode):
        attacker = self.attack()
        trial = self.trial(mode, attacker.address)
        if mode in ("pin", "token"):
            self.assert_refused(trial, *(["pin", IN_THE_PATH] if mode == "pin" else ["join token refused"]))
            self.assert_not_registered(trial)
            return
        request = self.deployment.wait_request(trial.name)
        approved = self.deployment.dispatcher("approve", request["id"])
        self.assertIn(request["sas"], (approved.stdout + approved.stderr).decode(), "for the agent's side to compare")
        self.assertNotEqual(request["sas"], trial.sas)
        if mode == "tofu":
            self.assert_says_what_it_cannot_see(trial)
        else:
            self.assert_needs_a_person(trial)
        [record] = [each for each in self.deployment.json("list-agents")["agents"]
                    if each["hostname"] == trial.name]
        self.assertEqual(record["trust"], "unchecked")

    @each("terminal", "staged", "tofu")
    def test_request_ground_to_the_same_six_digits(self, mode):
        attacker = self.attack(csr_for=lambda asked: ground_csr(asked["hostname"], pairing_code(asked["csr"])))
        trial = self.trial(mode, attacker.address)
        request = self.deployment.wait_request(trial.name)
        code = trial.wait_text(r"^Pairing code: (\d{6})$")[1]
        self.assertEqual(request["code"], code, "the code of version 1 does not tell them apart")
        self.assertNotEqual(request["sas"], trial.sas)
        self.deployment.dispatcher("approve", request["id"], "--sas", trial.sas, check=1)
        self.deployment.dispatcher("approve", request["id"])
        if mode == "tofu":
            self.assert_says_what_it_cannot_see(trial)
            self.assertEqual(trial.trusts, key_digest(self.evil.der), "as docs/trust.md says")
        else:
            self.assert_needs_a_person(trial)

    def test_operator_s_own_code_typed_at_the_agent(self):
        """The dispatcher's code is right there and wrong here."""
        attacker = self.attack()
        trial = self.trial("staged", attacker.address)
        request = self.deployment.wait_request(trial.name)
        self.deployment.dispatcher("approve", request["id"], "--sas", request["sas"])
        self.assertEqual(trial.end(), STAGED)
        trial.agent.command("pairing-confirm", request["sas"], check=1)
        self.assert_nothing_stored(trial)

    def test_join_with_a_key_of_his_own(self):
        """The mac of the request is for the agent's key, over the dispatcher's certificate: his are neither."""
        token = self.token()
        agent = self.enterContext(V2Agent(self.attack().address, "web-joins", token))
        self.assertEqual(agent.ask(), {"status": "error", "reason": "join token refused"})
        with Mitm(self.directory, self.listener.address, authority=self.evil) as relay:
            agent = self.enterContext(V2Agent(relay.address, "web-joins", token))
            self.assertEqual(agent.ask(), {"status": "error", "reason": "join token refused"})
        with V2Agent(self.listener.address, "web-joins", token) as agent:
            agent.pair()  # the token is good, and not used up by all that


class UnderAHostsName(Case):
    """Somebody else asks under the name of a host that asks too, with a key of his own and without a token."""

    def both(self, mode, key_and_csr=lambda trial: None):
        """The host, he, and the requests of both as the operator sees them."""
        trial = self.trial(mode, self.listener.address)
        request = self.deployment.wait_request(trial.name)
        he = self.enterContext(V2Agent(self.listener.address, trial.name, key_and_csr=key_and_csr(trial)))
        he.wait()
        his = poll("his request", lambda: next((r for r in self.deployment.requests()
                                                if r["id"] == he.first["reqid"]), None))
        return trial, he, request, his

    def assert_refused_with(self, sas, request):
        done = self.deployment.dispatcher("approve", request["id"], "--sas", sas, check=1)
        self.assertRegex(done.stderr.decode(), "check code")
        self.assertNotIn(request["sas"].encode(), done.stdout + done.stderr)
        self.assertIn(request, self.deployment.requests(), "it still waits")

    @each("tofu", "terminal", "staged", "pin")
    def test_operator_who_types_the_host_s_code(self, mode):
        trial, he, request, his = self.both(mode)
        self.assertEqual((his["hostname"], request["sas"]), (trial.name, trial.sas))
        self.assertNotEqual(his["sas"], trial.sas)
        self.assert_refused_with(trial.sas, his)
        self.deployment.dispatcher("deny", his["id"])
        self.assertEqual(he.read_last()["status"], "denied")
        self.deployment.dispatcher("approve", request["id"], "--sas", trial.sas)
        if mode == "terminal":
            trial.answer("y")
        self.assertEqual(trial.end(), STAGED if mode == "staged" else 0, trial.text)
        if mode == "staged":
            trial.agent.command("pairing-confirm", trial.sas)
        [record] = [each for each in self.deployment.json("list-agents")["agents"] if each["hostname"] == trial.name]
        self.assertEqual((record["trust"], record["serial"]),
                         ("sas", serial_text(der_of(trial.agent.certificate.read_text()))))

    def test_six_digits_that_are_the_host_s(self):
        def grind(trial):
            return ground_csr(trial.name, trial.wait_text(r"^Pairing code: (\d{6})$")[1])

        trial, he, request, his = self.both("staged", grind)
        self.assertEqual(his["code"], request["code"])
        self.assertNotEqual(his["sas"], request["sas"])
        self.assert_refused_with(trial.sas, his)
        for each_request in (his, request):
            self.deployment.dispatcher("deny", each_request["id"])
        self.assertEqual(he.read_last()["status"], "denied")
        self.assert_refused(trial, "rejected by operator")
        self.assert_not_registered(trial)


class Insider(Case):
    """A compromised agent of this dispatcher: his certificate comes from the right CA."""

    def insider(self, relay, name="web-99"):
        authority = Authority.of(self.deployment)
        identity = authority.identity(name)
        serial = serial_text(der_of(identity[0].read_text()))
        return self.enterContext(relay(
            self.directory, self.listener.address, identity=identity,
            first=lambda _, real: {**real, "dispatcher_serial": serial} if real["status"] == "pending" else real,
            last=lambda _, real: {**real, "dispatcher_serial": serial} if real["status"] == "approved" else real))

    @each()
    def test_relays_with_his_certificate(self, mode):
        attacker = self.insider(Mitm)
        trial = self.trial(mode, attacker.address)
        if mode == "pin":
            self.assert_refused(trial, "web-99", IN_THE_PATH)
        elif mode == "token":
            self.assert_refused(trial, "join token refused")
        else:
            request = self.deployment.wait_request(trial.name)
            self.assertNotEqual(request["sas"], trial.sas, "the key of the certificate is in the check code")
            self.deployment.dispatcher("approve", request["id"])
            if mode == "tofu":
                self.assert_says_what_it_cannot_see(trial)
            else:
                self.assert_needs_a_person(trial)

    def test_who_has_the_fleets_token_too(self):
        """One token for all: he knows what the new agent knows, and answers with macs that are right."""
        token = JoinToken.parse(self.token("--uses", "10"))
        real_leaf = key_digest(der_of((self.deployment.ca / "ctrl-exec.crt").read_text()))
        authority = Authority.of(self.deployment)
        identity = authority.identity("web-99")
        serial = serial_text(der_of(identity[0].read_text()))

        def asks(_, asked):
            mac = join_request_mac(token.key, asked["nonce"], sha256(der_of(asked["csr"])), real_leaf, asked["hostname"])
            return {**asked, "join": {"kid": token.kid, "mac": mac}}

        def last(session, real):
            if real["status"] != "approved":
                return real
            mac = join_answer_mac(token.key, session.asked["nonce"], sha256(der_of(real["cert"])), token.pin, serial,
                                  real["dispatcher_id"])
            return {**real, "dispatcher_serial": serial, "join_mac": mac}

        attacker = self.enterContext(Mitm(
            self.directory, self.listener.address, identity=identity, asks=asks, last=last,
            first=lambda _, real: {**real, "dispatcher_serial": serial}))
        self.assert_refused(self.trial("token", attacker.address, token=token.text), "web-99", IN_THE_PATH)

    def test_cannot_become_a_dispatcher_by_his_name(self):
        for token in (None, self.token()):
            with V2Agent(self.listener.address, "ctrl-exec", token) as agent:
                self.assertEqual(agent.ask(), {"status": "error", "reason": "invalid request"})


class Downgrade(Case):
    """He makes both sides believe that the other is of 0.8.4."""

    @staticmethod
    def old_request(_, asked):
        return {name: asked[name] for name in ("hostname", "csr", "nonce")}

    @staticmethod
    def old_first(_, answer):
        return {"status": answer["status"], "reqid": answer["reqid"]}

    @each()
    def test_pair_v_is_stripped_from_the_request(self, mode):
        attacker = self.enterContext(Mitm(self.directory, self.listener.address, asks=self.old_request,
                                          authority=self.evil))
        trial = self.trial(mode, attacker.address)
        if mode in ("staged", "token"):
            self.assert_refused(trial, "does not speak pairing version 2")
            return
        request = self.deployment.wait_request(trial.name)
        self.assertEqual((request["trust"], request.get("sas", "")), ("legacy", ""))
        refused = self.deployment.dispatcher("approve", request["id"], "--sas", "1234-5678", check=1)
        self.assertIn(b"no check code", refused.stderr)
        self.deployment.dispatcher("approve", request["id"])
        if mode == "pin":
            self.assert_refused(trial, IN_THE_PATH)
        else:
            self.assert_says_what_it_cannot_see(trial, version=1)
        [record] = [each for each in self.deployment.json("list-agents")["agents"]
                    if each["hostname"] == trial.name]
        self.assertEqual(record["trust"], "legacy")

    @each("tofu", "staged", "pin", "token")
    def test_pair_v_is_stripped_from_the_answer(self, mode):
        """The dispatcher waits for a reveal that never comes."""
        attacker = self.enterContext(Mitm(self.directory, self.listener.address, first=self.old_first,
                                          reveals=lambda *_: None, identity=self.real_identity))
        trial = self.trial(mode, attacker.address)
        self.assert_refused(trial, "no reveal" if mode in ("tofu", "pin") else "does not speak pairing version 2")
        self.assertEqual(self.deployment.requests(), [])

    @each()
    def test_old_dispatcher_with_a_ca_of_his_own(self, mode):
        attacker = self.enterContext(V2Dispatcher(self.directory, authority=self.evil, version=1))
        trial = self.trial(mode, attacker.address)
        if mode in ("tofu", "terminal"):
            self.assert_says_what_it_cannot_see(trial, version=1)
        else:
            self.assert_refused(trial)
        self.assertIsNone(attacker.sessions[0].reveal)

    def test_strips_the_join(self):
        attacker = self.enterContext(Mitm(
            self.directory, self.listener.address, identity=self.real_identity,
            asks=lambda _, asked: {name: asked[name] for name in asked if name != "join"}))
        trial = self.trial("token", attacker.address)
        request = self.deployment.wait_request(trial.name)
        self.deployment.dispatcher("approve", request["id"])
        self.assert_refused(trial, "token", IN_THE_PATH)


class Policy(Case):
    def expect(self, minimum, ask, answer):
        with Deployment(pairing_min=minimum) as deployment, deployment.pairing_mode() as listener:
            with V2Agent(listener.address, "web-01") as agent:
                self.assertEqual(agent.ask(**ask), answer)
            listener.wait_log("ACTION=pair-reject")
            self.assertEqual(deployment.requests(), [])

    def test_version_1_is_not_enough(self):
        old = {"pair_v": None, "sas_commit": None}
        self.expect("v2", old, {"status": "error", "reason": "pairing version 2 required"})
        self.expect("token", old, {"status": "error", "reason": "pairing version 2 required"})

    def test_version_2_without_a_token_is_not_enough(self):
        self.expect("token", {}, {"status": "error", "reason": "join token required"})

    def test_agent_that_needs_a_pin_or_token_does_not_even_connect(self):
        for trust in ("pin", "token"):
            dispatcher = self.enterContext(V2Dispatcher(self.directory, authority=self.evil))
            trial = self.trial("tofu", dispatcher.address, pair_trust=trust)
            self.assertEqual(trial.end(), 78, trial.text)
            self.assertEqual(dispatcher.sessions, [])
            self.assert_nothing_stored(trial)


class Reveals(Case):
    """What the agent's side can try at the dispatcher."""

    def asking(self, name="web-01", token=None):
        agent = self.enterContext(V2Agent(self.listener.address, name, token))
        agent.ask()
        return agent

    def assert_denied(self, agent, reason="commitment mismatch"):
        self.assertEqual(agent.read_last(), {"status": "denied", "reason": reason, "pair_v": 2})
        self.assertEqual([r for r in self.deployment.requests() if r["hostname"] == agent.hostname], [])

    def test_two_reveals_are_swapped(self):
        one, two = self.asking("web-one"), self.asking("web-two")
        one.reveal(sas_nonce=two.agent_nonce.hex())
        two.reveal(sas_nonce=one.agent_nonce.hex())
        for agent in (one, two):
            self.assert_denied(agent)
            self.listener.wait_log(f"ACTION=pair-commit-mismatch.* HOST={agent.hostname}.* REQID={agent.first['reqid']}")

    def test_reveals_whole_are_swapped(self):
        one, two = self.asking("web-one"), self.asking("web-two")
        one.reveal(body={"reqid": two.first["reqid"], "sas_nonce": two.agent_nonce.hex()})
        two.reveal(body={"reqid": one.first["reqid"], "sas_nonce": one.agent_nonce.hex()})
        for agent in (one, two):
            self.assert_denied(agent)

    def test_another_nonce_than_committed_with_a_token(self):
        token = self.token()
        agent = self.asking("web-token", token).reveal(sas_nonce="00" * 32)
        self.assert_denied(agent)
        with V2Agent(self.listener.address, "web-token", token) as honest:
            honest.pair()  # nothing was consumed

    def test_request_that_is_not_revealed_can_neither_be_seen_nor_approved(self):
        agent = self.asking("web-hidden")
        self.assertEqual([r for r in self.deployment.requests() if r["hostname"] == "web-hidden"], [])
        for verb in ("approve", "deny"):
            self.deployment.dispatcher(verb, agent.first["reqid"], check=1)
        agent.reveal()
        request = self.deployment.wait_request("web-hidden")
        self.assertEqual(request["sas"], agent.sas)
        self.deployment.dispatcher("approve", request["id"], "--sas", agent.sas.replace("-", ""))
        agent.read_last()
        agent.check_last()

    def test_whole_conversation_is_replayed(self):
        """What somebody has recorded of another agent (he cannot, through TLS) makes him no certificate of his own."""
        agent = self.asking("web-recorded")
        agent.reveal()
        self.deployment.dispatcher("deny", self.deployment.wait_request("web-recorded")["id"])
        with V2Agent(self.listener.address, "web-recorded") as replay:
            replay.ask(body=agent.body())
            replay.reveal(body={"reqid": agent.first["reqid"], "sas_nonce": agent.agent_nonce.hex()})
            self.assert_denied(replay)
        with V2Agent(self.listener.address, "web-recorded") as replay:
            replay.ask(body=agent.body())
            replay.reveal(sas_nonce=agent.agent_nonce.hex())
            request = self.deployment.wait_request("web-recorded")
            self.assertNotEqual(request["sas"], agent.sas)
            self.deployment.dispatcher("deny", request["id"])

    def test_v1_s_check_is_not_taken_for_a_check_code(self):
        agent = self.asking("web-six").reveal()
        request = self.deployment.wait_request("web-six")
        self.deployment.dispatcher("approve", request["id"], "--sas", agent.code, check=None)
        self.assertEqual(self.deployment.wait_request("web-six"), request)
        self.deployment.dispatcher("deny", request["id"])


class Tokens(Case):
    def refusal(self, name, token, **changes):
        with V2Agent(self.listener.address, name, token) as agent:
            return agent.ask(**changes)

    @staticmethod
    def error(reason):
        return {"status": "error", "reason": reason}

    def test_wrong_macs(self):
        token = self.token()
        parsed = JoinToken.parse(token)
        with V2Agent(self.listener.address, "web-mac", token) as agent:
            agent.connect()
            leaf, csr = agent.leaf_key_digest, agent.csr_digest
            for what, mac in {
                    "of another nonce": join_request_mac(parsed.key, "00" * 16, csr, leaf, "web-mac"),
                    "of another CSR": join_request_mac(parsed.key, agent.nonce, sha256(b""), leaf, "web-mac"),
                    "of another certificate": join_request_mac(parsed.key, agent.nonce, csr, sha256(b""), "web-mac"),
                    "of another name": join_request_mac(parsed.key, agent.nonce, csr, leaf, "web-other"),
                    "of another secret": join_request_mac(bytes(32), agent.nonce, csr, leaf, "web-mac"),
                    "of the secret itself": join_request_mac(parsed.secret, agent.nonce, csr, leaf, "web-mac"),
                    "of zeros": "0" * 64}.items():
                with self.subTest(what):
                    with V2Agent(self.listener.address, "web-mac", token, (agent.key, agent.csr)) as liar:
                        liar.nonce = agent.nonce
                        self.assertEqual(liar.ask(join={"kid": parsed.kid, "mac": mac}),
                                         self.error("join token refused"))
        self.assertEqual(self.refusal("web-mac", JoinToken.invented(self.ca)), self.error("join token refused"))
        self.listener.wait_log(r"ACTION=join-refuse .*KID=[0-9a-f]{16} .*REASON=")
        with V2Agent(self.listener.address, "web-mac", token) as agent:
            agent.pair()

    def test_used_up(self):
        token = self.token()
        with V2Agent(self.listener.address, "web-first", token) as first:
            first.pair()
        self.assertEqual(self.refusal("web-second", token), self.error("join token used up"))
        self.assertEqual(self.refusal("web-first", token), self.error("join token used up"))
        again = self.enterContext(first.retry())
        self.assertEqual(again.pair(), der_of(first.last["cert"]), "the same key gets the same certificate again")

    def test_two_race_for_one_use(self):
        token = self.token()
        agents = [self.enterContext(V2Agent(self.listener.address, f"web-race-{i}", token)) for i in range(8)]
        for agent in agents:
            agent.ask()
        self.assertEqual({agent.first["status"] for agent in agents}, {"pending"}, "none has used it yet")
        for agent in agents:
            agent.reveal()
        outcomes = [agent.read_last() for agent in agents]
        self.assertEqual(sorted(each["status"] for each in outcomes), ["approved"] + ["denied"] * 7
                         if "denied" in {each["status"] for each in outcomes} else ["approved"] + ["error"] * 7)
        self.assertEqual({each["reason"] for each in outcomes if each["status"] != "approved"}, {"join token used up"})
        registered = [each["hostname"] for each in self.deployment.json("list-agents")["agents"]
                      if each["hostname"].startswith("web-race-")]
        self.assertEqual(registered, [agent.hostname for agent in agents if agent.last["status"] == "approved"])
        [listed] = [each for each in self.deployment.json("join-token", "list")["tokens"]
                    if each["kid"] == JoinToken.parse(token).kid]
        self.assertEqual((listed["used"], listed["state"]), (1, "used up"))

    def test_name_of_another_agent(self):
        with V2Agent(self.listener.address, "web-taken", self.token()) as agent:
            agent.pair()
        self.assertEqual(self.refusal("web-taken", self.token()), self.error("the name is taken"))
        with V2Agent(self.listener.address, "web-taken", self.token("--replace")) as other:
            certificate = other.pair()
        revoked = (self.deployment.ca / "revoked-serials").read_text()
        self.assertIn(serial_text(der_of(agent.last["cert"])), revoked)
        self.assertNotIn(serial_text(certificate), revoked)

    def test_name_and_address(self):
        self.assertEqual(self.refusal("db-01", self.token("--hosts", "web-*")),
                         self.error("join token is not for this host name"))
        self.assertEqual(self.refusal("web-x", self.token("--from", "10.0.0.0/8")),
                         self.error("join token is not for this address"))

    def test_revoked(self):
        token = self.token()
        self.deployment.dispatcher("join-token", "revoke", JoinToken.parse(token).kid)
        self.assertEqual(self.refusal("web-y", token), self.error("join token revoked"))

    def test_of_another_deployment(self):
        with Deployment() as other:
            token = other.dispatcher("join-token", "create").stdout.decode().strip()
            trial = self.trial("token", self.listener.address, token=token)
            self.assert_refused(trial)
            with V2Agent(self.listener.address, "web-z", token) as agent:
                self.assertEqual(agent.ask(), self.error("join token refused"))

    def test_secret_is_nowhere(self):
        token = self.token("--uses", "5")
        with V2Agent(self.listener.address, "web-secret", token) as agent:
            agent.pair()
        secret = token.split("_")[2]
        for path in self.deployment.directory.rglob("*"):
            if path.is_file():
                with contextlib.suppress(FileNotFoundError):
                    data = path.read_bytes()
                    self.assertNotIn(secret.encode(), data, path)
                    self.assertNotIn(JoinToken.parse(token).secret, data, path)


class Limits(unittest.TestCase):
    def test_who_is_wrong_too_often_must_wait_but_a_good_token_need_not(self):
        with Deployment(pairing_rate_limit="3/600/3600") as deployment, deployment.pairing_mode() as listener:
            ca = der_of((deployment.ca / "ca.crt").read_text())
            token = deployment.dispatcher("join-token", "create").stdout.decode().strip()
            for _ in range(3):
                with V2Agent(listener.address, "web-01", JoinToken.invented(ca)) as agent:
                    self.assertEqual(agent.ask()["reason"], "join token refused")
            limited = {"status": "error", "reason": "rate limited"}
            for changes in ({}, {"pair_v": None, "sas_commit": None}):
                with V2Agent(listener.address, "web-02") as agent:
                    self.assertEqual(agent.ask(**changes), limited)
            with V2Agent(listener.address, "web-02", JoinToken.invented(ca)) as agent:
                self.assertEqual(agent.ask(), limited)
            listener.wait_log("ACTION=rate-block .*PEER=127.0.0.1")
            with V2Agent(listener.address, "web-03", token) as agent:
                agent.pair()


del Case  # it has no tests of its own

if __name__ == "__main__":
    unittest.main()
