"""The policy file of the HTTP API: which token may do what, where; and who is refused too often."""

import base64
import hashlib
import json
import os
import signal
import socket
import subprocess
import threading
import unittest

from api import Client, call_once, serve_api
from deployment import BIN, Deployment
from processes import DEADLINE

UNKNOWN = (403, {"ok": False, "error": "bad credentials", "code": 2})
FORBIDDEN = (403, {"ok": False, "error": "insufficient privilege", "code": 3})
BLOCKED = (429, {"ok": False, "error": "too many refused requests"})


def line(token, *fields):
    return " ".join([f"sha256:{hashlib.sha256(token.encode()).hexdigest()}", *fields]) + "\n"


def bearer(token):
    return {"Authorization": f"Bearer {token}"}


def basic(user, token):
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{token}".encode()).decode()}


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


class WithPolicy(unittest.TestCase):
    """Helpers for a deployment whose API has a policy file."""

    @classmethod
    def deploy(cls, **settings):
        cls.deployment = cls.enterClassContext(Deployment(api_port=0, **settings))
        cls.policy = cls.deployment.directory / "policy"

    def grant(self, *lines):
        """The policy file holds these lines from now on, also for an API that runs."""
        self.policy.write_text("".join(lines))
        self.policy.chmod(0o600)
        if getattr(self, "api", None):
            before = self.api.log.count("ACTION=reload")
            self.api.signal(signal.SIGHUP)
            self.api.wait_log("^ACTION=reload$", before + 1)

    def serve(self, **settings):
        """An API of the test's own, with these settings added."""
        config = self.deployment.directory / f"{self._testMethodName}.conf"
        text = "".join(f"{key} = {value}\n" for key, value in {**self.deployment.settings, **settings}.items())
        config.write_text(text)
        self.api = self.deployment.start([BIN / "ctrl-exec-api", "--config", config], "api").wait_listening()
        self.addCleanup(self.api.stop)
        return self.enterContext(Client(self.api.address))


