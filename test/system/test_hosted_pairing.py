"""The API's process listens for agents that pair, while a join token is valid or always, and another process may."""

import contextlib
import json
import re
import signal
import socket
import ssl
import unittest

from api import call_once, serve_api
from deployment import BUILD, Deployment, write_settings
from pairing_v2 import V2Agent
from processes import poll
from test_footprint import resident

START = r"ACTION=pairing-mode-start ADDRESS=(127\.0\.0\.1:\d+)"
STOP = r"ACTION=pairing-mode-stop"


class Hosted(unittest.TestCase):
    def deployment(self, **settings):
        return self.enterContext(Deployment(api_port=0, api_auth_default="allow", **settings))

    @staticmethod
    def address(api, count=1):
        """Of the pairing port when it has been opened for the `count`th time."""
        api.wait_log(START, count)
        return re.findall(START, api.log)[count - 1]

    @staticmethod
    def token(deployment, *words):
        return deployment.json("join-token", "create", *words)["token"]

    @staticmethod
    def approve(deployment, agent):
        deployment.dispatcher("approve", deployment.wait_request(agent.hostname)["id"])
        agent.read_last()
        return agent.check_last()

    @staticmethod
    def change(deployment, api, **settings):
        write_settings(deployment.config, {**deployment.settings, **settings})
        reloads = api.log.count("ACTION=reload")
        api.signal(signal.SIGHUP)
        api.wait_log("ACTION=reload", reloads + 1)

    def test_it_listens_while_a_token_can_be_used(self):
        deployment = self.deployment()
        api = serve_api(deployment)
        self.assertFalse((deployment.state / "pairing" / ".listener").exists())
        token = self.token(deployment, "--uses", "2")
        with V2Agent(self.address(api), "web-01", token) as agent:
            agent.pair()
        with V2Agent(self.address(api), "web-02", token) as agent:
            agent.pair()
        self.assertEqual([a["trust"] for a in deployment.json("list-agents")["agents"]], ["token", "token"])
        with V2Agent(self.address(api), "web-03", token) as late:
            self.assertEqual(late.ask(), {"status": "error", "reason": "join token used up"})
        metrics = call_once(api, "GET", "/metrics")[1]
        self.assertIn('ctrl_exec_pairing_requests_total{result="joined",trust="token"} 2\n', metrics)
        self.assertIn('ctrl_exec_pairing_requests_total{result="refused",trust="token"} 1\n', metrics)
        self.assertIn('ctrl_exec_join_redemptions_total{result="joined"} 2\n', metrics)
        self.assertIn("ctrl_exec_join_tokens_usable 0\n", metrics)
        self.assertNotRegex(api.log, STOP)  # who has lost the last answer may still ask again
        deployment.dispatcher("join-token", "revoke", token.split("_")[1])
        api.wait_log(STOP)
        with self.assertRaises(ConnectionRefusedError):
            V2Agent(self.address(api), "web-04", token).connect()

    def test_it_always_listens_when_it_is_to(self):
        deployment = self.deployment(pairing="on")
        api = serve_api(deployment)
        with V2Agent(self.address(api), "web-01") as agent:
            agent.wait()
            self.approve(deployment, agent)
        self.change(deployment, api, pairing="off")
        api.wait_log(STOP)
        token = self.token(deployment)
        self.change(deployment, api, pairing="tokens")
        with V2Agent(self.address(api, 2), "web-02", token) as agent:
            agent.pair()

    def test_a_reload_that_does_not_concern_it_cuts_nobody_off(self):
        deployment = self.deployment(pairing="on")
        api = serve_api(deployment)
        with V2Agent(self.address(api), "web-01") as agent:
            agent.wait()
            self.change(deployment, api, pairing="on", read_timeout=60, confirm_above=7)
            self.approve(deployment, agent)
        self.assertEqual(len(re.findall(START, api.log)), 1)

    def test_a_setting_of_the_port_is_taken_by_a_reload(self):
        deployment = self.deployment(pairing="on")
        api = serve_api(deployment)
        self.change(deployment, api, pairing="on", pairing_min="token")
        with V2Agent(self.address(api, 2), "web-01") as agent:
            self.assertEqual(agent.ask()["reason"], "join token required")

    def test_it_takes_over_from_a_pairing_mode(self):
        deployment = self.deployment(pairing="on")
        with deployment.pairing_mode() as listener:
            api = serve_api(deployment)
            with V2Agent(listener.address, "web-01") as agent:
                agent.wait()
                self.approve(deployment, agent)
            self.assertNotRegex(api.log, START)
        with V2Agent(self.address(api), "web-02") as agent:
            agent.wait()
            self.approve(deployment, agent)
        self.assertNotIn("pairing-listen-fail", api.log)

    def test_a_port_in_use_is_said_once_and_tried_again(self):
        with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as other:
            deployment = self.deployment(pairing="on", pairing_port=other.getsockname()[1])
            api = serve_api(deployment)
            api.wait_log("ACTION=pairing-listen-fail ERROR=.*in use")
            self.assertEqual(call_once(api, "GET", "/health")[0], 200)
        self.address(api)
        self.assertEqual(api.log.count("pairing-listen-fail"), 1)

    def test_it_ends_with_the_api_and_lets_go_of_who_waits(self):
        deployment = self.deployment(pairing="on")
        api = serve_api(deployment)
        with V2Agent(self.address(api), "web-01") as agent:
            agent.wait()
            deployment.wait_request("web-01")
            api.stop()
            with contextlib.suppress(ssl.SSLEOFError):  # a process that ends need not have the time for close_notify
                self.assertEqual(agent.client.read_to_end(), b"")
        self.assertLess(api.log.index("ACTION=pairing-mode-stop"), api.log.index("ACTION=api-stop"))

    def test_a_new_certificate_of_the_dispatcher_is_shown(self):
        deployment = self.deployment(pairing="on")
        api = serve_api(deployment)
        with V2Agent(self.address(api), "web-01") as agent:
            before = agent.ask()["dispatcher_serial"]
        deployment.dispatcher("rotate-cert")
        api.wait_log("ACTION=identity-reload", 2)  # of the API, and of the port
        with V2Agent(self.address(api), "web-02") as agent:
            agent.wait()
            self.assertNotEqual(agent.first["dispatcher_serial"], before)
            self.approve(deployment, agent)

    def test_it_forgets_tokens_that_expired_more_than_a_day_ago(self):
        deployment = self.deployment()
        old, young = (deployment.state / "join-tokens" / self.token(deployment).split("_")[1] for _ in range(2))
        record = json.loads((old / "token.json").read_text())
        (old / "token.json").write_text(json.dumps({**record, "created": "2026-01-01T00:00:00Z",
                                                    "expires": "2026-01-02T00:00:00Z"}))
        serve_api(deployment)
        poll("the old one is gone", lambda: not old.exists())
        self.assertTrue(young.exists())

    if BUILD != "debug":  # sanitizers have memory of their own

        def test_an_idle_api_does_not_grow_by_it(self):
            idle, hosting = (serve_api(self.deployment(pairing=word)) for word in ("off", "on"))
            self.address(hosting)
            poll("the memory of both", lambda: resident(hosting.pid) < resident(idle.pid) + 1.5)


if __name__ == "__main__":
    unittest.main()
