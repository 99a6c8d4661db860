"""The pairing port as an old agent sees it: two whole answers on one connection, and nothing else."""

import hashlib
import json
import socket
import ssl
import subprocess
import unittest

from deployment import Deployment
from wire import TlsClient, curl, make_csr, request, s_client, split_address

INVALID = {"status": "error", "reason": "invalid request"}
NONCE = "0123456789abcdef0123456789abcdef"


class PairingPort(unittest.TestCase):
    settings = {}

    def setUp(self):
        self.deployment = self.enterContext(Deployment(**self.settings))
        self.listener = self.enterContext(self.deployment.pairing_mode())

    def connect(self, version=None):
        return self.enterContext(TlsClient(self.listener.address, version=version))

    def body(self, name="web-01", **changes):
        return {"csr": make_csr(name), "hostname": name, "nonce": NONCE, **changes}

    def ask(self, body, method="POST", target="/pair", version="1.0"):
        """Sends a request on a connection of its own; returns both."""
        client = self.connect()
        client.send(request(method, target, body, "Content-Type: application/json", version=version))
        return client, client.read_answer()


class TwoAnswers(PairingPort):
    def test_approval(self):
        client = self.connect(ssl.TLSVersion.TLSv1_2)
        csr = make_csr("web-01")
        client.send(request("POST", "/pair", {"csr": csr, "hostname": "web-01", "nonce": NONCE}, version="1.0"))
        pending = client.read_answer()
        self.assertEqual(pending.status_line, "HTTP/1.0 200 OK")
        self.assertEqual(list(pending.json), ["status", "reqid"])
        self.assertEqual(pending.json["status"], "pending")
        self.assertRegex(pending.json["reqid"], r"^[0-9a-f]{16}$")

        [queued] = self.deployment.requests()
        self.assertEqual((queued["id"], queued["csr"]), (pending.json["reqid"], csr))
        digest = hashlib.sha256(csr.encode()).digest()
        self.assertEqual(queued["code"], f"{int.from_bytes(digest[:4], 'big') % 1_000_000:06}")
        self.deployment.dispatcher("approve", queued["id"])
        approved = client.only_answer()
        self.assertEqual(approved.status_line, "HTTP/1.0 200 OK")
        self.assertEqual(list(approved.json), ["status", "cert", "ca", "nonce", "dispatcher_serial", "dispatcher_id"])
        self.assertEqual((approved.json["status"], approved.json["nonce"]), ("approved", NONCE))
        self.assertEqual(approved.json["ca"], (self.deployment.ca / "ca.crt").read_text())
        self.assertRegex(approved.json["dispatcher_serial"], r"^[1-7][0-9a-f]{31}$")
        self.assertEqual(client.records(), 2, "an old agent takes one record for one answer")

        certificate = self.deployment.directory / "agent.crt"
        certificate.write_text(approved.json["cert"])
        self.deployment.execute(["openssl", "verify", "-CAfile", self.deployment.ca / "ca.crt", certificate])

    def test_denial(self):
        client, pending = self.ask(self.body())
        self.deployment.dispatcher("deny", pending.json["reqid"])
        self.assertEqual(client.only_answer().json, {"status": "denied", "reason": "rejected by operator"})

    def test_method_path_and_unknown_keys_do_not_matter(self):
        for i, (method, target, version) in enumerate((("POST", "/pair", "1.1"), ("PUT", "/", "1.0"),
                                                       ("POST", "/x?y", "1.0"))):
            with self.subTest(method=method, target=target):
                name = f"web-{i}"
                client, pending = self.ask(self.body(name, extra={"a": [1]}, agent_port=7000 + i), method, target,
                                           version)
                self.assertEqual(pending.json["status"], "pending")
                self.assertEqual(self.deployment.wait_request(name)["agent_port"], 7000 + i)
                client.close()

    def test_agent_port_is_used_afterwards(self):
        with socket.create_server(("127.0.0.1", 0)) as closed:
            port = closed.getsockname()[1]
        client, pending = self.ask(self.body("127.0.0.1", agent_port=port, lookup_by="ip"))
        self.deployment.dispatcher("approve", pending.json["reqid"])
        client.only_answer()
        [record] = self.deployment.json("list-agents")["agents"]
        self.assertEqual((record["agent_port"], record["lookup_by"]), (port, "ip"))

    def test_curl_takes_the_first_answer_and_its_request_is_dropped(self):
        status, code, body, said = curl(f"https://{self.listener.address}/pair", "--insecure", "--http1.0",
                                        data=json.dumps(self.body()).encode())
        self.assertEqual((status, code), (0, 200), said)
        answer = json.loads(body)
        self.assertEqual(answer["status"], "pending")
        self.listener.wait_output(f"^Pairing request {answer['reqid']} from web-01: gone$")
        self.assertEqual(self.deployment.requests(), [])

    def test_openssl_s_client(self):
        for version in ("-tls1_2", "-tls1_3"):
            status, said = s_client(self.listener.address, request("POST", "/pair", b"{}", version="1.0"), version)
            self.assertEqual(status, 0, said)
            self.assertIn(b"HTTP/1.0 200 OK\r\n", said)
            self.assertTrue(said.rstrip().endswith(json.dumps(INVALID, separators=(",", ":")).encode()), said)

    def test_no_client_certificate_is_asked_for(self):
        status, code, _, said = curl(f"https://{self.listener.address}/pair", "--insecure", data=b"{}")
        self.assertEqual((status, code), (0, 200), said)
        self.assertNotIn("Request CERT", said)


