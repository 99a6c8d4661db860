"""Broken and hostile messages of pairing version 2, at each step and on both sides: clear words, nothing stored."""

import itertools
import os
import threading
import unittest

import hostile_pairing_v2
from deployment import Deployment
from fast_forward import put_ahead
from first_start import NOBODY, Volume
from hostile_pairing import HOSTNAMES, PairingPort
from hostile_pairing_v2 import COMMIT, FIRST, LAST, REQUESTS, REVEALS
from hostile_tables import (PortTable, Row, SlowCallers, SlowTable, tests_of, wait_footprint,
                            wait_without_peers)
from pairing_mitm import Mitm
from pairing_trials import Trial
from pairing_v2 import Authority, JoinToken, V2Agent, V2Dispatcher, der_of, join_request_mac, key_digest, sha256
from processes import poll
from wire import request

DAY = 86_400


class Listener(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.deployment = cls.enterClassContext(Deployment(pairing_max_queue=1000, pairing_rate_limit="1000/1/1"))
        cls.daemon = cls.enterClassContext(cls.deployment.pairing_mode())
        cls.port = PairingPort(cls.daemon.address, cls.good_request, cls.deployment.state / "pairing")
        cls.good_request()
        cls.quiet = wait_without_peers(cls.daemon)

    @classmethod
    def good_request(cls):
        """A right request waits for the operator; when its agent hangs up it is dropped again."""
        with V2Agent(cls.daemon.address, "web-00") as agent:
            agent.ask()
            agent.reveal()
            cls.daemon.wait_log(f"^ACTION=pair-request .*REQID={agent.first['reqid']}$")
        cls.daemon.wait_log(f"^ACTION=pair-end HOST=web-00 OUTCOME=gone REQID={agent.first['reqid']}$")


def having(row, members):
    """The same row with more in its request: members(port, those that it has)."""

    def talk(port):
        body = port.body

        def more(**changes):
            asked = body(**changes)
            return {**asked, **members(port, asked)}

        port.body = more
        try:
            return row.talk(port)
        finally:
            port.body = body

    return Row(row.name, talk, row.said, row.log)


def of_version_2(*_):
    return {"pair_v": 2, "sas_commit": COMMIT}


def joining(port, asked):
    """With a join token, and a mac that is right for this name."""
    name = asked["hostname"] if isinstance(asked["hostname"], str) else ""
    mac = join_request_mac(port.token.key, asked["nonce"], sha256(der_of(asked["csr"])), port.leaf_key_digest, name)
    return {**of_version_2(), "join": {"kid": port.token.kid, "mac": mac}}


@tests_of(REQUESTS, REVEALS, [having(row, of_version_2) for row in HOSTNAMES])
class DispatchersSide(PortTable, Listener):
    def check(self, row):
        super().check(row)
        self.assertEqual(self.port.waiting(), [])
        self.assertEqual(self.deployment.json("list-agents")["agents"], [])


@tests_of([having(row, joining) for row in HOSTNAMES])
class HostnamesOfATokensAgents(PortTable, Listener):
    """A token approves by itself: nobody looks at the name."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.port.token = JoinToken.parse(cls.deployment.dispatcher("join-token", "create").stdout.decode())
        cls.port.leaf_key_digest = key_digest(der_of((cls.deployment.ca / "ctrl-exec.crt").read_text()))

    def check(self, row):
        super().check(row)
        self.assertEqual(self.port.waiting(), [])
        self.assertEqual(self.deployment.json("list-agents")["agents"], [])
        [token] = self.deployment.json("join-token", "list")["tokens"]
        self.assertEqual((token["used"], token["state"]), (0, "usable"))

    def test_name_that_is_right(self):
        """It was for the name that the others were refused."""
        asked = self.port.body()
        with self.port.tls() as client:
            client.send(request("POST", "/pair", {**asked, **joining(self.port, asked)}, version="1.0"))
            self.assertEqual(client.read_answer().json["status"], "pending")
        wait_footprint(self.daemon, self.quiet)


@tests_of(hostile_pairing_v2.SLOW)
class SlowReveals(SlowTable, Listener):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        callers = SlowCallers(cls.port, hostile_pairing_v2.SLOW)
        cls.good_request()
        callers.watch()
        cls.ends = callers.ends
        cls.good_request()


class AgentsSide(unittest.TestCase):
    """The agent has said nothing of itself but a commitment, and stores nothing."""

    @classmethod
    def setUpClass(cls):
        cls.deployment = cls.enterClassContext(Deployment(set_up=False))
        cls.authority = Authority(cls.deployment.directory / "authority")

    def check(self, step, answer, said):
        with V2Dispatcher(self.deployment.directory, authority=self.authority, **{step: answer}) as dispatcher:
            with Trial(self.deployment, "tofu", dispatcher.address, ca=self.authority.der) as trial:
                trial.end()
                self.assertNotIn(trial.process.returncode, (0, 4), trial.text)
                self.assertGreater(trial.process.returncode, 0, trial.text)
                self.assertEqual(trial.stored, [])
                self.assertEqual([path.name for path in trial.agent.directory.glob(".pairing-staged*")], [])
                self.assertRegex(trial.text, f"(?m)^ctrl-exec-agent: {said}$")
                self.assertNotIn("\x1b", trial.text)
                self.assertNotRegex(trial.text, "(?i)internal error|terminate|exception")
                if step == "first":
                    self.assertIsNone(dispatcher.sessions[0].reveal)


def add_tests(step, rows):
    for name, (answer, said) in rows.items():
        setattr(AgentsSide, f"test_{step}_answer_with_{name}".replace(" ", "_").replace(",", ""),
                lambda self, answer=answer, said=said: self.check(step, answer, said))


add_tests("first", FIRST)
add_tests("last", LAST)


class HangUps(unittest.TestCase):
    def test_dispatcher_that_closes_at_each_step(self):
        with Deployment(set_up=False) as deployment:
            authority = Authority(deployment.directory / "authority")

            def close(session, _):
                session.connection.close()
                raise ConnectionResetError

            def half(session, _):
                session.send(hostile_pairing_v2.HALF)
                raise ConnectionResetError

            for step in ("first", "last"):
                for how in (close, half):
                    with self.subTest(f"{step} {how.__name__}"):
                        with V2Dispatcher(deployment.directory, authority=authority, **{step: how}) as dispatcher:
                            with Trial(deployment, "tofu", dispatcher.address, ca=authority.der) as trial:
                                self.assertEqual(trial.end(), 1, trial.text)
                                self.assertEqual(trial.stored, [])
                                self.assertRegex(trial.text, "did not come|closed")


class Clocks(unittest.TestCase):
    """One side is a day off."""

    def setUp(self):
        self.deployment = self.enterContext(Deployment())
        self.ca = der_of((self.deployment.ca / "ca.crt").read_text())

    def test_token_expires_by_the_dispatchers_clock(self):
        with self.deployment.pairing_mode() as listener:
            token = self.deployment.dispatcher("join-token", "create", "--ttl", "1h", "--uses", "3").stdout.decode()
            with V2Agent(listener.address, "web-01", token) as first:
                certificate = first.pair()
            put_ahead(listener.pid, 2 * 3600)
            with V2Agent(listener.address, "web-02", token) as late:
                self.assertEqual(late.ask(), {"status": "error", "reason": "join token expired"})
            listener.wait_log(f"ACTION=join-refuse .*HOST=web-02 KID={JoinToken.parse(token).kid} .*expired")
            with first.retry() as again:
                self.assertEqual(again.pair(), certificate, "an answer that was lost is given again for a day")

    def trial_with_clock(self, listener, seconds, mode, **options):
        """An agent whose clock is so much ahead when it reads the first answer."""
        reached, go = threading.Event(), threading.Event()

        def first(_, answer):
            reached.set()
            go.wait(40)
            return answer

        relay = self.enterContext(Mitm(
            self.deployment.directory, listener.address, first=first,
            identity=(self.deployment.ca / "ctrl-exec.crt", self.deployment.ca / "ctrl-exec.key")))
        trial = self.enterContext(Trial(self.deployment, mode, relay.address, **options))
        self.assertTrue(reached.wait(40), trial.text)
        put_ahead(trial.process.pid, seconds)
        go.set()
        return trial

    def with_agent(self, seconds, approve=True):
        """(exit code, text, what is stored) of an agent whose clock is so much ahead."""
        with self.deployment.pairing_mode() as listener:
            trial = self.trial_with_clock(listener, seconds, "tofu")
            if approve:
                self.deployment.dispatcher("approve", self.deployment.wait_request(trial.name)["id"])
            return trial.end(), trial.text, trial.stored

    def test_dispatcher_two_days_ahead(self):
        """What it signs is not valid yet where the agent is, which says so."""
        with self.deployment.pairing_mode() as listener:
            token = self.deployment.dispatcher("join-token", "create", "--ttl", "7d", "--uses", "2").stdout.decode()
            put_ahead(listener.pid, 2 * DAY)
            words = []
            for name, ahead, expected in (("web-01", 0, 1), ("web-02", 3 * DAY, 0)):
                trial = self.trial_with_clock(listener, ahead, "token", token=token.strip(), name=name)
                self.assertEqual(trial.end(), expected, trial.text)
                words.append(trial.text)
            self.assertRegex(words[0], "not yet valid|valid from|clock")
            [listed] = self.deployment.json("join-token", "list")["tokens"]
            self.assertEqual(listed["used"], 2)

    def test_agent_a_day_ahead(self):
        status, text, _ = self.with_agent(DAY)
        self.assertEqual(status, 0, text)

    def test_agent_ten_days_behind_names_both_times(self):
        status, text, stored = self.with_agent(-10 * DAY, approve=False)
        self.assertEqual((status, stored), (1, []), text)
        self.assertRegex(text, r"valid from 20\d\d-\d\d-\d\dT.*clock here says 20\d\d-\d\d-\d\dT")

    def test_agent_twenty_years_ahead_names_both_times(self):
        status, text, stored = self.with_agent(20 * 365 * DAY, approve=False)
        self.assertEqual((status, stored), (1, []), text)
        self.assertRegex(text, r"valid from 20\d\d-\d\d-\d\dT.*clock here says 20\d\d-\d\d-\d\dT")


class TokenFiles(unittest.TestCase):
    """A token that cannot be read: said before anything is sent, and no part of it repeated."""

    @classmethod
    def setUpClass(cls):
        cls.deployment, cls.numbers = cls.enterClassContext(Deployment()), itertools.count(1)
        cls.listener = cls.enterClassContext(cls.deployment.pairing_mode())
        cls.token = cls.deployment.dispatcher("join-token", "create").stdout.decode().strip()

    def refused(self, *words, environment=None):
        agent = self.deployment.agent(f"web-{next(self.numbers)}")
        done = agent.command("request-pairing", "--dispatcher", self.listener.address, *words, check=None,
                             environment=environment)
        text = (done.stdout + done.stderr).decode(errors="replace")
        self.assertIn(done.returncode, (1, 2, 78), text)
        self.assertNotIn(self.token.split("_")[2], text)
        self.assertEqual([each for each in (agent.certificate, agent.key, agent.ca) if each.exists()], [])
        return text

    def file(self, data, permissions=0o600):
        path = self.deployment.directory / "token"
        path.unlink(missing_ok=True)
        path.write_bytes(data)
        path.chmod(permissions)
        return path

    def test_files(self):
        good = self.token.encode()
        for name, data in {"empty": b"", "blank": b"\n\n", "another text": b"hello\n", "cut off": good[:-10],
                           "too long": good + b"0", "two tokens": good + b"\n" + good, "binary": bytes(range(256)) * 8,
                           "a megabyte": good + b" " * (1 << 20), "a NUL": good + b"\0",
                           "another version": good.replace(b"cej2_", b"cej3_"),
                           "the secret in small letters": good.lower() + b"x"}.items():
            with self.subTest(name):
                path = self.file(data)
                self.assertIn(str(path), self.refused("--join-token-file", path))
                text = self.refused(environment=self.deployment.environment(JOIN_TOKEN_FILE=str(path)))
                self.assertRegex(text, f"{path}|JOIN_TOKEN_FILE")

    def test_empty_option(self):
        for option in ("--ca-pin", "--join-token-file"):
            self.assertIn(option, self.refused(option, ""), "it must not become trust in whoever answers")

    def test_no_file(self):
        for path in (self.deployment.directory / "none", self.deployment.directory, "/dev/null", "/nonexistent/x"):
            with self.subTest(path):
                self.assertIn(str(path), self.refused("--join-token-file", path))

    def test_variable(self):
        for value in ("nonsense", self.token[:-1], self.token + self.token):
            with self.subTest(value[:10]):
                text = self.refused(environment=self.deployment.environment(JOIN_TOKEN=value))
                self.assertIn("JOIN_TOKEN", text)

    def test_pins(self):
        for value in ("", "sha256:", "sha256:00", "sha1:" + "0" * 40, "0" * 64, "sha256:" + "g" * 64, "\x1b[2J"):
            with self.subTest(value):
                text = self.refused("--ca-pin", value)
                self.assertNotIn("\x1b", text)
        self.assertIn("CTRL_EXEC_CA_PIN", self.refused(environment=self.deployment.environment(CTRL_EXEC_CA_PIN="x")))

    def test_pin_and_token_that_differ(self):
        text = self.refused("--ca-pin", "sha256:" + "0" * 64, "--join-token-file", self.file(self.token.encode()))
        self.assertIn("pin", text)

    def test_nothing_was_asked(self):
        self.assertNotIn("ACTION=pair-request", self.listener.log)
        poll("tokens are unused", lambda: {each["used"] for each in self.deployment.json("join-token", "list")["tokens"]}
             == {0})


class UnreadableTokenFiles(unittest.TestCase):
    """An agent that is not root, and a token that only root can read."""

    def setUp(self):
        self.deployment = self.enterContext(Deployment())
        self.listener = self.enterContext(self.deployment.pairing_mode())
        self.deployment.directory.chmod(0o711)
        self.path = self.deployment.directory / "secret" / "token"
        self.path.parent.mkdir()
        self.path.write_bytes(self.deployment.dispatcher("join-token", "create").stdout)
        self.path.chmod(0o600)

    def ask(self, name, *words, check, **variables):
        """What an agent says that is nobody, in a directory of its own."""
        agent = self.deployment.agent(name)
        for place in (agent.directory, *agent.directory.iterdir()):
            os.chown(place, 65534, 65534)
        done = self.deployment.execute(
            [*NOBODY, *agent.argv("request-pairing", "--dispatcher", self.listener.address, *words)], check,
            self.deployment.environment(**variables))
        self.assertEqual(agent.certificate.exists(), check == 0)
        return (done.stdout + done.stderr).decode()

    def told(self, source, culprit):
        return (f"ctrl-exec-agent: {source}: cannot read {self.path}: Permission denied; check owner and mode: {culprit} "
                "belongs to uid 0, we run as uid 65534; chown it, or run as its owner\n")

    def assert_readable_only_with(self, culprit):
        """One line says whence the path came, and why; the same command goes on with the right to read."""
        for number, (source, words, variables) in enumerate((
                ("--join-token-file", ["--join-token-file", self.path], {}),
                ("environment JOIN_TOKEN_FILE", [], {"JOIN_TOKEN_FILE": str(self.path)}))):
            for how in ([], ["--wait"], ["--background"]):
                with self.subTest(source, how=how):
                    said = self.ask(f"web-{number}{''.join(how)}", *words, *how, check=78, **variables)
                    self.assertEqual(said, self.told(source, culprit))
        self.assertNotIn("ACTION=join", self.listener.log)
        os.chown(culprit, 65534, 65534)
        self.ask("web-9", "--join-token-file", self.path, check=0)

    def test_file(self):
        self.assert_readable_only_with(self.path)

    def test_directory(self):
        os.chown(self.path, 65534, 65534)
        self.path.parent.chmod(0o700)
        self.assert_readable_only_with(self.path.parent)

    def test_in_a_container(self):
        volume = Volume(self.deployment, "agent")
        volume.state.mkdir()
        for place in (volume.directory, volume.state):
            os.chown(place, 65534, 65534)
        done = self.deployment.execute(volume.argv(prefix=NOBODY, DISPATCHER_HOST=self.listener.address,
                                                   JOIN_TOKEN_FILE=self.path), 78)
        self.assertIn(self.told("environment JOIN_TOKEN_FILE", self.path), done.stderr.decode())


del Listener  # it has no tests of its own

if __name__ == "__main__":
    unittest.main()
