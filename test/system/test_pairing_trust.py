"""What an agent demands of who answers its pairing request, and what it does with an answer that nobody has proven."""

import datetime
import json
import os
import re
import signal
import unittest

from deployment import BIN, Deployment
from first_start import Volume
from old_peers import old_answer
from pairing_v2 import Authority, JoinToken, V2Dispatcher, new_key_and_csr, pin_text
from processes import as_process_one, children_of, poll, processes_naming
from terminal import Terminal

CODE = r"\d{4}-\d{4}"
STORED = ("agent.crt", "agent.key", "ca.crt", "ctrl-exec-serial", "dispatchers.json")


def without(*names):
    return lambda _, answer: {name: value for name, value in answer.items() if name not in names}


def having(**members):
    return lambda _, answer: {**answer, **members}


def cut_off(session, answer):
    session.send(old_answer(answer)[:-10])
    raise ConnectionError


def hang_up(*_):
    raise ConnectionError


class Trust(unittest.TestCase):
    """Against a dispatcher that is not our program."""

    @classmethod
    def setUpClass(cls):
        cls.deployment = cls.enterClassContext(Deployment(set_up=False))
        cls.authority = Authority(cls.deployment.directory / "honest")
        cls.other = Authority(cls.deployment.directory / "other")
        cls.names = (f"web-{number}" for number in range(1000))

    def dispatcher(self, **options):
        options.setdefault("authority", self.authority)
        return self.enterContext(V2Dispatcher(self.deployment.directory, **options))

    def agent(self, **settings):
        return self.deployment.agent(next(self.names), **settings)

    def argv(self, agent, dispatcher, *words):
        return agent.argv("request-pairing", "--dispatcher", dispatcher.address, *words)

    def ask(self, agent, dispatcher, *words, check=0, **environment):
        return self.deployment.execute(self.argv(agent, dispatcher, *words), check,
                                       self.deployment.environment(log="stderr", **environment))

    def assert_stored(self, agent):
        for name in STORED:
            self.assertTrue((agent.directory / name).exists(), name)
        self.assertEqual([path.name for path in agent.directory.glob(".pairing-*.json")], [])

    def assert_not_stored(self, agent):
        for name in STORED:
            self.assertFalse((agent.directory / name).exists(), name)

    def assert_refused(self, expected, words=(), check=1, agent=None, **options):
        """Nothing is stored, and no more than that is said."""
        agent = agent or self.agent()
        done = self.ask(agent, self.dispatcher(**options), *words, check=check)
        self.assertRegex(done.stderr.decode(), expected)
        self.assert_not_stored(agent)
        return done


class FirstUse(Trust):
    def test_is_stored_and_said_loudly(self):
        agent, dispatcher = self.agent(), self.dispatcher()
        done = self.ask(agent, dispatcher)
        self.assert_stored(agent)
        sas = dispatcher.sessions[0].sas
        self.assertTrue(dispatcher.sessions[0].committed)
        self.assertRegex(done.stdout.decode(), rf"(?m)^Check code: {sas}$")
        self.assertRegex(done.stderr.decode(), rf"warning: nobody has checked .* must show the check code {sas}")
        self.assertRegex(done.stderr.decode(), r"ACTION=pair-complete HOST=\S+ PAIR_V=2 TRUST=tofu")

    def test_old_dispatcher(self):
        agent = self.agent()
        done = self.ask(agent, self.dispatcher(version=1))
        self.assert_stored(agent)
        self.assertNotIn("Check code", done.stdout.decode())
        self.assertIn("speaks the first pairing protocol", done.stderr.decode())
        self.assertRegex(done.stderr.decode(), r"ACTION=pair-complete HOST=\S+ PAIR_V=1 TRUST=tofu")

    def test_in_the_background_only_the_id_is_printed(self):
        agent, dispatcher = self.agent(), self.dispatcher()
        done = self.ask(agent, dispatcher, "--background")
        self.assertEqual(done.stdout.decode(), dispatcher.sessions[0].reqid + "\n")
        poll("the certificate is stored", agent.certificate.exists)