class Decisions(WithPolicy):
    @classmethod
    def setUpClass(cls):
        cls.deploy(auth_policy="")
        cls.deployment.settings["auth_policy"] = cls.policy
        cls.ports = [free_port(), free_port()]
        cls.agents = []
        for name, port, env in (("web-01", cls.ports[0], "prod"), ("web-02", cls.ports[1], "test")):
            agent = cls.deployment.agent(name, port=port)
            with agent.config.open("a") as config:
                config.write(f"[tags]\nenv = {env}\n")
            agent.script("show", "#!/bin/sh\necho \"$@\"\n")
            agent.script("other", "#!/bin/sh\n")
            cls.agents.append(agent)
        with cls.deployment.pairing_mode() as listener:
            for agent in cls.agents:
                agent.pair(listener)
        for agent in cls.agents:
            agent.serve()

    def run_script(self, client, token, script, *hosts):
        return client.call("POST", "/run", {"hosts": list(hosts), "script": script}, bearer(token))

    def test_a_known_token_may_knock_and_nobody_else_may(self):
        self.grant(line("secret", "api", "-", "-", "ci"))
        client = self.serve()
        self.assertEqual(client.call("GET", "/health", None, bearer("secret"))[0], 200)
        for headers in (None, bearer("wrong"), bearer(""), bearer(line("secret").strip()), basic("secret", ""),
                        {"Authorization": "Digest secret"}, {"Authorization": "Basic !"},
                        {"Authorization": "Basic " + base64.b64encode(b"secret").decode()}):
            with self.subTest(headers):
                self.assertEqual(client.call("GET", "/health", None, headers), UNKNOWN)
        self.assertEqual(client.call("GET", "/nothing", None, bearer("wrong")), UNKNOWN)
        self.assertEqual(client.call("GET", "/nothing", None, bearer("secret"))[0], 404)
        self.assertEqual(client.call("GET", "/livez"), (200, "live\n"))
        self.api.wait_log(r'^ACTION=auth PEER=127\.0\.0\.1 REASON="bad credentials" REQUEST=api RESULT=deny$')

    def test_the_token_may_be_bearer_basic_or_in_the_body(self):
        self.grant(line("secret", "ping", "-", "*"), line("t:with:colons", "api", "-", "-"))
        client = self.serve()
        for headers, body in ((bearer("secret"), {}), (basic("any", "secret"), {}), (basic("", "secret"), {}),
                              (None, {"token": "secret"}), (bearer("wrong"), {"token": "secret"})):
            with self.subTest(headers=headers, body=body):
                self.assertEqual(client.call("POST", "/ping", {"hosts": ["web-01"], **body}, headers)[0], 200)
        self.assertEqual(client.call("GET", "/health", None, basic("any", "t:with:colons"))[0], 200)
        self.assertEqual(client.call("POST", "/ping", {"hosts": ["web-01"], "token": "wrong"}, bearer("secret")), UNKNOWN)

    def test_curl_can_show_the_token_in_both_ways(self):
        self.grant(line("secret", "api", "-", "-"))
        self.serve()
        url = f"http://{self.api.address}/health"
        for words, status in ((["-u", "browser:secret"], "200"), (["-H", "Authorization: Bearer secret"], "200"),
                              (["-u", "secret:"], "403"), ([], "403")):
            done = subprocess.run(["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", *words, url], check=True,
                                  capture_output=True, text=True, timeout=DEADLINE)
            self.assertEqual(done.stdout, status, words)

    def test_every_host_must_be_covered_together_with_the_script(self):
        self.grant(line("t", "run", "show", "web-01"), line("t", "run", "other", "web-*", "ci"))
        client = self.serve()
        status, body = self.run_script(client, "t", "show", "web-01")
        self.assertEqual((status, body["results"][0]["exit"]), (200, 0))
        self.assertEqual(self.run_script(client, "t", "other", "web-01", "web-02")[0], 200)
        for script, hosts in (("show", ["web-02"]), ("show", ["web-01", "web-02"]), ("missing", ["web-01"]),
                              ("other", ["127.0.0.1"]), ("other", [f"127.0.0.1:{self.ports[0]}"])):
            with self.subTest(script=script, hosts=hosts):
                self.assertEqual(self.run_script(client, "t", script, *hosts), FORBIDDEN)
        self.assertEqual(client.call("POST", "/ping", {"hosts": ["web-01"]}, bearer("t")), FORBIDDEN)
        self.assertEqual(client.call("GET", "/discovery", None, bearer("t")), FORBIDDEN)
        self.api.wait_log(r"^ACTION=auth PEER=127\.0\.0\.1 POLICY=ci REQUEST=run RESULT=allow SCRIPT=show$")
        self.api.wait_log(r'^ACTION=auth PEER=127\.0\.0\.1 POLICY=ci REASON="insufficient privilege" REQUEST=run '
                          r"RESULT=deny SCRIPT=missing$")
        for agent in self.agents:
            self.assertNotIn("SCRIPT=missing", agent.daemon.log)

    def test_ping_and_discovery_are_one_action(self):
        self.grant(line("t", "ping", "-", "web-*"))
        client = self.serve()
        self.assertEqual(client.call("POST", "/ping", {"hosts": ["web-01"]}, bearer("t"))[0], 200)
        self.assertEqual(client.call("GET", "/discovery", None, bearer("t"))[0], 200)
        self.assertEqual(client.call("POST", "/discovery", {"hosts": ["web-01", "db-01"]}, bearer("t")), FORBIDDEN)
        self.assertEqual(self.run_script(client, "t", "show", "web-01"), FORBIDDEN)

    def test_an_agent_is_asked_for_its_tags_when_they_decide(self):
        self.grant(line("t", "run", "show", "tag:env=pr*,web-03"))
        client = self.serve()
        self.assertEqual(self.run_script(client, "t", "show", "web-01")[0], 200)
        self.assertEqual(self.run_script(client, "t", "show", f"web-01:{self.ports[0]}")[0], 200)
        self.assertEqual(self.run_script(client, "t", "show", "web-02"), FORBIDDEN)
        self.assertEqual(self.run_script(client, "t", "show", "web-01", "web-02"), FORBIDDEN)
        self.assertEqual(self.api.log.count("ACTION=capabilities RTT="), 2, "each once: the answers are remembered")
        self.assertEqual(self.run_script(client, "t", "other", "web-01"), FORBIDDEN)
        self.assertEqual(self.api.log.count("ACTION=capabilities RTT="), 2)

    def test_tags_count_of_registered_agents_at_their_own_port_only(self):
        self.grant(line("t", "run", "show", "tag:env=prod"), line("all", "*", "*", "*"))
        client = self.serve()
        before = self.agents[0].daemon.log.count("ACTION=capabilities ")
        for host in (f"127.0.0.1:{self.ports[0]}", f"localhost:{self.ports[0]}", f"web-02:{self.ports[0]}"):
            self.assertEqual(self.run_script(client, "t", "show", host), FORBIDDEN, host)
        self.assertEqual(self.agents[0].daemon.log.count("ACTION=capabilities "), before, "nor is it asked")
        both = [f"web-01:{port}" for port in self.ports]
        self.assertEqual(self.run_script(client, "t", "show", *both), FORBIDDEN, "one port says nothing of the other")
        self.assertEqual(self.run_script(client, "t", "show", both[0])[0], 200)
        # Another agent at a port of somebody's choice is not web-02, and must not tell what that is.
        found = client.call("POST", "/discovery", {"hosts": [f"web-02:{self.ports[0]}"]}, bearer("all"))
        self.assertRegex(found[1]["hosts"]["web-02"]["error"], "^key mismatch: ")
        self.assertEqual(self.run_script(client, "t", "show", "web-02"), FORBIDDEN)

    def test_a_discovery_teaches_the_tags(self):
        self.grant(line("t", "run", "show", "tag:env=prod"), line("all", "*", "*", "*"))
        client = self.serve()
        self.assertEqual(client.call("GET", "/discovery", None, bearer("all"))[0], 200)
        asked = self.api.log.count("ACTION=capabilities ")
        self.assertEqual(self.run_script(client, "t", "show", "web-01")[0], 200)
        self.assertEqual(self.run_script(client, "t", "show", "web-02"), FORBIDDEN)
        self.assertEqual(self.api.log.count("ACTION=capabilities "), asked)

    def test_a_host_that_does_not_answer_has_no_tags(self):
        self.grant(line("t", "run", "show", "tag:env=prod"))
        client = self.serve()
        record = self.deployment.state / "agents" / "gone.json"
        record.write_text(json.dumps({"hostname": "gone", "ip": "127.0.0.1", "agent_port": free_port()}))
        self.addCleanup(record.unlink)
        self.assertEqual(self.run_script(client, "t", "show", "gone"), FORBIDDEN)
        self.api.wait_log("^ACTION=capabilities ERROR=.* TARGET=gone$")

    def test_results_are_shown_to_whom_the_run_would_be_permitted(self):
        self.grant(line("all", "*", "*", "*"), line("runs", "run", "show", "web-*"), line("sees", "status", "show", "web-01"),
                   line("tags", "status", "*", "tag:env=prod"), line("other", "run,status", "other", "*"),
                   line("elsewhere", "*", "*", "db-*"), line("knocks", "ping", "*", "*"))
        client = self.serve()
        reqid = self.run_script(client, "all", "show", "web-01")[1]["reqid"]
        for token in ("all", "runs", "sees", "tags"):
            status, body = client.call("GET", f"/status/{reqid}", None, bearer(token))
            self.assertEqual((status, body.get("reqid")), (200, reqid), token)
        missing = client.call("GET", "/status/0123456789abcdef", None, bearer("knocks"))
        self.assertEqual(missing[0], 404)
        for token in ("other", "elsewhere", "knocks"):
            status, body = client.call("GET", f"/status/{reqid}", None, bearer(token))
            self.assertEqual((status, json.dumps(body).replace(reqid, "0123456789abcdef")),
                             (404, json.dumps(missing[1])), token)
        two = self.run_script(client, "all", "show", "web-01", "web-02")[1]["reqid"]
        self.assertEqual([client.call("GET", f"/status/{two}", None, bearer(token))[0]
                          for token in ("all", "runs", "sees", "tags")], [200, 200, 404, 404])

    def test_policy_and_hook_must_both_allow(self):
        asked = self.deployment.directory / "asked"
        hook = self.deployment.directory / "hook"
        hook.write_text(f"#!/bin/sh\necho \"$ENVEXEC_ACTION $ENVEXEC_TOKEN\" >>{asked}\n[ \"$ENVEXEC_TOKEN\" != t ] || exit 1\n")
        hook.chmod(0o755)
        self.grant(line("t", "*", "*", "*"), line("u", "ping", "*", "*"))
        client = self.serve(auth_hook=hook)
        self.assertEqual(client.call("GET", "/health", None, bearer("t")),
                         (403, {"ok": False, "error": "denied", "code": 1}))
        self.assertEqual(client.call("GET", "/health", None, bearer("wrong")), UNKNOWN)
        self.assertEqual(client.call("POST", "/ping", {"hosts": ["web-01"]}, bearer("u"))[0], 200)
        self.assertEqual(self.run_script(client, "u", "show", "web-01"), FORBIDDEN)
        self.assertEqual(asked.read_text().splitlines(), ["api t", "api u", "ping u", "api u"],
                         "the hook hears of nothing that the policy refuses")

    def test_api_auth_default_does_not_matter_then(self):
        self.grant(line("t", "api", "-", "-"))
        client = self.serve(api_auth_default="allow")
        self.assertEqual(client.call("GET", "/health"), UNKNOWN)
        self.assertEqual(client.call("GET", "/health", None, bearer("t"))[0], 200)

    def test_sighup_reads_it_again_and_a_bad_one_changes_nothing(self):
        self.grant(line("old", "api", "-", "-"))
        client = self.serve()
        self.grant(line("new", "api", "-", "-"))
        self.assertEqual(client.call("GET", "/health", None, bearer("old")), UNKNOWN)
        self.assertEqual(client.call("GET", "/health", None, bearer("new"))[0], 200)
        for text, mode, error in ((line("bad", "dance", "-", "-"), 0o600, "policy:1: 'dance' is no action"),
                                  (line("bad", "api", "-", "-"), 0o666, "others than its owner may write to")):
            self.policy.write_text(text)
            self.policy.chmod(mode)
            self.api.signal(signal.SIGHUP)
            self.api.wait_log(f"^ACTION=config-warn TEXT=.*reload failed.*{error}")
            self.assertEqual(client.call("GET", "/health", None, bearer("bad")), UNKNOWN)
            self.assertEqual(client.call("GET", "/health", None, bearer("new"))[0], 200)
        self.grant(line("new", "api", "-", "-"))

    def test_with_a_bad_file_it_does_not_start(self):
        config = self.deployment.directory / "bad.conf"
        config.write_text("".join(f"{k} = {v}\n" for k, v in self.deployment.settings.items()))
        for text, mode, error in (("ce_token * * *\n", 0o600, f"{self.policy}:1: the line must begin with 'sha256:'"),
                                  (line("t", "*", "*", "*"), 0o660, f"run `chmod go-w {self.policy}`"),
                                  (None, None, f"cannot read {self.policy}: No such file")):
            self.policy.unlink(missing_ok=True)
            if text:
                self.policy.write_text(text)
                self.policy.chmod(mode)
            done = self.deployment.execute([BIN / "ctrl-exec-api", "--config", config], check=78)
            self.assertIn(error, done.stderr.decode())
            self.assertNotIn(b"ce_token", done.stderr)

    def test_tokens_are_in_no_line_of_the_log(self):
        self.grant(line("sEcret", "*", "*", "*", "ci"))
        client = self.serve()
        self.run_script(client, "sEcret", "show", "web-01")
        client.call("GET", "/health", None, bearer("wrOng-sEcret"))
        client.call("GET", "/health", None, basic("user", "wrOng-sEcret"))
        self.assertNotIn("sEcret", self.api.log)

    def test_a_token_that_the_command_made_works_after_a_sighup(self):
        self.grant("# mine\n")
        os.chown(self.policy, 65534, 65534)
        self.policy.chmod(0o640)
        client = self.serve()
        config = self.deployment.directory / f"{self._testMethodName}.conf"
        done = self.deployment.execute([BIN / "ctrl-exec-dispatcher", "token", "--scripts", "show", "--hosts", "web-01",
                                        "--name", "ci", "--append", "--json", "--config", config])
        made = json.loads(done.stdout)
        self.assertEqual(made["line"], line(made["token"], "run,ping,status", "show", "web-01", "ci").strip())
        self.assertEqual(self.policy.read_text(), f"# mine\n{made['line']}\n")
        found = self.policy.stat()
        self.assertEqual((found.st_uid, found.st_gid, found.st_mode & 0o7777), (65534, 65534, 0o640))
        self.assertEqual(client.call("GET", "/health", None, bearer(made["token"])), UNKNOWN)
        self.api.signal(signal.SIGHUP)
        self.api.wait_log("^ACTION=reload$")
        self.assertEqual(self.run_script(client, made["token"], "show", "web-01")[0], 200)


