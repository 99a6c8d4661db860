"""Rate limits of the agent: strangers are blocked, a trusted dispatcher never."""

import contextlib
import os
import signal
import socket
import ssl
import subprocess
import unittest

from deployment import Deployment
from processes import DEADLINE, poll
from wire import TlsClient, request, split_address

PING = request("POST", "/ping", {"reqid": "x"}, version="1.0")


class RateLimits(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.deployment = cls.enterClassContext(Deployment())
        cls.agent, cls.other = cls.deployment.paired_agents("web-01", "web-02")

    def serve(self, **settings):
        """The agent with these settings, as often as a test likes: its limits begin anew."""
        text = "".join(f"{key} = {value}\n" for key, value in {**self.agent.settings, **settings}.items())
        self.agent.config.write_text(text)
        self.agent.serve()
        self.addCleanup(self.agent.daemon.stop)

    def connect(self, identity):
        """What an untrusted client gets for a ping: the status, or None when it was closed without an answer."""
        try:
            with TlsClient(self.agent.address, self.deployment.ca / "ca.crt", identity) as client:
                client.send(PING)
                return client.only_answer().status
        except (OSError, AssertionError, ssl.SSLError):
            return None

    def stranger(self):
        """A certificate of our CA that is no dispatcher's."""
        return self.connect((self.other.certificate, self.other.key))

    def fail_to_shake_hands(self):
        with socket.create_connection(split_address(self.agent.address), DEADLINE) as plain:
            plain.sendall(b"GET / HTTP/1.0\r\n\r\n")
            with contextlib.suppress(OSError):
                plain.recv(100)

    def ping(self, check=0):
        return self.deployment.json("ping", self.agent.address, check=check)["results"][0]

    def test_volume_blocks_strangers_but_no_trusted_dispatcher_from_the_same_address(self):
        self.serve(rate_limit_volume="3/600/600")
        self.assertEqual([self.stranger() for _ in range(3)], [403] * 3)
        self.agent.daemon.wait_log(r"^ACTION=rate-block KIND=volume LIMIT=3/600/600 PEER=127\.0\.0\.1$")
        self.assertEqual([self.stranger() for _ in range(3)], [None] * 3)
        self.assertEqual(self.ping()["status"], "ok")
        self.assertEqual(self.agent.daemon.log.count("ACTION=rate-block"), 1)

    def test_trusted_dispatcher_is_not_counted(self):
        self.serve(rate_limit_volume="3/600/600")
        for _ in range(8):
            self.assertEqual(self.ping()["status"], "ok")
        self.assertNotIn("rate-block", self.agent.daemon.log)

    def test_the_default_is_ten_connections_a_minute(self):
        self.serve()
        self.assertEqual([self.stranger() for _ in range(12)], [403] * 10 + [None] * 2)
        self.agent.daemon.wait_log(r"^ACTION=rate-block KIND=volume LIMIT=10/60/300 PEER=127\.0\.0\.1$")

    def test_failed_handshakes_are_probes_and_three_of_them_block(self):
        self.serve()
        for count in range(1, 4):
            self.fail_to_shake_hands()
            self.agent.daemon.wait_log(r"^ACTION=tls-failure PEER=127\.0\.0\.1", count)
        self.agent.daemon.wait_log(r"^ACTION=rate-block KIND=probe LIMIT=3/600/3600 PEER=127\.0\.0\.1$")
        self.assertIsNone(self.stranger())
        self.assertEqual(self.ping()["status"], "ok", "loopback is not shut out, so the dispatcher can show itself")

    def test_a_blocked_prober_is_closed_before_the_handshake(self):
        with namespace() as inside:
            self.agent.config.write_text("".join(f"{k} = {v}\n" for k, v in self.agent.settings.items() if k != "bind"))
            agent = self.deployment.start([*inside, *self.agent.argv("serve")], "serve-inside").wait_listening()
            self.addCleanup(agent.stop)
            shake = f"exec 3<>/dev/tcp/192.0.2.1/{agent.port}; echo no TLS >&3; wc -c <&3"
            answers = [int(subprocess.run([*inside, "bash", "-c", shake], capture_output=True, timeout=DEADLINE,
                                          check=False).stdout) for _ in range(5)]
            self.assertTrue(all(answers[:3]), f"an alert answers each of the first three: {answers}")
            self.assertEqual(answers[3:], [0, 0])
            agent.wait_log(r"^ACTION=rate-block KIND=probe LIMIT=3/600/3600 PEER=192\.0\.2\.1$")

    def test_a_revoked_certificate_is_a_probe(self):
        self.serve()
        serial = subprocess.run(["openssl", "x509", "-in", self.other.certificate, "-noout", "-serial"], check=True,
                                capture_output=True, text=True).stdout.strip()
        revoked = self.agent.directory / "revoked-serials"
        revoked.write_text(serial + "\n")
        self.addCleanup(revoked.unlink)
        self.agent.daemon.process.send_signal(signal.SIGHUP)
        self.agent.daemon.wait_log("^ACTION=reload")
        self.assertEqual([self.stranger() for _ in range(4)], [403, 403, 403, None])
        self.agent.daemon.wait_log(r"^ACTION=rate-block KIND=probe")

    def test_self_pings_are_not_counted(self):
        port = free_port()
        self.serve(port=port, rate_limit_volume="2/600/600", rate_limit_probe="1/600/600")
        for _ in range(5):
            self.agent.command("self-ping")
        self.assertNotIn("rate-block", self.agent.daemon.log)

    def test_sighup_lifts_a_block(self):
        self.serve(rate_limit_volume="1/600/600")
        self.assertEqual([self.stranger(), self.stranger()], [403, None])
        self.agent.daemon.process.send_signal(signal.SIGHUP)
        self.agent.daemon.wait_log("^ACTION=reload")
        self.assertEqual(self.stranger(), 403)

    def test_a_block_ends_by_itself(self):
        self.serve(rate_limit_volume="1/600/1")
        self.assertEqual(self.stranger(), 403)
        poll("served again", lambda: self.stranger() == 403)
        self.assertGreaterEqual(self.agent.daemon.log.count("ACTION=rate-block"), 2)

    def test_disabled_they_block_nobody(self):
        self.serve(rate_limit_disable="yes")
        self.assertEqual([self.stranger() for _ in range(12)], [403] * 12)

    def test_a_limit_that_cannot_be_read_keeps_the_agent_from_starting(self):
        for key in ("rate_limit_volume", "rate_limit_probe"):
            with self.subTest(key):
                self.agent.config.write_text(
                    "".join(f"{k} = {v}\n" for k, v in {**self.agent.settings, key: "10/60"}.items()))
                done = self.agent.command("serve", check=78)
                self.assertIn(f"{self.agent.config}: {key}: '10/60' is not COUNT/WINDOW/BLOCK".encode(), done.stderr)


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


@contextlib.contextmanager
def namespace():
    """The command that runs another one in a network namespace of its own, with 192.0.2.1 beside loopback."""
    name = f"ctrl-exec-{os.getpid()}"
    subprocess.run(["ip", "netns", "add", name], check=True)
    try:
        subprocess.run(["ip", "-n", name, "link", "set", "lo", "up"], check=True)
        subprocess.run(["ip", "-n", name, "addr", "add", "192.0.2.1/32", "dev", "lo"], check=True)
        yield ["ip", "netns", "exec", name]
    finally:
        subprocess.run(["ip", "netns", "delete", name], check=True)


if __name__ == "__main__":
    unittest.main()
