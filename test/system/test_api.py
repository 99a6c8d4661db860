"""The HTTP API: its routes as clients of 0.8.4 know them, and what they never have to know."""

import json
import os
import pathlib
import signal
import socket
import ssl
import subprocess
import threading
import time
import unittest

from api import Client, call_once, serve_api
from deployment import BIN, Deployment
from processes import open_gate_until, poll
from wire import split_address

REQID = r"^[0-9a-f]{16}$"
RTT = r"^\d+ms$"


class Api(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.deployment = cls.enterClassContext(Deployment(api_port=0, api_auth_default="allow"))
        cls.agent = cls.deployment.paired_agent("web-01", **{"port": 0})
        cls.agent.script("show", "#!/bin/sh\nprintf '%s|' \"$@\"\necho err >&2\n")
        cls.agent.script("fail", "#!/bin/sh\nexit 3\n")
        cls.agent.script("binary", "#!/bin/sh\nprintf '\\377\\000'\n")
        cls.started = cls.deployment.directory / "started"
        cls.agent.script("slow", f"#!/bin/sh\n: >{cls.started}\nread gate <{cls.deployment.directory}/gate\n")
        subprocess.run(["mkfifo", str(cls.deployment.directory / "gate")], check=True)
        cls.agent.serve()
        cls.api = serve_api(cls.deployment)

    def setUp(self):
        self.client = self.enterContext(Client(self.api.address))

    def run_script(self, script, *arguments, **more):
        return self.client.call("POST", "/run", {"hosts": [self.agent.target], "script": script,
                                                 "args": list(arguments), **more})

    def open_gate(self):
        (self.deployment.directory / "gate").write_text("\n")

    def test_index_names_every_route(self):
        status, body = self.client.call("GET", "/")
        self.assertEqual(status, 200)
        self.assertEqual([body[key] for key in ("name", "spec", "live_spec")],
                         ["ctrl-exec-api", "/openapi.json", "/openapi-live.json"])
        routes = {(each["method"], each["path"]) for each in body["endpoints"]}
        document = self.client.call("GET", "/openapi.json")[1]
        documented = {(method.upper(), path) for path, item in document["paths"].items() for method in item}
        self.assertEqual(routes, documented)

    def test_health(self):
        status, body = self.client.call("GET", "/health")
        self.assertEqual((status, body["ok"], sorted(body)), (200, True, ["ok", "version"]))

    def test_livez_and_readyz_say_one_word(self):
        self.assertEqual(self.client.call("GET", "/livez"), (200, "live\n"))
        self.assertEqual(self.client.call("GET", "/readyz"), (200, "ready\n"))

    def test_run(self):
        status, body = self.run_script("show", "a b", 1, True, None)
        self.assertEqual((status, body["ok"], sorted(body)), (200, True, ["ok", "reqid", "results"]))
        [result] = body["results"]
        self.assertRegex(result.pop("rtt"), RTT)
        self.assertRegex(body["reqid"], REQID)
        self.assertEqual(result, {"host": "127.0.0.1", "script": "show", "exit": 0, "stdout": "a b|1|1||",
                                  "stderr": "err\n", "reqid": body["reqid"], "outcome": "ok"})

    def test_run_that_fails_is_told_by_its_result(self):
        status, body = self.run_script("fail")
        self.assertEqual((status, body["ok"], body["results"][0]["exit"]), (200, True, 3))
        status, body = self.run_script("missing")
        self.assertEqual((status, body["results"][0]["exit"], body["results"][0]["error"]),
                         (200, -1, "script not permitted"))

    def test_output_that_is_not_utf8_comes_as_it_was(self):
        self.assertEqual(self.run_script("binary")[1]["results"][0]["stdout_b64"], "/wA=")

    def test_run_is_stored(self):
        _, body = self.run_script("show", "x")
        status, stored = self.client.call("GET", f"/status/{body['reqid']}")
        self.assertEqual(status, 200)
        self.assertAlmostEqual(stored.pop("completed"), time.time(), delta=60)
        self.assertEqual(stored, {"ok": True, "reqid": body["reqid"], "script": "show", "hosts": ["127.0.0.1"],
                                  "results": body["results"], "status": "done", "pending": []})
        path = self.deployment.state / "runs" / f"{body['reqid']}.json"
        self.assertEqual(path.stat().st_mode & 0o7777, 0o640)

    def test_status_of_an_unknown_run(self):
        for reqid in ("0123456789abcdef", "x", "..%2f..%2fca.key"):
            status, body = self.client.call("GET", f"/status/{reqid}")
            self.assertEqual((status, body["ok"], body["error"]), (404, False, "not found"))

    def test_ping(self):
        status, body = self.client.call("POST", "/ping", {"hosts": [self.agent.target, "127.0.0.2:1"]})
        self.assertEqual((status, body["ok"]), (200, True))
        good, bad = sorted(body["results"], key=lambda result: result["host"])
        self.assertEqual((good["host"], good["status"], good["reported_hostname"]), ("127.0.0.1", "ok", "web-01"))
        self.assertRegex(good["reqid"], REQID)
        self.assertEqual((bad["host"], bad["status"]), ("127.0.0.2", "error"))
        self.assertIn("refused", bad["error"])

    def test_discovery(self):
        status, body = self.client.call("POST", "/discovery", {"hosts": [self.agent.target]})
        [(name, found)] = body["hosts"].items()
        self.assertEqual((status, body["ok"], name, found["status"], found["host"]), (200, True, "127.0.0.1", "ok", "web-01"))
        self.assertEqual([script["name"] for script in found["scripts"]], ["binary", "fail", "show", "slow"])
        self.assertRegex(found["rtt"], RTT)

    def test_discovery_of_all_asks_whoever_is_registered(self):
        for answer in (self.client.call("GET", "/discovery"), self.client.call("POST", "/discovery", {}),
                       self.client.call("POST", "/discovery")):
            self.assertEqual((answer[0], list(answer[1]["hosts"])), (200, ["web-01"]))

    def test_second_run_of_the_script_on_the_host_conflicts(self):
        first = threading.Thread(target=lambda: call_once(
            self.api, "POST", "/run", {"hosts": [self.agent.target], "script": "slow"}))
        self.started.unlink(missing_ok=True)
        first.start()
        poll("the script runs", self.started.exists)
        try:
            status, body = self.run_script("slow")
            self.assertEqual((status, body), (409, {"ok": False, "error": "locked", "code": 4,
                                                    "conflicts": ["127.0.0.1:slow"]}))
            self.assertEqual(self.deployment.json("list-locks")["locks"][0]["script"], "slow")
            self.deployment.dispatcher("run", self.agent.target, "slow", check=1)
        finally:
            self.open_gate()
            first.join()

    def test_run_whose_client_vanishes_goes_on_and_is_stored(self):
        self.started.unlink(missing_ok=True)
        before = set((self.deployment.state / "runs").glob("*.json"))
        body = json.dumps({"hosts": [self.agent.target], "script": "slow"}).encode()
        with socket.create_connection(split_address(self.api.address)) as plain:
            plain.sendall(b"POST /run HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
            poll("the script runs", self.started.exists)
        self.open_gate()
        [path] = poll("it is stored", lambda: set((self.deployment.state / "runs").glob("*.json")) - before)
        self.assertEqual(json.loads(path.read_text())["results"][0]["exit"], 0)

    def test_bad_requests_say_what_is_wrong(self):
        host = self.agent.target
        for path, body, error in (
                ("/run", None, "request body required"),
                ("/run", b"{", "invalid JSON"),
                ("/run", [], "invalid JSON"),
                ("/run", {"script": "show"}, "hosts must be a non-empty array"),
                ("/run", {"hosts": [], "script": "show"}, "hosts must be a non-empty array"),
                ("/run", {"hosts": "web-01", "script": "show"}, "hosts must be a non-empty array"),
                ("/run", {"hosts": [1], "script": "show"}, "hosts must be a non-empty array"),
                ("/run", {"hosts": [host, host], "script": "show"}, "invalid host"),
                ("/run", {"hosts": ["a b"], "script": "show"}, "invalid host"),
                ("/run", {"hosts": [host]}, "script name required"),
                ("/run", {"hosts": [host], "script": "../show"}, "script name required"),
                ("/run", {"hosts": [host], "script": ""}, "script name required"),
                ("/run", {"hosts": [host], "script": "show", "args": "x"}, "args must be an array"),
                ("/run", {"hosts": [host], "script": "show", "args": [[]]}, "args must be an array"),
                ("/ping", {}, "hosts must be a non-empty array"),
                ("/ping", {"hosts": [host], "token": {}}, "token must be text"),
                ("/run", {"hosts": [host], "script": "show", "username": ["alice"]}, "username must be text"),
                ("/discovery", {"hosts": [host], "username": []}, "username must be text"),
                ("/discovery", b"nonsense", "invalid JSON"),
                ("/discovery", {"hosts": []}, "hosts must be a non-empty array")):
            with self.subTest(path=path, body=body):
                status, answer = self.client.call("POST", path, body)
                self.assertEqual((status, answer["ok"], answer["error"]), (400, False, error))

    def test_unknown_route_and_wrong_method(self):
        self.assertEqual(self.client.call("GET", "/nothing")[0], 404)
        self.assertEqual(self.client.call("GET", "/health/")[0], 404)
        self.assertEqual(self.client.call("GET", "/run")[0], 405)
        self.assertEqual(self.client.headers["allow"], "POST, OPTIONS")
        self.assertEqual(self.client.call("DELETE", "/discovery")[0], 405)
        self.assertEqual(self.client.headers["allow"], "GET, HEAD, POST, OPTIONS")
        self.assertEqual(self.client.call("OPTIONS", "/run"), (204, ""))

    def test_head_is_get_without_its_body(self):
        _, body = self.client.call("GET", "/health")
        status, nothing = self.client.call("HEAD", "/health")
        self.assertEqual((status, nothing, int(self.client.headers["content-length"])),
                         (200, "", len(json.dumps(body, separators=(",", ":")))))

    def test_media_types(self):
        body = json.dumps({"hosts": [self.agent.target]}).encode()
        for kind, status in (("application/json; charset=utf-8", 200), ("application/x-www-form-urlencoded", 200),
                             ("text/plain", 200), ("application/xml", 415), ("multipart/form-data; boundary=x", 415)):
            with self.subTest(kind):
                self.assertEqual(self.client.call("POST", "/ping", body, {"Content-Type": kind})[0], status)
        self.assertEqual(self.client.call("POST", "/ping", body, {"Content-Encoding": "gzip"})[0], 415)

    def test_other_sites_may_not_ask(self):
        self.assertEqual(self.client.call("GET", "/health", None, {"Origin": "https://evil.example"})[0], 403)
        self.assertEqual(self.client.call("GET", "/health", None, {"Origin": f"http://{self.api.address}"})[0], 200)
        self.assertNotIn("access-control-allow-origin", self.client.headers)
        # A foreign name that means our address by now.
        rebound = {"Origin": "http://evil.example", "Host": "evil.example"}
        self.assertEqual(self.client.call("GET", "/health", None, rebound)[0], 403)

    def test_limits_of_a_request(self):
        def raw(data):
            with socket.create_connection(split_address(self.api.address), 30) as plain:
                plain.sendall(data)
                return plain.recv(65536).split(b"\r\n")[0]

        self.assertEqual(raw(b"POST /run HTTP/1.1\r\nContent-Length: 1048577\r\n\r\n"), b"HTTP/1.1 413 Content Too Large")
        self.assertEqual(raw(b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 33 + b"\r\n"),
                         b"HTTP/1.1 431 Request Header Fields Too Large")
        self.assertEqual(raw(b"GET / HTTP/2.0\r\n\r\n"), b"HTTP/1.1 505 HTTP Version Not Supported")
        self.assertEqual(raw(b"nonsense\r\n\r\n"), b"HTTP/1.1 400 Bad Request")

    def test_100_continue_chunked_bodies_and_http_1_0(self):
        body = json.dumps({"hosts": [self.agent.target]}).encode()
        with socket.create_connection(split_address(self.api.address), 30) as plain:
            plain.sendall(b"POST /ping HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n")
            self.assertEqual(plain.recv(1000), b"HTTP/1.1 100 Continue\r\n\r\n")
            plain.sendall(b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body))
            self.assertTrue(plain.recv(65536).startswith(b"HTTP/1.1 200 OK\r\n"))
        with socket.create_connection(split_address(self.api.address), 30) as plain:
            plain.sendall(b"GET /health HTTP/1.0\r\n\r\n")
            self.assertTrue(plain.makefile("rb").read().startswith(b"HTTP/1.0 200 OK\r\n"), "and closes")
        with socket.create_connection(split_address(self.api.address), 30) as plain:
            for _ in range(2):
                plain.sendall(b"GET /livez HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
                self.assertIn(b"Connection: keep-alive\r\n", plain.recv(65536))

    def test_pipelined_requests_are_answered_in_order(self):
        with socket.create_connection(split_address(self.api.address), 30) as plain:
            plain.sendall(b"GET /livez HTTP/1.1\r\n\r\nGET /readyz HTTP/1.1\r\nConnection: close\r\n\r\n")
            text = plain.makefile("rb").read()
        self.assertLess(text.index(b"live\n"), text.index(b"ready\n"))

    def test_live_document_has_hosts_and_scripts(self):
        self.client.call("POST", "/discovery", {"hosts": [self.agent.target]})
        status, document = self.client.call("GET", "/openapi-live.json")
        schemas = document["components"]["schemas"]
        self.assertEqual((status, schemas["Host"]["enum"]), (200, ["web-01"]))
        self.assertLessEqual({"binary", "fail", "show", "slow"}, set(schemas["Script"]["enum"]))
        plain = self.client.call("GET", "/openapi.json")[1]
        self.assertRegex(document["info"]["version"], "^" + plain["info"]["version"].replace(".", r"\.") + r"\+\d+$")

    def test_requests_are_logged_without_tokens(self):
        self.client.call("POST", "/ping", {"hosts": [self.agent.target], "username": "alice", "token": "s3cret"})
        self.api.wait_log(r"^ACTION=api-request METHOD=POST PATH=/ping PEER=127\.0\.0\.1 STATUS=200 USER=alice$")
        self.assertNotIn("s3cret", self.api.log)


class Access(unittest.TestCase):
    def setUp(self):
        self.deployment = self.enterContext(Deployment(api_port=0))

    def start(self, **settings):
        with self.deployment.config.open("a") as config:
            for key, value in settings.items():
                config.write(f"{key} = {value}\n")
        self.api = serve_api(self.deployment)
        return self.enterContext(Client(self.api.address))

    def test_without_a_hook_everything_is_denied_by_default(self):
        client = self.start()
        for method, path in (("GET", "/"), ("GET", "/health"), ("POST", "/run"), ("GET", "/openapi.json"), ("GET", "/nope")):
            self.assertEqual(client.call(method, path), (403, {"ok": False, "error": "no auth hook configured", "code": 1}))
        for path in ("/livez", "/readyz"):
            self.assertEqual(client.call("GET", path)[0], 200)

    def hook(self, text):
        path = self.deployment.directory / "hook"
        path.write_text("#!/bin/sh\n" + text)
        path.chmod(0o755)
        return path

    def test_hook_is_asked_first_as_api_and_then_for_the_action(self):
        asked = self.deployment.directory / "asked"
        client = self.start(auth_hook=self.hook(f"cat >>{asked}; echo >>{asked}\n"))
        client.call("POST", "/run", {"hosts": ["127.0.0.1:1"], "script": "x", "args": ["a b"], "username": "alice"},
                    {"Authorization": "Bearer t0ken"})
        first, second = map(json.loads, asked.read_text().splitlines())
        self.assertRegex(first.pop("timestamp"), r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")
        self.assertEqual(first, {"action": "api", "script": "", "hosts": [], "args": [], "username": "alice",
                                 "token": "t0ken", "source_ip": "127.0.0.1"})
        second.pop("timestamp")
        self.assertEqual(second, {"action": "run", "script": "x", "hosts": ["127.0.0.1"], "args": ["a b"],
                                  "username": "alice", "token": "t0ken", "source_ip": "127.0.0.1"})
        asked.unlink()
        client.call("POST", "/ping", {"hosts": ["127.0.0.1:1"], "token": "json"})
        client.call("GET", "/discovery")
        self.assertEqual([(q["action"], q["token"]) for q in map(json.loads, asked.read_text().splitlines())],
                         [("api", "json"), ("ping", "json"), ("api", ""), ("ping", "")])

    def test_what_the_hook_says_is_the_answer(self):
        client = self.start(auth_hook=self.hook("exit \"$ENVEXEC_TOKEN\"\n"))
        for token, error, code in (("1", "denied", 1), ("2", "bad credentials", 2), ("3", "insufficient privilege", 3),
                                   ("7", "hook exited 7", 1)):
            self.assertEqual(client.call("GET", "/health", None, {"Authorization": f"Bearer {token}"}),
                             (403, {"ok": False, "error": error, "code": code}))
        self.assertEqual(client.call("GET", "/health", None, {"Authorization": "bearer 0"})[0], 200)

    def test_hook_that_hangs_denies_and_holds_up_nobody_else(self):
        client = self.start(auth_hook=self.hook("[ \"$ENVEXEC_TOKEN\" = ok ] || exec sleep 60\n"), auth_hook_timeout=1)
        slow = []
        thread = threading.Thread(target=lambda: slow.append(call_once(self.api, "GET", "/health")))
        thread.start()
        self.assertEqual(client.call("GET", "/health", None, {"Authorization": "Bearer ok"})[0], 200)
        thread.join()
        self.assertEqual(slow, [(403, {"ok": False, "error": "the auth hook took longer than 1 s", "code": 1})])

    def test_no_more_than_128_hooks_run_at_the_same_time(self):
        gate = self.deployment.directory / "gate"
        subprocess.run(["mkfifo", gate], check=True)
        client = self.start(auth_hook=self.hook(f"exec <{gate}\n"), auth_hook_timeout=60)  # waits for a writer
        waiting = [socket.create_connection(split_address(self.api.address)) for _ in range(128)]
        for each in waiting:
            self.addCleanup(each.close)
            each.sendall(b"GET /health HTTP/1.1\r\nConnection: close\r\n\r\n")
        children = pathlib.Path(f"/proc/{self.api.pid}/task/{self.api.pid}/children")
        poll("all hooks run", lambda: len(children.read_text().split()) == 128)
        self.assertEqual(client.call("GET", "/health")[0], 503)
        self.assertEqual(client.headers["retry-after"], "1")
        self.assertEqual(client.call("GET", "/livez")[0], 200)

        open_gate_until(gate, lambda: not children.read_text())
        for each in waiting:
            self.assertTrue(each.makefile("rb").read().startswith(b"HTTP/1.1 200 "))

    def test_cors_for_permitted_origins_only(self):
        client = self.start(api_auth_default="allow", api_cors_origins="https://console.example.net")
        origin = {"Origin": "https://console.example.net"}
        self.assertEqual(client.call("OPTIONS", "/run", None, {**origin, "Access-Control-Request-Method": "POST"}), (204, ""))
        self.assertEqual(client.headers["access-control-allow-origin"], "https://console.example.net")
        self.assertIn("POST", client.headers["access-control-allow-methods"])
        self.assertEqual(client.call("GET", "/health", None, origin)[0], 200)
        self.assertEqual(client.headers["access-control-allow-origin"], "https://console.example.net")
        self.assertEqual(client.call("GET", "/health", None, {"Origin": "https://evil.example"})[0], 403)


class Lifecycle(unittest.TestCase):
    def test_tls_and_reload_of_its_certificate(self):
        deployment = self.enterContext(Deployment(api_port=0, api_auth_default="allow"))
        certificate, key = deployment.directory / "api.crt", deployment.directory / "api.key"

        def make(name):
            subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                            "-days", "9", "-subj", f"/CN={name}", "-keyout", key, "-out", certificate], check=True,
                           capture_output=True)
            key.chmod(0o600)

        make("first")
        with deployment.config.open("a") as config:
            config.write(f"api_cert = {certificate}\napi_key = {key}\n")
        api = serve_api(deployment)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        old = self.enterContext(Client(api.address, context))
        self.assertEqual(old.call("GET", "/health")[0], 200)
        make("second")
        api.process.send_signal(signal.SIGHUP)
        api.wait_log("^ACTION=reload$")
        shown = ssl.get_server_certificate(split_address(api.address))
        self.assertEqual(shown.strip(), certificate.read_text().strip())
        self.assertEqual(old.call("GET", "/health")[0], 200, "the old connection is kept")
        certificate.write_text("nonsense")
        api.process.send_signal(signal.SIGHUP)
        api.wait_log("^ACTION=config-warn TEXT=.*reload failed, the previous configuration stays")
        self.assertEqual(ssl.get_server_certificate(split_address(api.address)), shown)

    def test_one_of_certificate_and_key_is_an_error(self):
        deployment = self.enterContext(Deployment(api_port=0, api_cert="/nonexistent"))
        done = deployment.execute([BIN / "ctrl-exec-api", "--config", deployment.config], check=78)
        self.assertIn(b"api_cert and api_key must both be set, or none", done.stderr)

    def test_before_set_up_it_does_not_start(self):
        deployment = self.enterContext(Deployment(set_up=False, api_port=0))
        done = deployment.execute([BIN / "ctrl-exec-api", "--config", deployment.config], check=78)
        self.assertIn(b"run 'ctrl-exec-dispatcher setup-ca' first", done.stderr)

    def test_sigterm_lets_runs_finish_and_says_so_at_readyz(self):
        deployment = self.enterContext(Deployment(api_port=0, api_auth_default="allow", shutdown_grace=30))
        agent = deployment.paired_agent("web-01")
        started, gate = deployment.directory / "started", deployment.directory / "gate"
        subprocess.run(["mkfifo", gate], check=True)
        agent.script("slow", f"#!/bin/sh\n: >{started}\nread gate <{gate}\n")
        agent.serve()
        api = serve_api(deployment)
        answers = []
        thread = threading.Thread(target=lambda: answers.append(call_once(
            api, "POST", "/run", {"hosts": [agent.target], "script": "slow"})))
        thread.start()
        poll("the script runs", started.exists)
        api.process.send_signal(signal.SIGTERM)
        with Client(api.address) as client:
            poll("readyz says 503", lambda: client.call("GET", "/readyz") == (503, "stopping\n"))
            self.assertEqual(client.call("GET", "/livez")[0], 200)
            self.assertEqual(client.call("POST", "/ping", {"hosts": [agent.target]})[0], 503)
        gate.write_text("\n")
        self.assertEqual(api.wait_exit(), 0)
        thread.join()
        self.assertEqual((answers[0][0], answers[0][1]["results"][0]["exit"]), (200, 0))

    def test_full_disk_for_the_run_store_costs_the_client_nothing(self):
        deployment = self.enterContext(Deployment(api_port=0, api_auth_default="allow"))
        agent = deployment.paired_agent("web-01")
        agent.script("ok", "#!/bin/sh\n")
        agent.serve()
        (deployment.state / "runs").write_text("in the way")
        api = serve_api(deployment)
        with Client(api.address) as client:
            status, body = client.call("POST", "/run", {"hosts": [agent.target], "script": "ok"})
        self.assertEqual((status, body["results"][0]["exit"]), (200, 0))
        api.wait_log(rf"^ACTION=run-store-fail ERROR=.* REQID={body['reqid']}$")


if __name__ == "__main__":
    unittest.main()
