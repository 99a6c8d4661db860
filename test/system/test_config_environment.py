"""Settings, tags and secrets from the environment, as containers are given them."""

import json
import shutil
import signal
import socket
import unittest

from api import Client
from deployment import BIN, Deployment, write_settings
from wire import TlsClient, request

# Runs its arguments where $0 is /etc, and in a mount namespace of their own.
WITH_ETC = 'mount --bind "$0" /etc && exec "$@"'
# … and where a copy of the directory $0 is /run/secrets.
WITH_SECRETS = 'mount -t tmpfs none /run && mkdir -m 755 /run/secrets && cp -p "$0"/* /run/secrets/ && exec "$@"'


def inside(script, directory, *argv):
    return ["unshare", "--mount", "sh", "-c", script, directory, *argv]


def with_variables(argv, variables):
    return ["env", *(f"{name}={value}" for name, value in variables.items()), *argv]


class Precedence(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.deployment = cls.enterClassContext(Deployment())
        cls.agent = cls.deployment.paired_agent("web-01")
        taken = cls.enterClassContext(socket.create_server(("127.0.0.1", 0)))
        cls.taken = taken.getsockname()[1]  # nothing else can listen there

    def serve(self, **variables):
        """The agent's daemon, whose file names a port that it cannot have."""
        write_settings(self.agent.config, {**self.agent.settings, "port": self.taken})
        with self.agent.config.open("a") as config:
            config.write("[tags]\nenv = test\nrack = 7\n")
        argv = with_variables(self.agent.argv("serve"), {"CTRL_EXEC_AGENT_PORT": 0, **variables})
        return self.enterContext(self.deployment.start(argv, "serve").wait_listening())

    def tags(self, daemon):
        identity = (self.deployment.ca / "ctrl-exec.crt", self.deployment.ca / "ctrl-exec.key")
        with TlsClient(daemon.address, self.deployment.ca / "ca.crt", identity) as client:
            client.send(request("GET", "/capabilities", None, "X-Ctrl-Exec: 1"))
            return client.read_answer().json["tags"]

    def environment(self, **variables):
        return self.deployment.environment(**{name: str(value) for name, value in variables.items()})

    def test_api_port_and_address_of_the_environment_win_over_the_file(self):
        config = self.deployment.directory / "api.conf"
        write_settings(config, {**self.deployment.settings, "api_port": self.taken, "api_bind": "127.0.0.1",
                                "api_auth_default": "deny"})
        argv = with_variables([BIN / "ctrl-exec-api", "--config", config],
                              {"CTRL_EXEC_API_PORT": 0, "CTRL_EXEC_API_BIND": "127.0.0.2",
                               "CTRL_EXEC_API_AUTH_DEFAULT": "allow", "CTRL_EXEC_AGENT_PORT": "nonsense"})
        with self.deployment.start(argv, "api").wait_listening() as api:
            self.assertTrue(api.address.startswith("127.0.0.2:"), api.address)
            self.assertNotEqual(api.port, self.taken)
            with Client(api.address) as client:
                self.assertEqual(client.call("POST", "/ping", {"hosts": ["127.0.0.1:1"]})[0], 200)

    def test_port_of_the_agent_wins_over_its_file_and_an_option_over_both(self):
        daemon = self.serve()
        self.assertNotEqual(daemon.port, self.taken)
        mine = self.environment(CTRL_EXEC_PORT=daemon.port)
        for words, check in (((), 0), (("--port", "1"), 1)):
            self.deployment.dispatcher("ping", "127.0.0.1", *words, environment=mine, check=check)
        self.deployment.dispatcher("ping", "127.0.0.1", "--port", daemon.port, check=0,
                                   environment=self.environment(CTRL_EXEC_PORT=1))

    def test_tags_of_the_environment_are_reported_also_after_a_reload(self):
        daemon = self.serve(AGENT_TAGS="env=production,role=database", AGENT_ROLE="web")
        self.assertEqual(self.tags(daemon), {"env": "production", "role": "database", "rack": "7"})
        with self.agent.config.open("a") as config:
            config.write("rack = 8\nrole = nothing\n")
        daemon.signal(signal.SIGHUP)
        daemon.wait_log("^ACTION=reload ")
        self.assertEqual(self.tags(daemon), {"env": "production", "role": "database", "rack": "8"})

    def test_tags_by_their_own_variables(self):
        daemon = self.serve(AGENT_ENV="a, b=c", AGENT_ROLE="web")
        self.assertEqual(self.tags(daemon), {"env": "a, b=c", "role": "web", "rack": "7"})

    def test_bad_variable_is_named_and_nothing_starts(self):
        for argv, variable, value in ((self.agent.argv("serve"), "CTRL_EXEC_AGENT_MAX_CONNECTIONS", "0"),
                                      (self.agent.argv("serve"), "AGENT_TAGS", "production"),
                                      (self.agent.argv("serve"), "AGENT_ENV", "a\nb"),
                                      ([BIN / "ctrl-exec-api", "--config", self.deployment.config],
                                       "CTRL_EXEC_API_AUTH_DEFAULT", "maybe"),
                                      (self.deployment.argv("pairing-mode"), "CTRL_EXEC_PAIRING_PORT", "7444 ;")):
            with self.subTest(variable):
                done = self.deployment.execute(argv, 78, environment=self.environment(**{variable: value}))
                self.assertIn(f"environment {variable}: ", done.stderr.decode())

    def test_config_show_says_what_counts(self):
        variables = self.environment(CTRL_EXEC_READ_TIMEOUT=5)
        done = self.deployment.dispatcher("config", "show", "--json", environment=variables)
        settings = {setting["key"]: setting for setting in json.loads(done.stdout)["settings"]}
        self.assertEqual(settings["read_timeout"], {"key": "read_timeout", "value": "5", "source": "environment",
                                                    "origin": "environment CTRL_EXEC_READ_TIMEOUT"})
        self.assertEqual(settings["state_dir"]["value"], str(self.deployment.state))
        self.assertEqual(settings["state_dir"]["origin"], f"{self.deployment.config}:4")


class WithoutFile(unittest.TestCase):
    """At the default path, in an empty /etc."""

    def setUp(self):
        self.deployment = self.enterContext(Deployment())
        self.etc = self.deployment.directory / "etc"
        self.etc.mkdir()

    def test_dispatcher_works_with_variables_alone(self):
        variables = {"CTRL_EXEC_CERT": self.deployment.ca / "ctrl-exec.crt",
                     "CTRL_EXEC_KEY": self.deployment.ca / "ctrl-exec.key",
                     "CTRL_EXEC_CA": self.deployment.ca / "ca.crt", "CTRL_EXEC_STATE_DIR": self.deployment.state}
        argv = inside(WITH_ETC, self.etc, BIN / "ctrl-exec-dispatcher", "list-agents", "--json")
        done = self.deployment.execute(with_variables(argv, variables))
        self.assertEqual(json.loads(done.stdout), {"ok": 1, "agents": []})
        del variables["CTRL_EXEC_KEY"]
        done = self.deployment.execute(with_variables(argv, variables), 78)
        self.assertIn(b"/etc/ctrl-exec/ctrl-exec.conf does not exist", done.stderr)
        self.assertIn(b"set CTRL_EXEC_KEY too", done.stderr)

    def test_agent_serves_with_variables_alone(self):
        agent = self.deployment.paired_agent("web-01")
        agent.script("hello", "#!/bin/sh\necho hello\n")
        variables = {f"CTRL_EXEC_AGENT_{key.upper()}": value for key, value in agent.settings.items()}
        argv = inside(WITH_ETC, self.etc, BIN / "ctrl-exec-agent", "serve")
        with self.deployment.start(with_variables(argv, variables), "serve").wait_listening() as daemon:
            [result] = self.deployment.json("run", daemon.address, "hello")["results"]
            self.assertEqual(result["stdout"], "hello\n")


class Secrets(unittest.TestCase):
    def setUp(self):
        self.deployment = self.enterContext(Deployment())

    def test_token_comes_from_a_file(self):
        agent = self.deployment.paired_agent("web-01")
        agent.script("show", "#!/bin/sh\nexec cat\n")
        agent.serve()
        token = self.deployment.directory / "token"
        token.write_text("abracadabra\n")
        token.chmod(0o600)
        argv = self.deployment.argv("run", agent.target, "show", "--json")
        done = self.deployment.execute(argv, environment=self.deployment.environment(ENVEXEC_TOKEN_FILE=str(token)))
        [result] = json.loads(done.stdout)["results"]
        self.assertEqual(json.loads(result["stdout"])["token"], "abracadabra")
        both = self.deployment.environment(ENVEXEC_TOKEN_FILE=str(token), ENVEXEC_TOKEN="hocuspocus")
        done = self.deployment.execute(argv, 78, environment=both)
        self.assertIn(b"are both set", done.stderr)
        self.assertNotIn(b"hocuspocus", done.stdout + done.stderr)

    def test_key_that_is_a_secret_of_the_container_may_be_read_by_everybody(self):
        agent = self.deployment.paired_agent("web-01")
        secrets = self.deployment.directory / "secrets"
        secrets.mkdir()
        shutil.copy(agent.key, secrets / "agent.key")
        (secrets / "agent.key").chmod(0o444)

        def status(check, key, script=WITH_SECRETS):
            argv = with_variables(inside(script, secrets, *agent.argv("pairing-status")), {"CTRL_EXEC_AGENT_KEY": key})
            return self.deployment.execute(argv, check).stdout.decode()

        self.assertIn("Paired.", status(0, "/run/secrets/agent.key"))
        self.assertIn("everybody on this machine may access", status(1, secrets / "agent.key"))
        everybody = WITH_SECRETS.replace("exec", "chmod 1777 /run/secrets && exec")
        self.assertIn("chmod o-w /run/secrets", status(1, "/run/secrets/agent.key", everybody))


if __name__ == "__main__":
    unittest.main()
