"""The bytes between dispatcher and agent, and on the pairing port, seen by clients that are not ours."""

import json
import ssl
import unittest

from deployment import TIME, Deployment
from wire import TlsClient, curl, request, s_client

# As a dispatcher of version 0.8.4 sent them.
OLD_HEADERS = (b"TE: deflate,gzip;q=0.3\r\nConnection: TE, close\r\nHost: agent2:7443\r\n"
               b"User-Agent: libwww-perl/6.68\r\n")
OLD_RUN = (b"POST /run HTTP/1.1\r\n" + OLD_HEADERS + b"Content-Length: 83\r\nContent-Type: application/json\r\n\r\n"
           b'{"script":"true","token":"","reqid":"63b9006541c68492","username":"root","args":[]}')
OLD_PING = (b"POST /ping HTTP/1.1\r\n" + OLD_HEADERS + b"Content-Length: 28\r\nContent-Type: application/json\r\n\r\n"
            b'{"reqid":"eb3071a5e4276ab1"}')
OLD_CAPABILITIES = b"GET /capabilities HTTP/1.1\r\n" + OLD_HEADERS + b"\r\n"


class Agent(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.deployment = cls.enterClassContext(Deployment())
        cls.agent = cls.deployment.paired_agent("agent2")
        cls.agent.script("true", "#!/bin/sh\n")
        cls.agent.script("exit-code", '#!/bin/sh\necho "exiting with code $1"\nexit $1\n')
        cls.agent.script("args", "#!/bin/sh\nprintf '%s|' \"$@\"\n")
        cls.agent.script("big", "#!/bin/sh\nout() { head -c $2 /dev/zero | tr '\\0' $1; }\nout $1 $2\nout $1 $3 >&2\n")
        cls.agent.script("plain", "", permissions=0o644)
        with cls.agent.config.open("a") as config:
            config.write("[tags]\nenv = production\n")
        cls.agent.serve()
        cls.ca = cls.deployment.ca / "ca.crt"
        cls.identity = (cls.deployment.ca / "ctrl-exec.crt", cls.deployment.ca / "ctrl-exec.key")

    def connect(self, version=None):
        return self.enterContext(TlsClient(self.agent.address, self.ca, self.identity, version))

    def ask(self, data):
        """The only answer to these bytes, after which the agent closes."""
        client = self.connect()
        client.send(data)
        return client.only_answer()

    def curl(self, target, *options, data=None):
        return curl(f"https://{self.agent.address}{target}", "--cacert", self.ca, "--cert", self.identity[0], "--key",
                    self.identity[1], "--insecure", *options, data=data)

    def test_answers_to_an_old_dispatcher_are_whole_http_1_0(self):
        for data in (OLD_RUN, OLD_PING, OLD_CAPABILITIES):
            with self.subTest(data.split(b" HTTP")[0].decode()):
                answer = self.ask(data)
                self.assertEqual(answer.status_line, "HTTP/1.0 200 OK")
                self.assertEqual(answer.headers["content-type"], "application/json")
                self.assertNotIn("transfer-encoding", answer.headers)
                self.assertIsInstance(answer.json, dict)

    def test_old_run(self):
        self.assertEqual(self.ask(OLD_RUN).json, {"script": "true", "exit": 0, "stdout": "", "stderr": "",
                                                  "reqid": "63b9006541c68492"})

    def test_openssl_s_client(self):
        for version in ("-tls1_2", "-tls1_3"):
            with self.subTest(version):
                status, said = s_client(self.agent.address, OLD_RUN, version, "-cert", self.identity[0], "-key",
                                        self.identity[1], "-CAfile", self.ca, "-verify_return_error")
                self.assertEqual(status, 0, said)
                self.assertIn(b"HTTP/1.0 200 OK\r\n", said)
                self.assertIn(b'"reqid":"63b9006541c68492"', said)

    def test_ping(self):
        status, code, body, said = self.curl("/ping", "--header", "Content-Type: application/json",
                                             data=b'{"reqid":"r1"}')
        self.assertEqual((status, code), (0, 200), said)
        answer = json.loads(body)
        self.assertEqual(list(answer), ["status", "host", "version", "expiry", "reqid"])
        self.assertEqual((answer["status"], answer["host"], answer["reqid"]), ("ok", "agent2", "r1"))
        self.assertRegex(answer["expiry"], rf"^{TIME}$")

    def test_ping_needs_no_good_body(self):
        for body in (b"", b"{", b"[]", b"null", b'{"reqid":{}}'):
            with self.subTest(body):
                answer = self.ask(request("POST", "/ping", body))
                self.assertEqual((answer.status, answer.json["status"], answer.json["reqid"]), (200, "ok", ""))

    def test_capabilities(self):
        status, code, body, said = self.curl("/capabilities")
        self.assertEqual((status, code), (0, 200), said)
        answer = json.loads(body)
        self.assertEqual(list(answer), ["status", "host", "version", "scripts", "tags"])
        names = [script["name"] for script in answer["scripts"]]
        self.assertEqual(names, ["args", "big", "exit-code", "plain", "true"])
        self.assertEqual(answer["scripts"][3], {"name": "plain", "path": str(self.agent.directory / "plain.sh"),
                                                "executable": False})
        self.assertIs(answer["scripts"][4]["executable"], True)
        self.assertEqual(answer["tags"], {"env": "production"})

    def test_run(self):
        status, code, body, said = self.curl("/run", data=b'{"script":"exit-code","args":["42"],"reqid":"r1"}')
        self.assertEqual((status, code), (0, 200), said)
        self.assertEqual(json.loads(body), {"script": "exit-code", "exit": 42, "stdout": "exiting with code 42\n",
                                            "stderr": "", "reqid": "r1"})

    def test_arguments_that_are_no_strings(self):
        answer = self.ask(request("POST", "/run", {"script": "args", "args": [1, True, False, None, "x"], "reqid": 7}))
        self.assertEqual((answer.json["stdout"], answer.json["reqid"]), ("1|1|0||x|", "7"))

    def test_refused_runs_are_answers_too(self):
        for body, expected in (
                ({"script": "nope", "args": [], "reqid": "r"},
                 {"script": "nope", "exit": -1, "error": "script not permitted", "reqid": "r"}),
                ({"script": "true", "args": "x", "reqid": "r"},
                 {"script": "true", "exit": -1, "error": "args must be an array", "reqid": "r"})):
            with self.subTest(body):
                answer = self.ask(request("POST", "/run", body))
                self.assertEqual((answer.status, answer.json), (200, expected))
        for body in (b"{", b"", b"[]", b'{"script":"true"} {'):
            with self.subTest(body):
                answer = self.ask(request("POST", "/run", body))
                self.assertEqual((answer.status, answer.json["exit"], answer.json["error"]),
                                 (200, -1, "invalid JSON"))
                self.assertNotIn("reqid", answer.json)

    def test_unknown_routes(self):
        for method, target in (("GET", "/"), ("GET", "/run"), ("GET", "/ping"), ("POST", "/capabilities"),
                               ("post", "/ping"), ("POST", "/ping/"), ("POST", "/ping?x=1"), ("GET", "/renew"),
                               ("DELETE", "/run")):
            with self.subTest(f"{method} {target}"):
                answer = self.ask(request(method, target, b"{}" if method != "GET" else None))
                self.assertEqual((answer.status, answer.body), (404, b'{"error":"not found"}'))

    def test_large_body_is_refused_before_it_is_sent(self):
        client = self.connect()
        client.send(b"POST /run HTTP/1.1\r\nContent-Length: 1048577\r\n\r\n")
        answer = client.read_answer()
        self.assertEqual((answer.status, answer.body), (413, b'{"error":"request too large"}'))
        status, code, body, _ = self.curl("/run", "--header", "Expect:", data=b"x" * 3_000_000)
        self.assertEqual((code, body), (413, b'{"error":"request too large"}'), status)

    def test_body_of_one_mebibyte_is_taken(self):
        body = json.dumps({"script": "nope", "args": [], "reqid": "r"}).encode().ljust(1 << 20)
        self.assertEqual(self.ask(request("POST", "/run", body)).json["error"], "script not permitted")

    def test_thirty_two_headers_are_taken_and_one_more_is_not(self):
        for count, expected in ((31, 200), (32, 431)):  # and Content-Length
            answer = self.ask(request("POST", "/ping", {}, *[f"X-{i}: {i}" for i in range(count)]))
            self.assertEqual(answer.status, expected)
        self.assertEqual(answer.body, b'{"error":"too many headers"}')

    def test_header_line_that_is_too_long(self):
        self.assertEqual(self.ask(request("POST", "/ping", {}, "X: " + "y" * 9000)).status, 431)

    def test_empty_request(self):
        for nothing in (b"", b"\r\n"):
            client = self.connect()
            if nothing:
                client.send(nothing)
            client.end()
            answer = client.only_answer()
            self.assertEqual((answer.status, answer.body), (400, b'{"error":"empty request"}'))

    def test_truncated_request_is_not_executed(self):
        for data in (OLD_RUN[:20], OLD_RUN[:200], OLD_RUN[:-1]):
            with self.subTest(data):
                before = self.agent.daemon.log.count("ACTION=run ")
                client = self.connect()
                client.send(data)
                client.end()
                self.assertNotIn(b"HTTP/1.0 200", client.read_to_end())
                self.assertEqual(self.agent.daemon.log.count("ACTION=run "), before)

    def test_malformed_requests(self):
        for data in (b"\r\n\r\nnonsense\r\n\r\n", b"GET\r\n\r\n", b"GET / HTTP/2.0\r\n\r\n",
                     b"POST /ping HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
                     b"POST /ping HTTP/1.1\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
                     b"POST /ping HTTP/1.1\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
                     b"GET /capabilities HTTP/1.1\r\nA : b\r\n\r\n", b"GET /capabilities HTTP/1.1\r\n folded\r\n\r\n"):
            with self.subTest(data):
                client = self.connect()
                client.send(data)
                answer = client.read_answer()
                self.assertIn(answer.status, (400, 505))
                self.assertIn("error", answer.json)

    def test_chunked_body(self):
        status, code, body, said = self.curl("/ping", "--header", "Transfer-Encoding: chunked",
                                             data=b'{"reqid":"' + b"c" * 100 + b'"}')
        self.assertEqual((status, code, json.loads(body)["reqid"]), (0, 200, "c" * 100), said)
        answer = self.ask(b"POST /ping HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
                          b'3;x=y\r\n{"r\r\nA\r\neqid":"r1"\r\n1\r\n}\r\n0\r\nTrailer: x\r\n\r\n')
        self.assertEqual(answer.json["reqid"], "r1")

    def test_request_in_single_bytes_with_bare_line_feeds_and_any_case(self):
        client = self.connect()
        for byte in b"POST /ping HTTP/1.0\ncONTENT-lENGTH:14\n\n{\"reqid\":\"r1\"}":
            client.send(bytes([byte]))
        self.assertEqual(client.only_answer().json["reqid"], "r1")

    def test_connection_is_kept_for_peers_of_ours_only(self):
        client = self.connect()
        for reqid in ("first", "second", "third"):
            client.send(request("POST", "/ping", {"reqid": reqid}, "X-Ctrl-Exec: 1"))
            answer = client.read_answer()
            self.assertEqual((answer.status_line, answer.json["reqid"]), ("HTTP/1.1 200 OK", reqid))
        client.send(request("POST", "/ping", {"reqid": "last"}, "X-Ctrl-Exec: 1", "Connection: close"))
        self.assertEqual(client.only_answer().json["reqid"], "last")
        for data in (request("POST", "/ping", {}),
                     request("POST", "/ping", {}, "Connection: keep-alive", version="1.0"),
                     request("POST", "/ping", {}, "X-Ctrl-Exec: 1", version="1.0")):
            self.assertEqual(self.ask(data).status_line, "HTTP/1.0 200 OK")

    def test_pipelined_requests_are_answered_in_order(self):
        client = self.connect()
        client.send(b"".join(request("POST", "/ping", {"reqid": str(i)}, "X-Ctrl-Exec: 1") for i in range(20)))
        self.assertEqual([client.read_answer().json["reqid"] for _ in range(20)], [str(i) for i in range(20)])

    def test_end_of_a_kept_connection_is_no_request(self):
        client = self.connect(ssl.TLSVersion.TLSv1_3)
        client.send(request("POST", "/ping", {}, "X-Ctrl-Exec: 1"))
        client.read_answer()
        client.end()
        self.assertEqual(client.read_to_end(), b"")

    def test_ours_and_old_callers_are_told_apart_in_the_answer(self):
        self.assertEqual(self.ask(OLD_PING).headers["x-ctrl-exec"], "1")

    def test_answer_to_an_old_dispatcher_is_cut_visibly(self):
        for letter, *sizes in (("o", 200_000, 0), ("o", 0, 200_000), ("o", 50_000, 50_000), ("\\0", 20_000, 0),
                               ("\\377", 20_000, 20_000)):
            with self.subTest(letter=letter, sizes=sizes):
                body = {"script": "big", "args": [letter, *map(str, sizes)], "reqid": "r"}
                answer = self.ask(request("POST", "/run", body))
                self.assertLess(len(answer.head + answer.body), 64 * 1024, "from here on an old dispatcher hangs")
                self.assertEqual((answer.json["exit"], answer.json["reqid"]), (0, "r"))
                output = answer.json["stdout"] + answer.json["stderr"]
                self.assertRegex(output, "truncated|cut|omitted")
                self.assertGreater(len(output), 5_000, "as much as fits")
                whole = self.ask(request("POST", "/run", body, "X-Ctrl-Exec: 1", "Connection: close")).json
                self.assertEqual((len(whole["stdout"]), len(whole["stderr"])), tuple(sizes))

    def test_small_answer_to_an_old_dispatcher_is_whole(self):
        body = {"script": "big", "args": ["o", "40000", "1000"], "reqid": "r"}
        answer = self.ask(request("POST", "/run", body)).json
        self.assertEqual((answer["stdout"], answer["stderr"]), ("o" * 40_000, "o" * 1000))

    def test_cap_can_be_switched_off(self):
        uncapped = self.deployment.paired_agent("uncapped", legacy_output_cap="off")
        uncapped.script("big", (self.agent.directory / "big.sh").read_text())
        uncapped.serve()
        with TlsClient(uncapped.address, self.ca, self.identity) as client:
            client.send(request("POST", "/run", {"script": "big", "args": ["o", "200000", "100000"], "reqid": "r"}))
            answer = client.only_answer().json
        self.assertEqual((len(answer["stdout"]), len(answer["stderr"])), (200_000, 100_000))


if __name__ == "__main__":
    unittest.main()
