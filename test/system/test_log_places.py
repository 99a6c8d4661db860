"""Where daemons log: to syslog under their name, and to stderr where there is no syslog, as in a container."""

import os
import socket
import unittest

from deployment import REFUSED, Deployment

FACILITY_DAEMON = 3


class LogPlaces(unittest.TestCase):
    def setUp(self):
        self.deployment = self.enterContext(Deployment())
        self.path = self.deployment.directory / "log"
        self.agent = self.deployment.paired_agent("web-01")

    def start(self, argv):
        """A daemon that looks for the syslog socket at self.path."""
        return self.deployment.start(["env", f"CTRL_EXEC_LOG={self.path}", *argv], "daemon").wait_listening()

    def test_daemons_send_a_line_an_event_to_syslog(self):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as syslog:
            syslog.bind(os.fspath(self.path))
            syslog.settimeout(30)
            for tag, event, argv in (("ctrl-exec-agent", "start", self.agent.argv("serve")),
                                     ("ctrl-exec-dispatcher", "pairing-mode-start",
                                      self.deployment.argv("pairing-mode"))):
                with self.subTest(tag), self.start(argv) as daemon:
                    line = syslog.recv(65536).decode()
                    priority, rest = line.removeprefix("<").split(">", 1)
                    self.assertEqual(int(priority) >> 3, FACILITY_DAEMON)
                    self.assertRegex(rest, r"^[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d "
                                           rf"{tag}\[{daemon.pid}\]: ACTION={event} ADDRESS={daemon.address}[^\n]*$")
                    daemon.stop()
                    syslog.recv(65536)  # that it stops
                    self.assertEqual(daemon.log, "", "nothing on stderr")

    def test_daemons_without_syslog_log_the_same_lines_to_stderr(self):
        for event, argv in (("start", self.agent.argv("serve")),
                            ("pairing-mode-start", self.deployment.argv("pairing-mode"))):
            with self.subTest(event), self.start(argv) as daemon:
                daemon.wait_log(rf"^ACTION={event} ADDRESS={daemon.address}")

    def test_commands_without_syslog_keep_their_output_to_themselves(self):
        environment = {**self.deployment.environment(), "CTRL_EXEC_LOG": str(self.path)}
        with self.agent.serve().daemon:
            done = self.deployment.dispatcher("ping", self.agent.target, environment=environment)
        self.assertEqual(done.stderr, b"")

    def test_values_with_blanks_are_quoted(self):
        with self.agent.serve().daemon as daemon:
            self.deployment.dispatcher("run", self.agent.target, "missing", check=REFUSED)
            daemon.wait_log(r' REASON="script not permitted \(not in the allowlist\)" REQID=\w+ SCRIPT=missing$')


if __name__ == "__main__":
    unittest.main()