class Lies(Trust):
    def test_first_answer(self):
        table = {
            "another CA": (having(ca=self.other.pem), "certificate is not of the CA that it names"),
            "no CA": (without("ca"), "the CA in the dispatcher's answer"),
            "a CA that is none": (having(ca="x" * 5000), "the CA in the dispatcher's answer"),
            "another serial": (having(dispatcher_serial="1234"), "another serial than it says"),
            "a serial that is none": (having(dispatcher_serial="xyz"), "no hex number"),
            "no serial": (without("dispatcher_serial"), "no hex number"),
            "a bad id": (having(dispatcher_id="a/b"), "dispatcher's id in the answer is not valid"),
            "no id": (without("dispatcher_id"), "dispatcher's id in the answer is not valid"),
            "no nonce": (without("sas_nonce"), "no sas_nonce of 64 hex digits"),
            "a short nonce": (having(sas_nonce="ab"), "no sas_nonce of 64 hex digits"),
            "a nonce in capitals": (having(sas_nonce="AB" * 32), "no sas_nonce of 64 hex digits"),
            "a version that is text": (lambda _, answer: old_answer({**answer, "pair_v": "2"}), "pair_v that is no version"),
            "version 0": (having(pair_v=0), "pair_v that is no version"),
            "no request id": (having(reqid="x; rm"), "no valid request id"),
            "no JSON": (lambda *_: b"HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\n{{{", "not one of the pairing protocol"),
            "cut off": (cut_off, "receipt did not come"),
        }
        for name, (change, expected) in table.items():
            with self.subTest(name):
                self.assert_refused(expected, first=change)

    def test_last_answer(self):
        table = {
            "another CA": (having(ca=self.other.pem), "another CA than the first"),
            "another serial": (having(dispatcher_serial="1234"), "another dispatcher serial than the first"),
            "another id": (having(dispatcher_id="0" * 16), "another dispatcher id than the first"),
            "another nonce": (having(nonce="00" * 16), "another nonce"),
            "stripped": (without("pair_v"), "not of pairing version 2"),
            "version as text": (having(pair_v="2"), "not of pairing version 2"),
            "another key": (lambda session, answer: {
                **answer, "cert": self.authority.sign(new_key_and_csr(session.asked["hostname"])[1])},
                "not for our key"),
            "signed by another CA": (lambda session, answer: {**answer, "cert": self.other.sign(session.asked["csr"])},
                                     "not acceptable"),
            "neither yes nor no": (having(status="perhaps"), "neither approved nor denied"),
            "hung up": (hang_up, "answer did not come"),
            "cut off": (cut_off, "answer did not come"),
        }
        for name, (change, expected) in table.items():
            with self.subTest(name):
                self.assert_refused(expected, last=change)

    def test_refusal_of_the_dispatcher_is_told(self):
        agent = self.agent()
        refused = lambda *_: {"status": "error", "reason": "pairing version 2 required"}
        self.assert_refused("refused the request: pairing version 2 required", agent=agent, first=refused)

    def test_clock_that_is_wrong_names_both_times(self):
        start, end = "20200101000000Z", "20200201000000Z"
        done = self.assert_refused("certificate is valid from 2020-01-01T00:00:00Z to 2020-02-01T00:00:00Z, and the clock "
                                   r"here says 20\d\d-", identity=self.authority.identity(start=start, end=end))
        self.assertIn("correct this clock", done.stderr.decode())

    def test_clock_that_is_wrong_is_said_each_time_while_waiting(self):
        identity = self.authority.identity(start="20200101000000Z", end="20200201000000Z")
        agent = self.agent()
        with self.deployment.start(self.argv(agent, self.dispatcher(identity=identity), "--wait"), "wait") as asking:
            asking.wait_log(r"(?s)clock here says.*clock here says")
        self.assert_not_stored(agent)

    def test_what_was_committed_to_is_revealed_to_version_2_only(self):
        dispatcher = self.dispatcher(version=1)
        self.ask(self.agent(), dispatcher)
        self.assertIsNone(dispatcher.sessions[0].reveal)
        self.assertNotIn("sas_nonce", json.dumps(dispatcher.sessions[0].asked))


