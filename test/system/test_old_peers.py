"""Our dispatcher and our agent with peers that behave as version 0.8.4 does, or worse."""

import contextlib
import json
import socket
import ssl
import threading
import unittest

from deployment import Deployment
from wire import make_csr


class FakeServer:
    """A TLS server that gives converse(connection, data) each connection with the records of its request's bytes."""

    def __init__(self, certificate, key, converse):
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(certificate, key)
        self._converse = converse
        self.records = []  # of the last request: one recv gives at most one TLS record

    def __enter__(self):
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.address = f"127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()
        return self

    def _serve(self):
        with contextlib.suppress(OSError):
            while True:
                plain, _ = self._listener.accept()
                plain.settimeout(30)
                with contextlib.suppress(OSError), self._context.wrap_socket(plain, server_side=True) as connection:
                    self.records = self._read_request(connection)
                    self._converse(connection, b"".join(self.records))

    @staticmethod
    def _read_request(connection):
        records = []
        while True:
            records.append(connection.recv(1 << 20))
            head, blank, body = b"".join(records).partition(b"\r\n\r\n")
            if not records[-1] or blank and len(body) >= length_of(head):
                return records

    def __exit__(self, *_):
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()


def length_of(head):
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    return 0


def answer(body, status=b"200 OK"):
    """As an old peer sends it."""
    if not isinstance(body, bytes):
        body = json.dumps(body).encode()
    return (b"HTTP/1.0 " + status + b"\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body)
            + body)


