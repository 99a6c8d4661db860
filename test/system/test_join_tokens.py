"""Join tokens from end to end: real agents, tags, what is left after an agent has gone, a container's token file."""

import json
import unittest

from deployment import BIN, Deployment, mode
from fast_forward import put_ahead
from first_start import Volume, entrypoint_lines, free_port
from pairing_v2 import JoinToken, V2Agent
from processes import poll


def make_token(deployment, *words):
    return deployment.dispatcher("join-token", "create", *words).stdout.decode().strip()


class Tokens(unittest.TestCase):
    def setUp(self):
        self.deployment = self.enterContext(Deployment())

    def join(self, agent, listener, token):
        """The real agent, by a file."""
        path = agent.directory / "token"
        path.write_text(token + "\n")
        path.chmod(0o600)
        return agent.command("request-pairing", "--dispatcher", "127.0.0.1", "--port", listener.port,
                             "--join-token-file", path)

    def records(self):
        return {agent["hostname"]: agent for agent in self.deployment.json("list-agents")["agents"]}

    def test_an_agent_joins_and_its_tags_count_at_once(self):
        agent = self.deployment.agent("web-01")
        agent.config.write_text(agent.config.read_text() + "[tags]\nenv = development\nzone = eu\n")
        with self.deployment.pairing_mode() as listener:
            self.join(agent, listener, make_token(self.deployment, "--tag", "env=prod"))
            listener.wait_log(r"ACTION=join HOST=web-01 KID=[0-9a-f]{16} PEER=127\.0\.0\.1 REQID=[0-9a-f]{16} SERIAL=")
        record = self.records()["web-01"]
        self.assertEqual((record["trust"], record["tags"]), ("token", {"env": "prod"}))
        agent.serve()
        self.deployment.dispatcher("edit-agent", "web-01", "--ip", "127.0.0.1", "--lookup-by", "ip", "--agent-port",
                                   agent.daemon.port)
        self.assertIn(b"web-01", self.deployment.dispatcher("ping", "tag:env=prod").stdout)
        self.assertIn(b"selects nobody", self.deployment.dispatcher("ping", "tag:zone=eu", check=2).stderr)
        [found] = self.deployment.json("discover")["results"]
        self.assertEqual(found["tags"], {"zone": "eu", "env": "prod"})
        self.deployment.dispatcher("ping", "tag:zone=eu")
        self.deployment.dispatcher("ping", "tag:env=development", check=2)

    def test_an_agent_that_was_unpaired_does_not_come_back_with_its_old_request(self):
        token = make_token(self.deployment, "--uses", "2")
        with self.deployment.pairing_mode() as listener:
            with V2Agent(listener.address, "web-01", token) as agent:
                agent.pair()
                with agent.retry() as again:
                    again.pair()
                    self.assertEqual(again.last["cert"], agent.last["cert"])
                self.deployment.dispatcher("unpair", "web-01")
                with agent.retry() as gone:
                    self.assertIn("unpaired", gone.ask()["reason"])
            self.assertEqual(self.records(), {})
            with V2Agent(listener.address, "web-01", token) as anew:
                anew.pair()
        self.assertIn("web-01", self.records())

    def test_an_agent_that_was_renamed_is_not_registered_a_second_time(self):
        with self.deployment.pairing_mode() as listener:
            with V2Agent(listener.address, "web-01", make_token(self.deployment)) as agent:
                agent.pair()
                self.deployment.dispatcher("edit-agent", "web-01", "--rename", "db-01")
                with agent.retry() as again:
                    self.assertEqual(again.ask()["status"], "error")
        self.assertEqual(list(self.records()), ["db-01"])

    def test_a_name_that_is_taken(self):
        with self.deployment.pairing_mode() as listener:
            with V2Agent(listener.address, "web-01", make_token(self.deployment)) as agent:
                agent.pair()
            before = self.records()["web-01"]["serial"]
            with V2Agent(listener.address, "web-01", make_token(self.deployment)) as other:
                self.assertEqual(other.ask()["reason"], "the name is taken")
            self.assertEqual(self.records()["web-01"]["serial"], before)
            with V2Agent(listener.address, "web-01", make_token(self.deployment, "--replace")) as other:
                other.pair()
        self.assertNotEqual(self.records()["web-01"]["serial"], before)
        self.assertIn(before, (self.deployment.ca / "revoked-serials").read_text())

    def test_one_use_for_two_agents(self):
        token = make_token(self.deployment)
        with self.deployment.pairing_mode() as listener:
            with V2Agent(listener.address, "a", token) as a, V2Agent(listener.address, "b", token) as b:
                self.assertEqual([agent.ask()["status"] for agent in (a, b)], ["pending"] * 2)
                for agent in (a, b):
                    agent.reveal()
                answers = sorted((agent.read_last() for agent in (a, b)), key=lambda answer: answer["status"])
        self.assertEqual([answer["status"] for answer in answers], ["approved", "denied"])
        self.assertEqual(answers[1]["reason"], "join token used up")
        self.assertEqual(len(self.records()), 1)

    def test_a_fault_of_the_dispatcher_passes(self):
        agent, key = self.deployment.agent("web-01"), self.deployment.ca / "ca.key"
        path = agent.directory / "token"
        path.write_text(make_token(self.deployment) + "\n")
        path.chmod(0o600)
        away = key.rename(key.with_suffix(".away"))
        with self.deployment.pairing_mode() as listener:
            asking = agent.request_pairing(listener, "--join-token-file", path, "--wait")
            asking.wait_log("cannot give a certificate now: something is wrong at the dispatcher; its log says what")
            listener.wait_log(rf"ACTION=join-refuse .*REASON=.*{key}")
            self.assertNotIn(str(key), asking.log)
            away.rename(key)
            self.assertEqual(asking.wait_exit(), 0, asking.describe())
        self.assertEqual(self.records()["web-01"]["trust"], "token")
        token, = self.deployment.json("join-token", "list")["tokens"]
        self.assertEqual(token["used"], 1)

    def test_a_damaged_record_admits_nobody_and_is_told(self):
        token = make_token(self.deployment)
        record = self.deployment.state / "join-tokens" / JoinToken.parse(token).kid / "token.json"
        record.write_text(record.read_text().replace('"uses":1', '"uses":"many"'))
        with self.deployment.pairing_mode() as listener, V2Agent(listener.address, "web-01", token) as agent:
            self.assertEqual(agent.ask()["status"], "error")
        done = self.deployment.dispatcher("join-token", "list", check=1)
        self.assertIn(str(record), done.stderr.decode())
        self.assertEqual(self.records(), {})