class Pins(Trust):
    def test_right_pin_among_two(self):
        for words, environment in (
                (["--ca-pin", pin_text(self.other.der), "--ca-pin", pin_text(self.authority.der)], {}),
                ([], {"CTRL_EXEC_CA_PIN": f"{pin_text(self.other.der)}, {pin_text(self.authority.der).upper().replace('SHA', 'sha')}"}),
                ([], {"CTRL_EXEC_CA_PIN_FILE": self.pin_file()})):
            with self.subTest(words=words, environment=environment):
                agent = self.agent(pair_trust="pin")
                done = self.ask(agent, self.dispatcher(), *words, **environment)
                self.assert_stored(agent)
                self.assertIn("PAIR_V=2 TRUST=pin", done.stderr.decode())
                self.assertNotIn("warning", done.stderr.decode())

    def pin_file(self):
        path = self.deployment.directory / "pins"
        path.write_text(f"{pin_text(self.other.der)}\n{pin_text(self.authority.der)}\n")
        return str(path)

    def test_option_counts_more_than_environment(self):
        agent = self.agent()
        self.ask(agent, self.dispatcher(), "--ca-pin", pin_text(self.authority.der),
                 CTRL_EXEC_CA_PIN=pin_text(self.other.der))
        self.assert_stored(agent)

    def test_other_pin(self):
        done = self.assert_refused("a CA with another pin .* than --ca-pin names", ["--ca-pin", pin_text(self.other.der)])
        self.assertIn(pin_text(self.authority.der), done.stderr.decode())

    def test_certificate_of_an_agent_does_not_make_a_dispatcher(self):
        for version in (1, 2):
            self.assert_refused("for 'web-x', not a dispatcher's", ["--ca-pin", pin_text(self.authority.der)],
                                identity=self.authority.identity("web-x"), version=version)

    def test_old_dispatcher_is_held_to_it_with_the_last_answer(self):
        pin = ["--ca-pin", pin_text(self.authority.der)]
        agent = self.agent(pair_trust="pin")
        done = self.ask(agent, self.dispatcher(version=1), *pin)
        self.assert_stored(agent)
        self.assertIn("PAIR_V=1 TRUST=pin", done.stderr.decode())
        for change, expected in ((having(ca=self.other.pem), "another pin"),
                                 (having(dispatcher_serial="1234"), "another serial than it says"),
                                 (without("dispatcher_serial"), "no hex number")):
            self.assert_refused(expected, pin, version=1, last=change)
        self.assert_refused("not of the CA that it names", pin, version=1, identity=self.other.identity())


class Tokens(Trust):
    def token_file(self, text):
        path = self.deployment.directory / f"token-{next(self.names)}"
        path.write_text(text + "\n")
        return str(path)

    def test_approves_and_proves_both_sides(self):
        token = JoinToken.invented(self.authority.der)
        for words, environment in ((["--join-token-file", self.token_file(token.text)], {}),
                                   ([], {"JOIN_TOKEN_FILE": self.token_file(token.text)}),
                                   ([], {"JOIN_TOKEN": token.text})):
            with self.subTest(environment=environment):
                agent, dispatcher = self.agent(pair_trust="token"), self.dispatcher(token=token)
                done = self.ask(agent, dispatcher, *words, **environment)
                self.assert_stored(agent)
                asked = dispatcher.sessions[0].asked
                self.assertEqual(asked["join"]["kid"], token.kid)
                self.assertNotIn(token.text.split("_")[2], json.dumps(asked))
                self.assertIn("TRUST=token", done.stderr.decode())
                self.assertNotIn("warning", done.stderr.decode())

    def test_dispatcher_must_know_it(self):
        token, other = JoinToken.invented(self.authority.der), JoinToken.invented(self.authority.der)
        words = ["--join-token-file", self.token_file(token.text)]
        self.assert_refused("does not prove that the dispatcher knows the join token", words)
        self.assert_refused("does not prove that the dispatcher knows the join token", words, token=other)

    def test_of_another_deployment(self):
        token = JoinToken.invented(self.other.der)
        self.assert_refused("a CA with another pin .* than the join token",
                            ["--join-token-file", self.token_file(token.text)], token=token)

    def test_old_dispatcher_will_not_do(self):
        token = JoinToken.invented(self.authority.der)
        self.assert_refused("does not speak pairing version 2, which a join token needs",
                            ["--join-token-file", self.token_file(token.text)], version=1)

    def test_pin_beside_it_must_be_the_same(self):
        token = JoinToken.invented(self.authority.der)
        dispatcher = self.dispatcher(token=token)
        words = ["--join-token-file", self.token_file(token.text), "--ca-pin"]
        agent = self.agent()
        self.ask(agent, dispatcher, *words, pin_text(self.other.der), check=78)
        self.assertEqual(dispatcher.sessions, [])
        self.ask(agent, dispatcher, *words, pin_text(self.authority.der))
        self.assert_stored(agent)

    def test_refusals_are_told(self):
        token = JoinToken.invented(self.authority.der)
        for reason in ("join token refused", "join token expired", "the name is taken"):
            self.assert_refused(f"the dispatcher refused the request: {reason}",
                                ["--join-token-file", self.token_file(token.text)],
                                first=lambda *_, reason=reason: {"status": "error", "reason": reason})