class OldAgent(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.deployment = cls.enterClassContext(Deployment())
        cls.agent = cls.deployment.paired_agent("agent1")

    def serve(self, data):
        """An old agent that answers everything with these bytes."""
        return self.enterContext(FakeServer(self.agent.certificate, self.agent.key,
                                            lambda connection, _: data and connection.sendall(data)))

    def run_on(self, data, *arguments, check=1):
        server = self.serve(data)
        [result] = self.deployment.json("run", server.address, "true", "--", *arguments, check=check)["results"]
        return result, server

    def test_body_of_a_request_lies_in_one_record(self):
        for arguments in (["x"], ["x" * 12_000]):
            _, server = self.run_on(answer({"script": "true", "exit": 0, "stdout": "", "stderr": "", "reqid": "r"}),
                                    *arguments, check=0)
            head, _, body = b"".join(server.records).partition(b"\r\n\r\n")
            self.assertTrue(head.startswith(b"POST /run HTTP/1."), head)
            self.assertTrue(server.records[-1].endswith(body))
            self.assertEqual(json.loads(body)["args"], arguments)
            self.assertIn(f"content-length: {len(body)}", head.decode().lower())

    def test_answer_as_it_was_seen_on_the_wire(self):
        result, _ = self.run_on(b"HTTP/1.0 200 OK\r\nContent-Type: application/json\r\nContent-Length: 91\r\n\r\n"
                                b'{"exit":42,"script":"exit-code","stderr":"","reqid":"r1","stdout":'
                                b'"exiting with code 42\\n"}')
        self.assertEqual((result["exit"], result["stdout"], result["stderr"]), (42, "exiting with code 42\n", ""))

    def test_refusal_as_it_was_seen_on_the_wire(self):
        refusal = (b"HTTP/1.0 403 Error\r\nContent-Type: application/json\r\nContent-Length: 49\r\n\r\n"
                   b'{"error":"serial mismatch","status":"forbidden"}')
        refusal = refusal.replace(b"49", b"48")
        result, server = self.run_on(refusal)
        self.assertEqual((result["exit"], result["error"]), (-1, "forbidden: serial mismatch"))
        [result] = self.deployment.json("ping", server.address, check=1)["results"]
        self.assertEqual((result["status"], result["error"]), ("error", "forbidden: serial mismatch"))

    def test_answers_in_unusual_shapes(self):
        body = b'{"script":"true","exit":"0","reqid":12}'  # no output, a number as text and the other way round
        for data in (answer(body), b"HTTP/1.0 200 OK\r\n\r\n" + body, b"HTTP/1.0 202 whatever\n\n" + body,
                     b"HTTP/1.1 200 OK\r\nTRANSFER-ENCODING: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)):
            with self.subTest(data):
                result, _ = self.run_on(data, check=0)
                self.assertEqual((result["exit"], result["stdout"], result["stderr"]), (0, "", ""))

    def test_connection_closed_without_an_answer(self):
        result, server = self.run_on(b"")
        self.assertEqual(result["exit"], -1)
        self.assertIn(f"{server.address} closed the connection without an answer", result["error"])

    def test_nonsense_is_an_error_and_not_a_result(self):
        for data in (b"nonsense\r\n\r\n", answer(b"{"), answer(b"[]"), answer({"script": "true"}),
                     answer({"exit": "x"}), answer({"exit": 1000}), answer({"exit": True}),
                     answer({"exit": 0})[:-1], b"HTTP/1.0 200 OK\r\nContent-Length: 99999999999\r\n\r\n{}",
                     answer({"error": "internal"}, b"500 Error"), answer({"error": "not found"}, b"404 Error")):
            with self.subTest(data):
                result, _ = self.run_on(data)
                self.assertEqual(result["exit"], -1)
                self.assertTrue(result["error"])


class OldDispatcher(unittest.TestCase):
    """The agent's side of a pairing, with a listener that is not ours."""

    @classmethod
    def setUpClass(cls):
        cls.deployment = cls.enterClassContext(Deployment())
        cls.other = cls.enterClassContext(Deployment())

    def sign(self, csr, deployment=None):
        ca = (deployment or self.deployment).ca
        done = self.deployment.execute(["openssl", "x509", "-req", "-CA", ca / "ca.crt", "-CAkey", ca / "ca.key",
                                        "-set_serial", "5", "-days", "365", "-sha256"], input=csr.encode())
        return done.stdout.decode()

    def request(self, name, answers):
        """Asks a listener that gives answers(request) one after the other; returns agent and finished process."""
        def converse(connection, data):
            for message in answers(json.loads(data.partition(b"\r\n\r\n")[2])):
                connection.sendall(message)
            connection.recv(1)  # the connection stays open

        agent = self.deployment.agent(name)
        server = self.enterContext(FakeServer(self.deployment.ca / "ctrl-exec.crt",
                                              self.deployment.ca / "ctrl-exec.key", converse))
        done = agent.command("request-pairing", "--dispatcher", server.address, "--timeout", "5", check=None)
        return agent, server, done

    def approval(self, asked, **changes):
        return answer({"cert": self.sign(asked["csr"]), "nonce": asked["nonce"], "status": "approved",
                       "ca": (self.deployment.ca / "ca.crt").read_text(), "dispatcher_serial": "02", **changes})

    PENDING = answer({"status": "pending", "reqid": "4e78d832532b8fb5"})

    def test_old_answers_pair_the_agent(self):
        agent, server, done = self.request("web-01", lambda asked: [self.PENDING, self.approval(asked)])
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(agent.serial.read_text().strip(), "02")
        agent.command("pairing-status")
        text = b"".join(server.records)
        self.assertTrue(text.startswith(b"POST /pair HTTP/1.0\r\n"), text[:100])
        asked = json.loads(text.partition(b"\r\n\r\n")[2])
        self.assertEqual(asked["hostname"], "web-01")
        self.assertRegex(asked["nonce"], r"^[0-9a-f]{32}$")

    def test_both_answers_at_once(self):
        agent, _, done = self.request("web-02", lambda asked: [self.PENDING + self.approval(asked)])
        self.assertEqual(done.returncode, 0, done.stderr)
        agent.command("pairing-status")

    def test_answer_without_a_dispatcher_serial_pairs_but_trusts_nobody(self):
        agent, _, done = self.request(
            "web-03", lambda asked: [self.PENDING, self.approval(asked, dispatcher_serial=None)])
        self.assertEqual(done.returncode, 0, done.stderr)
        agent.serve()
        [result] = self.deployment.json("ping", agent.target, check=1)["results"]
        self.assertEqual(result["error"], "forbidden: serial mismatch")

    def test_denial_and_refusal(self):
        for number, (messages, said) in enumerate((
                ([self.PENDING, answer({"status": "denied", "reason": "approval timeout"})], b"approval timeout"),
                ([answer({"status": "error", "reason": "pairing queue full"})], b"pairing queue full"))):
            _, _, done = self.request(f"denied-{number}", lambda _, messages=messages: messages)
            self.assertEqual(done.returncode, 1)
            self.assertIn(said, done.stderr)

    def test_what_is_not_trustworthy_is_not_stored(self):
        stranger = make_csr("web-01")
        cases = {
            "nonce": lambda asked: self.approval(asked, nonce="0" * 32),
            "no-nonce": lambda asked: self.approval(asked, nonce=None),
            "another-key": lambda asked: self.approval(asked, cert=self.sign(stranger)),
            "another-ca": lambda asked: self.approval(asked, cert=self.sign(asked["csr"], self.other)),
            "no-ca": lambda asked: self.approval(asked, ca=""),
            "no-certificate": lambda asked: self.approval(asked, cert="nonsense"),
            "serial": lambda asked: self.approval(asked, dispatcher_serial="no hex\n"),
            "status": lambda asked: self.approval(asked, status="fine"),
            "json": lambda asked: answer(b"{"),
            "cut": lambda asked: self.approval(asked)[:-1],
            "escape-sequence": lambda asked: answer({"status": "denied", "reason": "\x1b]0;owned\x07"}),
        }
        for name, last in cases.items():
            with self.subTest(name):
                agent, _, done = self.request(name, lambda asked, last=last: [self.PENDING, last(asked)])
                self.assertEqual(done.returncode, 1, done.stdout)
                self.assertTrue(done.stderr.startswith(b"ctrl-exec-agent: "), done.stderr)
                self.assertNotIn(b"\x1b", done.stderr)
                self.assertEqual(sorted(path.name for path in agent.directory.iterdir()),
                                 ["agent.conf", "scripts.conf"])

    def test_request_id_that_is_none(self):
        for number, reqid in enumerate(("\x1b[2J", "", "x" * 1000, None, "$(reboot)")):
            with self.subTest(reqid):
                _, _, done = self.request(f"reqid-{number}", lambda asked, reqid=reqid: [
                    answer({"status": "pending", "reqid": reqid}), self.approval(asked)])
                self.assertEqual(done.returncode, 1)
                self.assertNotIn(b"\x1b", done.stdout + done.stderr)


if __name__ == "__main__":
    unittest.main()
