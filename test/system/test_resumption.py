"""TLS sessions are resumed by the next command, and trust is looked at all the same."""

import os
import signal
import stat
import unittest

from deployment import MISSING, REFUSED, Deployment, write_settings
from dispatcher_client import openssl
from old_peers import OldAgent, OldVolumes
from relay import Relay, client_hello_extensions

PRE_SHARED_KEY = 41  # RFC 8446, section 4.2


class Case(unittest.TestCase):
    def setUp(self):
        self.deployment = self.enterContext(Deployment())
        self.agent = self.deployment.paired_agent("web-01")
        self.agent.script("hello", "#!/bin/sh\necho hello\n")
        self.tickets = self.deployment.state / "tls-tickets"
        self.agent.serve()
        self.relay = self.enterContext(Relay(self.agent.address))

    def run_hello(self, check=0):
        """The result, whether a session was offered, and how much the agent sent."""
        answer = self.deployment.json("run", self.relay.address, "hello", check=check)
        forth, back = self.relay.take()
        return answer["results"][0], PRE_SHARED_KEY in client_hello_extensions(forth), len(back)

    def assert_full(self):
        result, _, size = self.run_hello()
        self.assertEqual(result["stdout"], "hello\n")
        self.assertGreater(size, self.resumed_size + 300)

    def assert_resumed(self):
        result, offered, size = self.run_hello()
        self.assertEqual((result["stdout"], offered), ("hello\n", True))
        self.assertLess(size, self.full_size - 300)

    def learn_sizes(self):
        result, offered, self.full_size = self.run_hello()
        self.assertEqual((result["stdout"], offered), ("hello\n", False))
        result, offered, self.resumed_size = self.run_hello()
        self.assertEqual((result["stdout"], offered), ("hello\n", True))
        self.assertLess(self.resumed_size, self.full_size - 300, "as large as with a certificate")


class Resumed(Case):
    def test_the_next_command_resumes_and_the_one_after_it(self):
        self.learn_sizes()
        self.assert_resumed()
        self.assert_resumed()

    def test_ping_and_run_use_the_same_tickets(self):
        self.learn_sizes()
        self.deployment.json("ping", self.relay.address)
        forth, _ = self.relay.take()
        self.assertIn(PRE_SHARED_KEY, client_hello_extensions(forth))

    def test_an_agent_that_was_restarted_does_not_know_the_ticket(self):
        self.learn_sizes()
        port = self.agent.daemon.port
        self.agent.daemon.stop()
        self.agent.settings["port"] = port
        write_settings(self.agent.config, self.agent.settings)
        self.agent.serve()
        self.assert_full()
        self.assert_resumed()

    def test_what_is_stored_is_for_the_owner_only_and_says_nothing(self):
        self.learn_sizes()
        status = self.tickets.stat()
        self.assertEqual(stat.S_IMODE(status.st_mode), 0o600)
        stored = self.tickets.read_bytes().replace(b"\0" * 64, b"")
        self.assertNotIn(b"web-01", stored)
        self.assertNotIn(b"127.0.0.1", stored)
        self.assertLess(status.st_blocks * 512, 64 * 1024)
        self.assertLessEqual(status.st_size, 64 << 20)