class Containers(unittest.TestCase):
    def setUp(self):
        self.deployment = self.enterContext(Deployment(set_up=False))
        self.deployment.directory.chmod(0o755)
        self.volume = Volume(self.deployment, "dispatcher")
        self.token = self.deployment.directory / "token"

    def configure(self, check=0, **variables):
        done = self.volume.configure(check, API_PORT=0, JOIN_TOKEN_FILE=self.token, **variables)
        return done.stderr.decode() if check else "\n".join(entrypoint_lines(done.stdout.decode()))

    def join_tokens(self):
        done = self.deployment.execute([BIN / "ctrl-exec-dispatcher", "--config", self.volume.config, "--json",
                                        "join-token", "list"])
        return json.loads(done.stdout)["tokens"]

    def test_a_fleet_from_one_file(self):
        port = free_port()
        agents = [Volume(self.deployment, "agent", f"agent-{i}") for i in range(3)]
        started = [volume.start(DISPATCHER_HOST=f"127.0.0.1:{port}", JOIN_TOKEN_FILE=self.token,
                                CTRL_EXEC_AGENT_HOSTNAME=f"agent-{i}", CTRL_EXEC_AGENT_PORT=0,
                                CTRL_EXEC_AGENT_BIND="127.0.0.1", CTRL_EXEC_AGENT_PAIR_TRUST="token")
                   for i, volume in enumerate(agents)]
        dispatcher = self.volume.start(API_PORT=0, JOIN_TOKEN_FILE=self.token, CTRL_EXEC_PAIRING_PORT=port,
                                       CTRL_EXEC_PAIRING_BIND="127.0.0.1", CTRL_EXEC_PAIRING_MIN="token")
        dispatcher.wait_listening()
        for agent in started:
            agent.wait_listening()
        [token] = self.join_tokens()
        self.assertEqual(token["used"], 3)
        self.assertNotIn("WARN", dispatcher.log)

    def test_the_file_is_made_and_kept(self):
        said = self.configure(JOIN_TOKEN_USES=2, JOIN_TOKEN_HOSTS="web-*", JOIN_TOKEN_TTL="2h")
        self.assertRegex(said, r"Join token [0-9a-f]{16} written to \S+/token: 2 uses, valid until ")
        self.assertEqual(mode(self.token), "0640")
        first = self.token.read_text()
        self.assertNotIn("Join token", self.configure())
        self.assertEqual(self.token.read_text(), first)
        [token] = self.join_tokens()
        self.assertEqual((token["uses"], token["hosts"]), (2, "web-*"))
        self.deployment.execute([BIN / "ctrl-exec-dispatcher", "--config", self.volume.config, "join-token", "revoke",
                                 token["kid"]])
        self.assertIn("is revoked", self.configure())
        self.assertNotEqual(self.token.read_text(), first)

    def test_a_running_dispatcher_makes_the_next_token_in_time(self):
        dispatcher = self.volume.start(API_PORT=0, JOIN_TOKEN_FILE=self.token, JOIN_TOKEN_TTL="2m",
                                       CTRL_EXEC_PAIRING_PORT=0, CTRL_EXEC_PAIRING_BIND="127.0.0.1")
        dispatcher.wait_listening()
        first = self.token.read_text()
        put_ahead(dispatcher.pid, 109)
        poll("the next token", lambda: self.token.read_text() != first)
        dispatcher.wait_log("ACTION=join-token-create EXPIRES=.* USES=10000")
        before, after = self.join_tokens()
        self.assertEqual((before["state"], before["kid"]), ("usable", JoinToken.parse(first.strip()).kid))
        self.assertEqual((after["state"], after["kid"]), ("usable", JoinToken.parse(self.token.read_text().strip()).kid))
        self.token.write_text("a password\n")
        dispatcher.wait_log("ACTION=join-token-renew-fail ERROR=.* holds no join token")
        self.assertEqual(self.token.read_text(), "a password\n")

    def test_something_else_is_never_overwritten(self):
        for text in ("", "a password\n", "cej2_0123456789abcdef_"):
            with self.subTest(text):
                self.token.write_text(text)
                said = self.configure(check=78)
                self.assertIn(f"JOIN_TOKEN_FILE: {self.token} holds no join token", said)
                self.assertEqual(self.token.read_text(), text)

    def test_a_file_that_cannot_be_read_or_written(self):
        self.token = self.deployment.directory / "missing" / "token"
        self.assertIn("JOIN_TOKEN_FILE: cannot", self.configure(check=78))
        self.token = self.deployment.directory
        self.assertIn("JOIN_TOKEN_FILE:", self.configure(check=78))
        self.assertEqual(self.join_tokens(), [])

    def test_variables_that_make_no_sense(self):
        for name, value in (("TTL", "1s"), ("USES", "0"), ("REPLACE", "perhaps"), ("HOSTS", "a b"), ("FROM", "x/y")):
            with self.subTest(name):
                self.assertIn("JOIN_TOKEN_", self.configure(check=78, **{f"JOIN_TOKEN_{name}": value}))
                self.assertFalse(self.token.exists())

    def test_pins_are_no_settings(self):
        self.configure(CTRL_EXEC_CA_PIN="sha256:00", CTRL_EXEC_CA_PIN_FILE="/x")
        done = self.deployment.execute([BIN / "ctrl-exec-dispatcher", "--config", self.volume.config, "config", "show"],
                                       environment=self.deployment.environment(CTRL_EXEC_CA_PIN="sha256:00"))
        self.assertNotIn(b"CA_PIN", done.stderr)


if __name__ == "__main__":
    unittest.main()