class RefusedTooOften(WithPolicy):
    @classmethod
    def setUpClass(cls):
        cls.deploy()

    def hook(self, text):
        path = self.deployment.directory / "hook"
        path.write_text("#!/bin/sh\n" + text)
        path.chmod(0o755)
        return path

    def test_unknown_tokens_block_an_address_but_no_known_token(self):
        self.grant(line("good", "api", "-", "-"))
        client = self.serve(auth_policy=self.policy, api_rate_limit="3/600/600")
        self.assertEqual([client.call("GET", "/health", None, bearer("bad")) for _ in range(3)], [UNKNOWN] * 3)
        self.api.wait_log(r"^ACTION=rate-block KIND=refused LIMIT=3/600/600 PEER=127\.0\.0\.1$")
        for path in ("/health", "/run", "/nothing"):
            self.assertEqual(client.call("GET", path, None, bearer("bad")), BLOCKED)
            self.assertIn(int(client.headers["retry-after"]), range(500, 601))
        self.assertEqual(client.call("GET", "/health"), BLOCKED)
        self.assertEqual(client.call("GET", "/livez")[0], 200)
        self.assertEqual(client.call("GET", "/health", None, bearer("good"))[0], 200)
        self.assertEqual(client.call("POST", "/ping", {"hosts": ["h"]}, bearer("good")), FORBIDDEN)
        self.grant(line("good", "api", "-", "-"))
        self.assertEqual(client.call("GET", "/health", None, bearer("bad")), UNKNOWN, "SIGHUP lifts it")

    def test_other_addresses_are_not_blocked(self):
        self.grant()
        client = self.serve(auth_policy=self.policy, api_rate_limit="1/600/600")
        self.assertEqual([client.call("GET", "/health"), client.call("GET", "/health")], [UNKNOWN, BLOCKED])
        host, port = self.api.address.split(":")
        done = subprocess.run(["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "--interface", "127.0.0.2",
                               f"http://{host}:{port}/health"], check=True, capture_output=True, text=True, timeout=DEADLINE)
        self.assertEqual(done.stdout, "403")

    def test_a_known_token_that_may_not_is_not_counted(self):
        self.grant(line("good", "api", "-", "-"))
        client = self.serve(auth_policy=self.policy, api_rate_limit="1/600/600")
        for _ in range(3):
            self.assertEqual(client.call("POST", "/ping", {"hosts": ["h"]}, bearer("good")), FORBIDDEN)
        self.assertEqual(client.call("GET", "/health"), UNKNOWN)

    def test_a_hook_is_not_run_any_more_for_whom_it_refused_too_often(self):
        asked = self.deployment.directory / "asked"
        asked.write_text("")
        client = self.serve(auth_hook=self.hook(f"echo >>{asked}\n[ \"$ENVEXEC_TOKEN\" = good ] || exit 2\n"),
                            api_rate_limit="2/600/600")
        self.assertEqual(client.call("GET", "/health", None, bearer("good"))[0], 200)
        self.assertEqual([client.call("GET", "/health") for _ in range(2)], [UNKNOWN] * 2)
        self.assertEqual([client.call("GET", "/health", None, bearer("good")), client.call("GET", "/health")], [BLOCKED] * 2)
        self.assertEqual(asked.read_text().count("\n"), 3)

    def test_a_block_ends_by_itself(self):
        self.grant()
        client = self.serve(auth_policy=self.policy, api_rate_limit="1/600/1")
        self.assertEqual(client.call("GET", "/health"), UNKNOWN)
        end = threading.Event()
        for _ in range(DEADLINE * 10):
            if client.call("GET", "/health") == UNKNOWN:
                break
            end.wait(0.1)
        else:
            self.fail("still blocked")

    def test_the_default_is_a_hundred_a_minute(self):
        self.grant()
        client = self.serve(auth_policy=self.policy)
        self.assertEqual([client.call("GET", "/health")[0] for _ in range(101)], [403] * 100 + [429])

    def test_off_blocks_nobody_and_what_nobody_set_up_is_not_counted(self):
        self.grant()
        client = self.serve(auth_policy=self.policy, api_rate_limit="off")
        self.assertEqual([client.call("GET", "/health")[0] for _ in range(150)], [403] * 150)

    def test_api_auth_default_is_not_counted(self):
        client = self.serve(api_rate_limit="1/600/600")
        self.assertEqual([client.call("GET", "/health") for _ in range(3)],
                         [(403, {"ok": False, "error": "no auth hook configured", "code": 1})] * 3)

    def test_a_limit_that_cannot_be_read_keeps_it_from_starting(self):
        config = self.deployment.directory / "bad.conf"
        config.write_text("".join(f"{k} = {v}\n" for k, v in {**self.deployment.settings, "api_rate_limit": "1/2"}.items()))
        done = self.deployment.execute([BIN / "ctrl-exec-api", "--config", config], check=78)
        self.assertIn(f"{config}: api_rate_limit: '1/2' is not COUNT/WINDOW/BLOCK".encode(), done.stderr)


class Browsers(WithPolicy):
    """A browser asks its user for a token when the page for people says so, and nowhere else."""

    def setUp(self):
        self.deploy()
        self.grant(line("known", "api", "-", "-"), line("scraper", "metrics", "-", "-"))
        self.client = self.serve(auth_policy=self.policy)

    def test_docs_asks_for_a_token(self):
        for headers in ({}, bearer("guess"), basic("alice", "guess")):
            self.assertEqual(self.client.call("GET", "/docs", None, headers), (401, UNKNOWN[1]))
            self.assertEqual(self.client.headers["www-authenticate"], 'Basic realm="ctrl-exec", charset="UTF-8"')
        self.assertEqual(self.client.call("GET", "/docs", None, basic("alice", "known"))[0], 200)

    def test_other_routes_refuse(self):
        self.assertEqual(self.client.call("GET", "/health"), UNKNOWN)
        self.assertNotIn("www-authenticate", self.client.headers)

    def test_metrics_are_an_action_of_their_own(self):
        self.assertEqual(self.client.call("GET", "/metrics", None, bearer("known")), FORBIDDEN)
        self.assertEqual(self.client.call("GET", "/metrics", None, bearer("scraper"))[0], 200)


if __name__ == "__main__":
    unittest.main()