class Discarded(Case):
    def test_with_another_certificate_of_our_own(self):
        self.learn_sizes()
        self.deployment.dispatcher("rotate-cert")
        self.deployment.json("ping", self.relay.address)  # whatever the rotation still has to say to the agent
        self.relay.forget()
        result, _, _ = self.run_hello()
        self.assertEqual(result["stdout"], "hello\n")
        self.assert_resumed()

    def test_when_somebody_else_could_have_read_or_written_it(self):
        self.learn_sizes()
        self.tickets.chmod(0o640)
        _, offered, _ = self.run_hello()
        self.assertFalse(offered)

    def test_when_it_is_no_file_of_tickets(self):
        self.learn_sizes()

        def garbage(path):
            path.write_bytes(os.urandom(1 << 20))
            path.chmod(0o600)

        def nothing(path):
            path.write_bytes(b"")
            path.chmod(0o600)

        def changed(path):
            data = bytearray(kept)
            for place in range(0, len(data), 4096):
                data[place + 40] ^= 1
            path.write_bytes(data)
            path.chmod(0o600)

        kept = self.tickets.read_bytes()
        kinds = {"directory": lambda path: path.mkdir(0o700), "fifo": lambda path: os.mkfifo(path, 0o600),
                 "link": lambda path: path.symlink_to("/dev/zero"), "garbage": garbage, "nothing": nothing,
                 "changed": changed}
        for name, make in kinds.items():
            with self.subTest(name):
                if self.tickets.is_dir():
                    self.tickets.rmdir()
                self.tickets.unlink(missing_ok=True)
                make(self.tickets)
                result, offered, _ = self.run_hello()
                self.assertEqual((result["stdout"], offered), ("hello\n", False))

    def test_of_another_agent(self):
        """A ticket cannot be moved to another name: then the other agent would pass for the first."""
        self.learn_sizes()
        kept = self.tickets.read_bytes()
        [place] = [at for at in range(0, len(kept), 4096) if kept[at:at + 2] != b"\0\0"]
        with open(self.tickets, "r+b") as file:
            for at in range(0, 64 << 20, 4096):
                if at != place:
                    os.pwrite(file.fileno(), kept[place:place + 4096], at)
        with Relay(self.agent.address) as other:
            self.deployment.json("run", other.address, "hello")
            forth, _ = other.take()
        self.assertNotIn(PRE_SHARED_KEY, client_hello_extensions(forth))


class TrustIsLookedAt(Case):
    def test_a_dispatcher_that_was_revoked_since_is_refused(self):
        self.learn_sizes()
        serial = openssl("x509", "-noout", "-serial", "-in", self.deployment.ca / "ctrl-exec.crt").decode()
        (self.agent.directory / "revoked-serials").write_text(serial.partition("=")[2].strip().lower() + "\n")
        self.agent.daemon.signal(signal.SIGHUP)
        self.agent.daemon.wait_log("ACTION=reload")
        result, offered, _ = self.run_hello(check=REFUSED)
        self.assertTrue(offered)
        self.assertIn("certificate revoked", result["error"])

    def test_an_agent_that_was_revoked_since_is_not_believed(self):
        self.learn_sizes()
        serial = openssl("x509", "-noout", "-serial", "-in", self.agent.certificate).decode()
        (self.deployment.ca / "revoked-serials").write_text(serial.partition("=")[2].strip().lower() + "\n")
        result, offered, _ = self.run_hello(check=MISSING)
        self.assertTrue(offered)
        self.assertIn("certificate is revoked", result["error"])


class OldPeers(Case):
    def test_a_client_that_does_not_say_that_it_is_one_of_ours_gets_no_ticket(self):
        certificate, key = self.deployment.ca / "ctrl-exec.crt", self.deployment.ca / "ctrl-exec.key"
        for alpn, tickets in (((), 0), (("-alpn", "h2,http/1.1"), 0), (("-alpn", "ctrl-exec/1"), 1)):
            with self.subTest(alpn=alpn):
                words = ["s_client", "-connect", self.agent.address, "-cert", certificate, "-key", key, "-tls1_3",
                         "-msg", "-ign_eof", *alpn]
                said = openssl(*words, input=b"GET /nothing HTTP/1.0\r\n\r\n").decode(errors="replace")
                self.assertEqual(said.count("NewSessionTicket"), tickets)

    def test_an_old_agent_is_never_offered_one(self):
        deployment = self.enterContext(OldVolumes())
        agent = self.enterContext(OldAgent())
        relay = self.enterContext(Relay(agent.address))
        for _ in range(3):
            deployment.dispatcher("run", relay.address, "true")
            forth, _ = relay.take()
            self.assertNotIn(PRE_SHARED_KEY, client_hello_extensions(forth))
        self.assertFalse((deployment.state / "tls-tickets").exists())


if __name__ == "__main__":
    unittest.main()