class Refused(PairingPort):
    settings = {"pairing_max_queue": 2}

    def assert_invalid(self, body):
        _, answer = self.ask(body)
        self.assertEqual((answer.status, answer.json), (200, INVALID))
        self.assertEqual(self.deployment.requests(), [])

    def test_request_that_is_no_pairing_request(self):
        whole = json.dumps(self.body()).encode()
        for body in (b"", b"{", whole[:-1], b"[]", b"null", whole + b"x", b"\xff" + whole):
            with self.subTest(body[:40]):
                self.assert_invalid(body)
        for changes in ({"csr": ""}, {"csr": None}, {"csr": "nonsense"}, {"csr": make_csr("web-02")}, {"nonce": ""},
                        {"nonce": "xyz"}, {"nonce": "0" * 1000}, {"hostname": ""}, {"hostname": "../../etc"},
                        {"hostname": "a b"}, {"hostname": None}, {"hostname": "web-01\n"}):
            with self.subTest(changes):
                self.assert_invalid(self.body(**changes))

    def test_csr_that_its_key_did_not_sign(self):
        der = bytearray(ssl.PEM_cert_to_DER_cert(make_csr("web-01").replace("CERTIFICATE REQUEST", "CERTIFICATE")))
        der[-1] ^= 1  # within the signature
        forged = ssl.DER_cert_to_PEM_cert(bytes(der)).replace("CERTIFICATE", "CERTIFICATE REQUEST")
        self.assert_invalid(self.body(csr=forged))
        self.listener.wait_log("ACTION=pair-reject PEER=127.0.0.1 REASON=")

    def test_weak_or_oversized_csr(self):
        weak = subprocess.run(["openssl", "req", "-new", "-newkey", "rsa:1024", "-nodes", "-keyout", "/dev/null",
                               "-subj", "/CN=web-01"], check=True, capture_output=True, timeout=30).stdout.decode()
        self.assert_invalid(self.body(csr=weak))
        self.assert_invalid(self.body(csr=make_csr("web-01") + " " * 10_240))

    def test_oversized_body_is_refused_from_its_length(self):
        client = self.connect()
        client.send(b"POST /pair HTTP/1.0\r\nContent-Length: 65537\r\n\r\n")
        answer = client.read_answer()
        self.assertEqual(answer.json, INVALID)

    def test_truncated_request_is_not_queued(self):
        client = self.connect()
        client.send(request("POST", "/pair", self.body(), version="1.0")[:-1])
        client.end()
        self.assertNotIn(b"pending", client.read_to_end())
        self.assertEqual(self.deployment.requests(), [])

    def test_not_tls(self):
        with socket.create_connection(split_address(self.listener.address), 10) as plain:
            plain.sendall(b"GET / HTTP/1.0\r\n\r\n")
            while plain.recv(4096):
                pass
        self.listener.wait_log("ACTION=pair-reject PEER=127.0.0.1")

    def test_full_queue_until_somebody_hangs_up(self):
        waiting = [self.ask(self.body(f"web-{i}"))[0] for i in (1, 2)]
        _, answer = self.ask(self.body("web-3"))
        self.assertEqual(answer.json, {"status": "error", "reason": "pairing queue full"})
        self.assertEqual([r["hostname"] for r in self.deployment.requests()], ["web-1", "web-2"])
        waiting[0].close()
        self.listener.wait_output("from web-1: gone$")
        self.assertEqual([r["hostname"] for r in self.deployment.requests()], ["web-2"])
        client, answer = self.ask(self.body("web-3"))
        self.assertEqual(answer.json["status"], "pending")
        client.close()
        waiting[1].close()

    def test_refused_request_says_so_on_the_agent(self):
        clients = [self.ask(self.body(f"web-{i}"))[0] for i in (1, 2)]
        agent = self.deployment.agent("web-3")
        done = agent.command("request-pairing", "--dispatcher", self.listener.address, check=1)
        self.assertIn(b"pairing queue full", done.stderr)
        self.assertEqual(done.stdout, b"")
        for client in clients:
            client.close()


del PairingPort  # it has no tests of its own

if __name__ == "__main__":
    unittest.main()
