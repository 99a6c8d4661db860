"""ctrl-exec healthcheck: what an engine asks inside a container that has no other tool."""

import signal
import unittest

from deployment import BIN, Deployment, write_settings


class Healthcheck(unittest.TestCase):
    def setUp(self):
        self.deployment = self.enterContext(Deployment(api_port=0, api_auth_default="deny"))

    def check(self, role, config, *words, ready=None, env=None):
        done = self.deployment.execute([BIN / "ctrl-exec", "healthcheck", role, "--config", config, *words], check=None)
        self.assertEqual(done.stderr, b"")
        return done.returncode, done.stdout.decode()

    def serve_api(self, **settings):
        """Starts the API on a free port and returns a configuration that names the port."""
        write_settings(self.deployment.config, {**self.deployment.settings, **settings})
        api = self.deployment.start([BIN / "ctrl-exec-api", "--config", self.deployment.config], "api").wait_listening()
        named = self.deployment.directory / "named.conf"
        write_settings(named, {**self.deployment.settings, **settings, "api_port": api.port})
        return api, named

    def test_dispatcher(self):
        api, config = self.serve_api()
        for words, word in (((), "healthy"), (("--ready",), "ready")):
            self.assertEqual(self.check("dispatcher", config, *words),
                             (0, f"{word}: the API at 127.0.0.1:{api.port} answers\n"))
        api.stop()
        code, text = self.check("dispatcher", config)
        self.assertEqual(code, 1)
        self.assertRegex(text, "^not healthy: connection refused")

    def test_dispatcher_with_tls(self):
        api, config = self.serve_api(api_cert=self.deployment.ca / "ctrl-exec.crt",
                                     api_key=self.deployment.ca / "ctrl-exec.key")
        self.assertEqual(self.check("dispatcher", config)[0], 0)
        api.stop()

    def test_stopped_process_is_not_healthy(self):
        api, config = self.serve_api()
        api.signal(signal.SIGSTOP)
        try:
            self.assertEqual(self.check("dispatcher", config), (1, "not healthy: no answer within 4 s\n"))
        finally:
            api.signal(signal.SIGCONT)

    def agent_on_its_port(self, **settings):
        """An agent that serves on a port which its configuration names."""
        agent = self.deployment.paired_agent("web-01", **settings)
        agent.serve()
        port = agent.daemon.port
        named = {**agent.settings, "port": port}
        agent.daemon.stop()
        write_settings(agent.config, named)
        agent.serve()
        return agent

    def test_agent(self):
        agent = self.agent_on_its_port()
        for words, word in (((), "healthy"), (("--ready",), "ready")):
            self.assertEqual(self.check("agent", agent.config, *words),
                             (0, f"{word}: the agent at {agent.daemon.address} answers\n"))
        agent.serial.write_text("")
        self.assertEqual(self.check("agent", agent.config)[0], 0)
        self.assertEqual(self.check("agent", agent.config, "--ready"),
                         (1, "not ready: no dispatcher is trusted; pair this agent again\n"))
        agent.daemon.stop()
        self.assertEqual(self.check("agent", agent.config)[0], 1)

    def test_agent_that_does_not_admit_loopback(self):
        agent = self.agent_on_its_port(allowed_ips="192.0.2.1")
        self.assertEqual(self.check("agent", agent.config),
                         (0, "healthy: the agent answers on its control socket\n"))
        agent.daemon.stop()
        self.assertEqual(self.check("agent", agent.config)[0], 1)

    def test_agent_that_waits_to_be_paired(self):
        agent = self.deployment.agent("web-01")
        self.assertEqual(self.check("agent", agent.config), (0, "healthy: waits to be paired\n"))
        self.assertEqual(self.check("agent", agent.config, "--ready")[0], 1)

    def test_asking_often_does_not_block(self):
        agent = self.agent_on_its_port()
        for _ in range(15):  # rate_limit_volume is 10
            self.assertEqual(self.check("agent", agent.config)[0], 0)
        self.deployment.dispatcher("ping", agent.target)


if __name__ == "__main__":
    unittest.main()
