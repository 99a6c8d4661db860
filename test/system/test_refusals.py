"""What does not work says why, on both sides, and who may not is refused as early as possible."""

import contextlib
import socket
import ssl
import threading
import unittest

from deployment import MISSING, REFUSED, TIMED_OUT, Deployment, exit_code, write_settings
from wire import TlsClient, curl, request, s_client

SERIAL_MISMATCH = b'{"error":"serial mismatch","status":"forbidden"}'
FORBIDDEN = b'{"error":"forbidden"}'


@contextlib.contextmanager
def tcp_server(converse):
    """The address of a server that calls converse(socket) for each connection."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve():
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    with connection, contextlib.suppress(OSError):
                        converse(connection)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"127.0.0.1:{listener.getsockname()[1]}"
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


class Unreachable(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.deployment = cls.enterClassContext(Deployment(connect_timeout=1, read_timeout=1))
        cls.agent = cls.deployment.paired_agent("web-01")
        cls.agent.script("true", "#!/bin/sh\n")
        cls.agent.script("slow", "#!/bin/sh\nsleep 2\n")
        cls.agent.serve()

    def assert_unreachable(self, target, reason):
        """Ping and run say why, as JSON and for people, and exit with 1."""
        for words in (("ping", target), ("run", target, "true")):
            with self.subTest(words):
                answer = self.deployment.json(*words, check=exit_code(words, MISSING))
                self.assertEqual(answer["ok"], 1)
                [result] = answer["results"]
                self.assertRegex(result["error"], reason)
                self.assertRegex(result["rtt"], r"^\d+ms$")
                if words[0] == "ping":
                    self.assertEqual(list(result), ["host", "status", "error", "rtt"])
                    self.assertEqual(result["status"], "error")
                else:
                    self.assertEqual(result["exit"], -1)
                    self.assertNotIn("stdout", result)
        done = self.deployment.dispatcher("ping", target, check=1)
        self.assertRegex(done.stdout.decode().splitlines()[2], r"^\S+ +error +\d+ms +- +- +-$")
        self.assertRegex(done.stderr.decode(), reason)
        done = self.deployment.dispatcher("run", target, "true", check=MISSING)
        self.assertRegex(done.stdout.decode(), rf"^==> \S+  \[MISSING  exit:-1  .*\]\n    ERROR: .*{reason}")

    def test_nothing_listens(self):
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
        self.assert_unreachable(f"127.0.0.1:{port}", rf"refused by 127\.0\.0\.1:{port}")

    def test_name_that_does_not_resolve(self):
        self.assert_unreachable("no-such-host.invalid", r"no-such-host\.invalid")

    def test_port_that_does_not_speak_tls(self):
        def banner(connection):
            connection.sendall(b"SSH-2.0-OpenSSH_9.2\r\n")
            while connection.recv(4096):
                pass

        with tcp_server(banner) as address:
            self.assert_unreachable(address, rf"TLS with {address} failed: \w+")

    def test_port_that_closes_at_once(self):
        with tcp_server(lambda connection: None) as address:
            self.assert_unreachable(address, address)

    def test_port_that_says_nothing(self):
        def silence(connection):
            while connection.recv(4096):
                pass

        with tcp_server(silence) as address:
            self.assert_unreachable(address, r"timed out: no TLS handshake with .* within 1 s")

    def test_agent_that_takes_longer_than_read_timeout(self):
        [result] = self.deployment.json("run", self.agent.target, "slow", check=TIMED_OUT)["results"]
        self.assertEqual((result["exit"], result["outcome"]), (-1, "still-running"))
        self.assertRegex(result["error"], "no result from .* within 1 s; the script goes on there")

    def test_one_host_that_fails_does_not_keep_the_others_from_working(self):
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
        results = self.deployment.json("run", self.agent.target, f"127.0.0.2:{port}", "true", check=MISSING)["results"]
        self.assertEqual(sorted((result["host"], result["exit"]) for result in results),
                         [("127.0.0.1", 0), ("127.0.0.2", -1)])
        table = self.deployment.dispatcher("ping", self.agent.target, f"127.0.0.2:{port}", check=1).stdout.decode()
        self.assertEqual(sorted(line.split()[:2] for line in table.splitlines()[2:]),
                         [["127.0.0.1", "ok"], ["127.0.0.2", "error"]])


class AnotherAuthority(unittest.TestCase):
    """Two deployments that know nothing of each other."""

    @classmethod
    def setUpClass(cls):
        cls.ours = cls.enterClassContext(Deployment())
        cls.theirs = cls.enterClassContext(Deployment())
        cls.agent = cls.theirs.paired_agent("web-01").serve()

    def test_dispatcher_sends_nothing_to_an_agent_of_another_ca(self):
        for words in (("ping", self.agent.target), ("run", self.agent.target, "true")):
            [result] = self.ours.json(*words, check=exit_code(words, MISSING))["results"]
            self.assertRegex(result["error"], r"TLS with .* failed: .*(CA|certificate|issuer)")
        self.assertNotIn("ACTION=ping", self.agent.daemon.log)

    def test_agent_refuses_a_client_of_another_ca_in_the_handshake(self):
        identity = (self.ours.ca / "ctrl-exec.crt", self.ours.ca / "ctrl-exec.key")
        before = self.agent.daemon.log.count("ACTION=tls-failure")
        with self.assertRaises(ssl.SSLError) as caught, TlsClient(self.agent.address, identity=identity) as client:
            client.send(request("POST", "/ping", {}))
            client.read_answer()
        self.assertIn("ALERT", caught.exception.reason)
        self.agent.daemon.wait_log("ACTION=tls-failure PEER=127.0.0.1", before + 1)


class Clients(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.deployment = cls.enterClassContext(Deployment())
        cls.agent, cls.other = cls.deployment.paired_agents("web-01", "web-02")
        cls.agent.serve()
        cls.ca = cls.deployment.ca / "ca.crt"

    def assert_no_handshake(self, text):
        self.assertIn("alert", text)
        self.assertNotIn("HTTP/1.", text.replace("GET /capabilities HTTP/1.1", ""))

    def test_without_a_certificate_s_client_gets_an_alert(self):
        for version in ("-tls1_2", "-tls1_3"):
            with self.subTest(version):
                status, said = s_client(self.agent.address, request("GET", "/capabilities"), version)
                self.assertNotEqual(status, 0)
                self.assert_no_handshake(said.decode(errors="replace"))

    def test_without_a_certificate_curl_gets_an_alert(self):
        for limit in ("1.2", "1.3"):
            with self.subTest(limit):
                status, code, body, said = curl(f"https://{self.agent.address}/capabilities", "--insecure",
                                                f"--tlsv{limit}", "--tls-max", limit)
                self.assertIn(status, (35, 56))  # handshake failed; the connection failed
                self.assertEqual((code, body), (0, b""))
                self.assertIn("alert", said)

    def test_self_signed_certificate(self):
        key, certificate = self.deployment.directory / "self.key", self.deployment.directory / "self.crt"
        self.deployment.execute(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
                                 "-nodes", "-subj", "/CN=ctrl-exec", "-keyout", key, "-out", certificate])
        status, code, body, said = curl(f"https://{self.agent.address}/capabilities", "--insecure", "--cert",
                                        certificate, "--key", key)
        self.assertIn(status, (35, 56))
        self.assertEqual((code, body), (0, b""))
        self.assertIn("alert", said)

    def test_tls_1_1_is_not_spoken(self):
        status, code, _, _ = curl(f"https://{self.agent.address}/capabilities", "--insecure", "--tls-max", "1.1",
                                  "--ciphers", "DEFAULT@SECLEVEL=0")
        self.assertEqual((status, code), (35, 0))

    def assert_forbidden(self, identity):
        with contextlib.ExitStack() as stack:
            for method, target, body, expected in (
                    ("POST", "/run", {"script": "true", "args": [], "reqid": "r"}, SERIAL_MISMATCH),
                    ("POST", "/ping", {"reqid": "r"}, SERIAL_MISMATCH), ("GET", "/capabilities", None, FORBIDDEN)):
                with self.subTest(target):
                    client = stack.enter_context(TlsClient(self.agent.address, self.ca, identity))
                    client.send(request(method, target, body))
                    answer = client.only_answer()
                    self.assertEqual((answer.status, answer.body), (403, expected))

    def test_certificate_of_the_same_ca_is_not_enough(self):
        self.assert_forbidden((self.other.certificate, self.other.key))
        self.agent.daemon.wait_log("ACTION=serial-reject PEER=127.0.0.1 SERIAL=[0-9a-f]{32}$")
        self.agent.daemon.wait_log("ACTION=capabilities-deny PEER=127.0.0.1 SERIAL=[0-9a-f]{32}$")

    def test_new_dispatcher_certificate_is_not_trusted(self):
        config = self.deployment.directory / "new.conf"
        write_settings(config, {**self.deployment.settings, "cert": self.deployment.directory / "new.crt",
                                "key": self.deployment.directory / "new.key"})
        self.deployment.dispatcher("setup-ctrl-exec", "--yes", "--config", config)
        for words in (("ping", self.agent.target), ("run", self.agent.target, "true")):
            [result] = self.deployment.json(*words, "--config", config, check=exit_code(words, REFUSED))["results"]
            self.assertEqual(result["error"], "forbidden: serial mismatch")

    def test_agent_that_trusts_nobody_refuses_everybody(self):
        self.other.serial.unlink()
        self.other.serve()
        for words in (("ping", self.other.target), ("run", self.other.target, "true")):
            [result] = self.deployment.json(*words, check=exit_code(words, REFUSED))["results"]
            self.assertEqual(result["error"], "forbidden: serial mismatch")
        identity = (self.deployment.ca / "ctrl-exec.crt", self.deployment.ca / "ctrl-exec.key")
        with TlsClient(self.other.address, self.ca, identity) as client:
            client.send(request("GET", "/capabilities"))
            self.assertEqual(client.only_answer().body, FORBIDDEN)


if __name__ == "__main__":
    unittest.main()