class Staged(Trust):
    """pair_trust = sas without a terminal."""

    def stage(self, agent=None, **options):
        agent, dispatcher = agent or self.agent(pair_trust="sas"), self.dispatcher(**options)
        done = self.ask(agent, dispatcher, check=4)
        self.assert_not_stored(agent)
        self.assertIn("Approved, but not stored yet", done.stdout.decode())
        self.assertIn("ACTION=pair-staged", done.stderr.decode())
        self.assertEqual(os.stat(agent.directory / ".pairing-staged.json").st_mode & 0o777, 0o600)
        return agent, dispatcher.sessions[0].sas

    def confirm(self, agent, *words, check=0):
        return self.deployment.execute(agent.argv("pairing-confirm", *words), check,
                                       self.deployment.environment(log="stderr")).stderr.decode()

    def test_right_code_stores_it(self):
        for dash in ("-", ""):
            agent, sas = self.stage()
            self.assertIn("PAIR_V=2 TRUST=sas", self.confirm(agent, sas.replace("-", dash)))
            self.assert_stored(agent)
            agent.command("pairing-status")

    def test_wrong_code_stores_nothing_and_can_be_tried_again(self):
        agent, sas = self.stage()
        wrong = sas[:-1] + str((int(sas[-1]) + 1) % 10)
        for code in (wrong, "", "0", sas + "0", sas.replace("-", "."), "x" * 5000):
            said = self.confirm(agent, code, check=1)
            self.assertIn("ACTION=pair-confirm-mismatch", said)
            self.assertNotIn(sas, said)
            self.assert_not_stored(agent)
        self.confirm(agent, sas)
        self.assert_stored(agent)

    def test_discarded(self):
        agent, sas = self.stage()
        self.confirm(agent, "--discard")
        self.assertIn("no answer of a dispatcher waits", self.confirm(agent, sas, check=1))
        self.assert_not_stored(agent)

    def test_too_old(self):
        for change in (-3700, 3700):
            with self.subTest(change):
                agent, sas = self.stage()
                path = agent.directory / ".pairing-staged.json"
                staged = json.loads(path.read_text())
                at = datetime.datetime.fromisoformat(staged["staged"]) + datetime.timedelta(seconds=change)
                staged["staged"] = at.strftime("%Y-%m-%dT%H:%M:%SZ")
                path.write_text(json.dumps(staged))
                self.assertIn("nobody has confirmed the check code within an hour", self.confirm(agent, sas, check=1))
                self.assert_not_stored(agent)
                self.assertFalse(path.exists(), "there is a key in it")

    def test_status_does_not_tell_the_code(self):
        agent, sas = self.stage()
        shown = agent.command("pairing-status", check=1).stdout.decode()
        self.assertIn("pairing-confirm CODE", shown)
        self.assertNotIn(sas, shown)

    def test_old_dispatcher_will_not_do(self):
        self.assert_refused("does not speak pairing version 2, which pair_trust = sas needs",
                            agent=self.agent(pair_trust="sas"), version=1)

    def test_pin_is_as_good(self):
        agent = self.agent(pair_trust="sas")
        self.ask(agent, self.dispatcher(), "--ca-pin", pin_text(self.authority.der))
        self.assert_stored(agent)

    def test_in_the_background(self):
        agent, dispatcher = self.agent(pair_trust="sas"), self.dispatcher()
        done = self.ask(agent, dispatcher, "--background")
        self.assertEqual(done.stdout.decode(), dispatcher.sessions[0].reqid + "\n")
        poll("it is staged", (agent.directory / ".pairing-staged.json").exists)
        self.confirm(agent, dispatcher.sessions[0].sas)
        self.assert_stored(agent)


class OnATerminal(Trust):
    def terminal(self, agent, dispatcher, *words):
        return self.enterContext(Terminal(self.argv(agent, dispatcher, *words), self.deployment.environment()))

    def answer(self, typed, exit_code, *words, **settings):
        agent, dispatcher = self.agent(**settings), self.dispatcher()
        terminal = self.terminal(agent, dispatcher, *words)
        terminal.expect(rf"^Check code: {CODE}\n")
        code = terminal.expect(rf"^Does the dispatcher show the check code ({CODE})\? \[y/N\] $")[1]
        self.assertEqual(code, dispatcher.sessions[0].sas)
        self.assert_not_stored(agent)
        terminal.type(typed)
        self.assertEqual(terminal.wait_exit(), exit_code)
        return agent, terminal

    def test_yes_stores_it(self):
        for words, settings in (([], {}), (["--wait"], {}), ([], {"pair_trust": "sas"})):
            agent, _ = self.answer("y\n", 0, *words, **settings)
            self.assert_stored(agent)

    def test_anything_else_stores_nothing(self):
        for typed in ("n\n", "\n", "\4", "4831-1920\n"):
            agent, terminal = self.answer(typed, 1)
            terminal.expect("nothing was stored: nobody has confirmed the check code")
            self.assert_not_stored(agent)

    def test_what_was_typed_before_the_question_does_not_count(self):
        agent, dispatcher = self.agent(), self.dispatcher(last=lambda _, answer: self.type_first(answer))
        self.typing = self.terminal(agent, dispatcher)
        self.typing.expect(r"\[y/N\] $")
        self.typing.type("n\n")
        self.assertEqual(self.typing.wait_exit(), 1)
        self.assert_not_stored(agent)

    def type_first(self, answer):
        self.typing.expect("^Check code: .*\n")
        self.typing.type("y\n")
        self.typing.expect("^y\n")  # the echo
        return answer

    def test_nobody_is_asked_when_a_pin_has_proven_it(self):
        agent = self.agent()
        terminal = self.terminal(agent, self.dispatcher(), "--ca-pin", pin_text(self.authority.der))
        terminal.expect("^Paired: ")
        self.assertEqual(terminal.wait_exit(), 0)
        self.assert_stored(agent)


class KeptRequest(Trust):
    def lost(self, *words, **settings):
        """An agent whose answer was lost, and what it had asked."""
        agent, dispatcher = self.agent(**settings), self.dispatcher(last=hang_up)
        self.ask(agent, dispatcher, *words, check=1)
        self.path = agent.directory / ".pairing-request.json"
        self.assertEqual(os.stat(self.path).st_mode & 0o777, 0o600)
        return agent, dispatcher.sessions[0]

    def asked_again(self, agent, *words):
        dispatcher = self.dispatcher()
        done = self.ask(agent, dispatcher, *words)
        self.assert_stored(agent)
        return dispatcher.sessions[0].asked, done.stderr.decode()

    def test_same_key_and_request_after_a_lost_answer(self):
        agent, session = self.lost()
        asked, _ = self.asked_again(agent)
        self.assertEqual(asked["csr"], session.asked["csr"])
        self.assertNotEqual(asked["nonce"], session.asked["nonce"])
        self.assertNotEqual(asked["sas_commit"], session.asked["sas_commit"])

    def test_status_tells_of_it(self):
        agent, session = self.lost()
        shown = agent.command("pairing-status", check=1).stdout.decode()
        self.assertIn(session.reqid, shown)
        self.assertIn(session.sas, shown)
        self.assertIn(session.dispatcher.address, shown)

    def test_goes_when_it_is_denied(self):
        agent = self.agent()
        self.ask(agent, self.dispatcher(last=lambda *_: {"status": "denied", "reason": "rejected by operator"}), check=1)
        self.assertFalse((agent.directory / ".pairing-request.json").exists())

    def test_new_key_when_asked_for(self):
        agent, session = self.lost()
        self.assertNotEqual(self.asked_again(agent, "--new-key")[0]["csr"], session.asked["csr"])

    def test_another_host_name_or_type_of_key(self):
        for name, value in (("hostname", "db-01"), ("key_type", "rsa")):
            agent, session = self.lost()
            agent.config.write_text(re.sub(rf"(?m)^{name} .*\n", "", agent.config.read_text()) + f"{name} = {value}\n")
            asked, said = self.asked_again(agent)
            self.assertNotEqual(asked["csr"], session.asked["csr"])
            self.assertIn("a new one takes its place", said)

    def test_what_cannot_be_trusted_is_replaced(self):
        def swap_key():
            kept = json.loads(self.path.read_text())
            self.path.write_text(json.dumps({**kept, "key": new_key_and_csr("x")[0]}))

        def link():
            other = self.path.with_name("other")
            self.path.rename(other)
            self.path.symlink_to(other)

        for change in (swap_key, link, lambda: self.path.chmod(0o644), lambda: self.path.write_text("{"),
                       lambda: self.path.write_bytes(b"\0" * 200_000), lambda: os.chown(self.path, 65534, 65534)):
            agent, session = self.lost()
            change()
            asked, said = self.asked_again(agent)
            self.assertNotEqual(asked["csr"], session.asked["csr"])
            self.assertIn("a new one takes its place", said)

    def test_is_there_before_anything_is_sent(self):
        seen = []
        agent = self.agent()
        dispatcher = self.dispatcher(first=lambda session, answer: (
            seen.append(json.loads((agent.directory / ".pairing-request.json").read_text())["csr"]), answer)[1])
        self.ask(agent, dispatcher)
        self.assertEqual(seen, [dispatcher.sessions[0].asked["csr"]])

    def test_agent_that_is_paired_keeps_its_key(self):
        agent, _ = self.lost()
        self.asked_again(agent)
        key = agent.key.read_bytes()
        self.asked_again(agent)
        self.assertEqual(agent.key.read_bytes(), key)

    def test_status_of_an_answer_that_waits(self):
        agent, dispatcher = self.agent(pair_trust="sas"), self.dispatcher()
        self.ask(agent, dispatcher, check=4)
        self.assertIn("has approved request " + dispatcher.sessions[0].reqid,
                      agent.command("pairing-status", check=1).stdout.decode())


class WithOurDispatcher(unittest.TestCase):
    """Each side's person compares, and the agent serves the dispatcher that was meant."""

    def test_check_code_typed_on_both_sides(self):
        with Deployment() as deployment, deployment.pairing_mode() as listener:
            agent = deployment.agent("web-01", pair_trust="sas")
            with agent.request_pairing(listener) as asking:
                code = asking.wait_output(rf"^Check code: ({CODE})$")[1]
                reqid = deployment.wait_request("web-01")["id"]
                wrong = code[:-1] + str((int(code[-1]) + 1) % 10)
                deployment.dispatcher("approve", reqid, "--sas", wrong, check=1)
                self.assertIn(code, deployment.dispatcher("approve", reqid, "--sas", code).stdout.decode())
                self.assertEqual(asking.wait_exit(), 4)
            agent.command("pairing-confirm", wrong, check=1)
            self.assertFalse(agent.certificate.exists())
            agent.command("pairing-confirm", code)
            agent.serve()
            [result] = deployment.json("ping", agent.target)["results"]
            self.assertEqual(result["status"], "ok")
            [listed] = deployment.json("list-agents")["agents"]
            self.assertEqual(listed["trust"], "sas")


class InAContainer(Trust):
    """entrypoint agent: the same, from the environment."""

    def setUp(self):
        self.volume = Volume(self.deployment, "agent", next(self.names))
        self.volume.configure_with("hostname = web-01", "bind = 127.0.0.1", "port = 0", DISPATCHER_HOST="x")

    def start(self, dispatcher, **variables):
        return self.enterContext(self.volume.start(DISPATCHER_HOST=dispatcher.address, **variables))

    def test_token_file_that_comes_later(self):
        token, path = JoinToken.invented(self.authority.der), self.deployment.directory / f"late-{self.volume.directory.name}"
        dispatcher = self.dispatcher(token=token)
        container = self.start(dispatcher, JOIN_TOKEN_FILE=path)
        container.wait_log("not paired yet: environment JOIN_TOKEN_FILE: cannot read .*: No such file")
        self.assertEqual(dispatcher.sessions, [])
        path.with_suffix(".new").write_text(token.text + "\n")
        path.with_suffix(".new").rename(path)
        container.wait_listening()
        self.assertEqual(container.log.count("not paired yet"), 1)
        self.assertNotIn("warning", container.log)

    def test_token_is_not_in_the_environment_of_what_serves(self):
        token = JoinToken.invented(self.authority.der)
        container = self.start(self.dispatcher(token=token), JOIN_TOKEN=token.text)
        container.wait_listening()
        for pid in processes_naming(self.volume.directory):
            with open(f"/proc/{pid}/environ", "rb") as environment:
                self.assertNotIn(token.text.encode(), environment.read())
        container.stop()
        again = self.start(self.dispatcher(), JOIN_TOKEN=token.text).wait_listening()
        for pid in processes_naming(self.volume.directory):
            with open(f"/proc/{pid}/environ", "rb") as environment:
                self.assertNotIn(token.text.encode(), environment.read())
        again.stop()

    def test_token_is_not_in_the_environment_of_process_1(self):
        token = JoinToken.invented(self.authority.der)
        container = self.start(self.dispatcher(token=token), JOIN_TOKEN=token.text,
                               prefix=as_process_one([]))
        container.wait_listening()
        processes = processes_naming(self.volume.directory)
        self.assertGreaterEqual(len(processes), 3, "unshare, process 1 and the agent")
        for pid in processes:
            with open(f"/proc/{pid}/environ", "rb") as environment:
                self.assertNotIn(token.text.encode(), environment.read())
        os.kill(children_of(container.pid)[0], signal.SIGTERM)
        self.assertEqual(container.wait_exit(), 0)

    def test_a_proof_that_is_empty_is_not_trust_in_anybody(self):
        for name in ("JOIN_TOKEN", "JOIN_TOKEN_FILE", "CTRL_EXEC_CA_PIN", "CTRL_EXEC_CA_PIN_FILE"):
            with self.subTest(name), self.start(self.dispatcher(), **{name: " "}) as container:
                self.assertEqual(container.wait_exit(), 78)
                self.assertIn(f"environment {name}: is empty", container.log)

    def test_token_that_is_none(self):
        container = self.start(self.dispatcher(), JOIN_TOKEN="secret")
        self.assertEqual(container.wait_exit(), 78)
        self.assertIn("[entrypoint] ERROR: environment JOIN_TOKEN: not a join token", container.log)
        self.assertNotIn("secret", container.log)

    def test_pin(self):
        self.start(self.dispatcher(), CTRL_EXEC_CA_PIN=pin_text(self.authority.der),
                   CTRL_EXEC_AGENT_PAIR_TRUST="pin").wait_listening()

    def test_pin_that_is_missing(self):
        container = self.start(self.dispatcher(), CTRL_EXEC_AGENT_PAIR_TRUST="pin")
        self.assertEqual(container.wait_exit(), 78)
        self.assertIn("pair_trust = pin, but there is no pin", container.log)

    def confirm(self, code, check=0):
        self.deployment.execute([BIN / "ctrl-exec-agent", "--config", self.volume.config, "pairing-confirm", code], check)

    def test_check_code_is_confirmed_before_it_serves(self):
        for words in ({}, {"AGENT_PAIRING": "exit"}):
            with self.subTest(words):
                self.setUp()
                dispatcher = self.dispatcher()
                container = self.start(dispatcher, CTRL_EXEC_AGENT_PAIR_TRUST="sas", **words)
                container.wait_output("serves once the check code that the dispatcher shows is typed here")
                container.kill()
                again = self.start(dispatcher, CTRL_EXEC_AGENT_PAIR_TRUST="sas", **words)
                again.wait_output("serves once the check code that the dispatcher shows is typed here")
                self.assertEqual(len(dispatcher.sessions), 1, "it does not ask again")
                self.confirm("0000-0000", check=1)
                self.confirm(dispatcher.sessions[0].sas)
                again.wait_listening()

    def test_told_to_stop_while_it_waits(self):
        container = self.start(self.dispatcher(), CTRL_EXEC_AGENT_PAIR_TRUST="sas")
        container.wait_output("serves once the check code")
        container.stop()
        self.assertEqual(container.wait_exit(), 0)

    def test_discarded(self):
        container = self.start(self.dispatcher(), CTRL_EXEC_AGENT_PAIR_TRUST="sas")
        container.wait_output("serves once the check code")
        self.confirm("--discard")
        self.assertEqual(container.wait_exit(), 1)
        self.assertIn("the answer of the dispatcher was discarded", container.log)


if __name__ == "__main__":
    unittest.main()
