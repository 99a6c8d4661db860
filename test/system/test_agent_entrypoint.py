"""An agent's container asks for its certificate until it has an answer, and then serves in the same process."""

import os
import random
import signal
import socket
import threading
import time
import unittest

from deployment import Deployment
from first_start import NOBODY, OLD, Volume, entrypoint_lines, free_port
from processes import poll

ASKING = "[entrypoint] No cert found - requesting pairing with {}..."
SERVING = "[entrypoint] Cert found - starting ctrl-exec-agent serve..."
SENT = "[entrypoint] Pairing request sent. Approve on the dispatcher, then restart this container."
SETTINGS = ("hostname = web-01", "bind = 127.0.0.1", "port = 0")


class AgentContainer(unittest.TestCase):
    settings = {}

    def setUp(self):
        self.deployment = self.enterContext(Deployment(**self.settings))
        self.port = free_port()
        self.host = f"127.0.0.1:{self.port}"
        self.volume = Volume(self.deployment, "agent")
        self.volume.configure_with(*SETTINGS, DISPATCHER_HOST=self.host)

    def start(self, **variables):
        return self.volume.start(**{"DISPATCHER_HOST": self.host, **variables})

    def listen(self):
        return self.deployment.start(self.deployment.argv("pairing-mode", "--port", self.port),
                                     "pairing-mode").wait_listening()

    def request(self, other_than=None):
        return poll("a new request", lambda: next((r["id"] for r in self.deployment.requests()
                                                   if r["hostname"] == "web-01" and r["id"] != other_than), None))

    def approve(self, request_id=None):
        self.deployment.dispatcher("approve", request_id or self.request(), "--replace")

    def assert_serves(self, agent):
        agent.wait_listening()
        [result] = self.deployment.json("ping", agent.address)["results"]
        self.assertEqual((result["status"], result["reported_hostname"]), ("ok", "web-01"))

    def assert_not_paired(self):
        names = {path.name for path in self.volume.directory.iterdir()} - {".pairing-request.json"}
        self.assertEqual(sorted(names), [".pairing.lock", ".setup.lock", "agent.conf", "scripts.conf"])

    def reasons(self, agent):
        return [line.partition("not paired yet: ")[2] for line in agent.log.splitlines() if "not paired yet" in line]


class Waiting(AgentContainer):
    def test_dispatcher_that_listens_late(self):
        with self.start() as agent:
            agent.wait_log("not paired yet: connection refused")
            with self.listen():
                self.approve()
                self.assert_serves(agent)
        self.assertEqual(entrypoint_lines(agent.output), [ASKING.format(self.host), SERVING])
        self.assertEqual(len(self.reasons(agent)), 1, agent.log)
        self.assertIn("\nPairing code: ", agent.output)
        with self.start() as again:
            self.assert_serves(again)
        self.assertEqual(entrypoint_lines(again.output), [SERVING])

    def test_dispatcher_that_is_started_again_while_the_operator_thinks(self):
        with self.start() as agent:
            with self.listen():
                first = self.request()
            agent.wait_log("not paired yet: ")
            with self.listen():
                self.approve(self.request(other_than=first))
                self.assert_serves(agent)
        self.assertEqual(agent.output.count("Pairing request sent: "), 2)

    def test_dispatcher_that_is_killed_while_the_operator_thinks(self):
        with self.start() as agent:
            with self.listen() as listener:
                first = self.request()
                listener.kill()
            agent.wait_log("not paired yet: ")
            with self.listen():
                self.approve(self.request(other_than=first))
                self.assert_serves(agent)

    def test_port_that_hangs_up(self):
        """A published port whose container does not listen."""

        def hang_up(server):
            while True:
                try:
                    server.accept()[0].close()
                except OSError:
                    return

        server = socket.create_server(("127.0.0.1", self.port))
        thread = threading.Thread(target=hang_up, args=[server])
        thread.start()
        with self.start() as agent:
            try:
                agent.wait_log("not paired yet: TLS with ")
            finally:
                server.shutdown(socket.SHUT_RDWR)
                server.close()
                thread.join()
            with self.listen():
                self.approve()
                self.assert_serves(agent)

    def test_name_that_does_not_resolve_yet(self):
        with self.start(DISPATCHER_HOST="dispatcher.invalid") as agent:
            agent.wait_log("not paired yet: the name 'dispatcher.invalid' does not resolve")
        self.assertEqual(agent.wait_exit(), 0)
        self.assert_not_paired()

    def test_denied(self):
        with self.start() as agent, self.listen():
            self.deployment.dispatcher("deny", self.request())
            self.assertEqual(agent.wait_exit(), 1)
        self.assertIn("ctrl-exec-agent: pairing denied: ", agent.log)
        self.assert_not_paired()

    def test_each_request_has_the_same_key_and_its_time(self):
        with self.listen():
            asking = self.deployment.start(
                [self.deployment.argv()[0].parent / "ctrl-exec-agent", "request-pairing", "--wait", "--timeout", "1",
                 "--dispatcher", self.host, "--config", self.volume.config], "request")
            with asking:
                first = poll("the first request", self.deployment.requests)[0]
                second = poll("the second request", lambda: next(
                    (r for r in self.deployment.requests() if r["id"] != first["id"]), None))
                self.assertEqual(first["csr"], second["csr"])
                asking.wait_log("not paired yet: the operator's answer did not come within 1 s")
        self.assertEqual(asking.wait_exit(), 0)  # SIGTERM

    def test_told_to_stop(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            with self.subTest(number), self.start() as agent:
                agent.wait_log("not paired yet: connection refused")
                agent.signal(number)
                self.assertEqual(agent.wait_exit(), 0)
                self.assertIn("stopped before it was paired", agent.log)
                self.assertNotIn(SERVING, agent.output)
        with self.listen() as listener, self.start() as agent:
            request_id = self.request()
            begin = time.monotonic()
            agent.stop()
            self.assertLess(time.monotonic() - begin, 5)
            listener.wait_output(f"^Pairing request {request_id} from web-01: gone$")
        self.assert_not_paired()

    def test_two_starts_on_one_volume(self):
        with self.listen(), self.start() as first:
            request_id = self.request()
            with self.start() as second:
                second.wait_log("not paired yet: another process asks for a certificate here")
                self.assertEqual([r["id"] for r in self.deployment.requests()], [request_id])
                self.approve(request_id)
                self.assert_serves(first)
                self.assert_serves(second)

    def test_second_start_takes_over_when_the_first_is_killed(self):
        with self.listen(), self.start() as first:
            request_id = self.request()
            with self.start() as second:
                second.wait_log("not paired yet: another process asks")
                first.kill()
                self.approve(self.request(other_than=request_id))
                self.assert_serves(second)

    def test_kill_around_the_approval(self):
        """Whatever moment it is, the next start serves or asks again, and nothing is half there."""
        chance = random.Random(7)
        for i in range(8):
            with self.subTest(i):
                volume = Volume(self.deployment, "agent", f"killed-{i}")
                volume.configure_with(*SETTINGS, DISPATCHER_HOST=self.host)
                with self.listen():
                    with volume.start(DISPATCHER_HOST=self.host) as killed:
                        self.approve()
                        time.sleep(chance.uniform(0, 0.03))  # the moment is what is tried
                        killed.kill()
                    paired = (volume.directory / "agent.crt").exists()
                    with volume.start(DISPATCHER_HOST=self.host) as agent:
                        if not paired:
                            self.approve()
                        self.assert_serves(agent)


class FullQueue(AgentContainer):
    settings = {"pairing_max_queue": 1}

    def test_waits_for_its_turn(self):
        with self.listen() as listener:
            other = self.deployment.agent("web-02")
            with other.request_pairing(listener) as asking:
                waiting = self.deployment.wait_request("web-02")["id"]
                with self.start() as agent:
                    agent.wait_log("not paired yet: the dispatcher refused the request: pairing queue full")
                    self.deployment.dispatcher("deny", waiting)
                    self.assertEqual(asking.wait_exit(), 1)
                    self.approve()
                    self.assert_serves(agent)


class AskOnce(AgentContainer):
    """AGENT_PAIRING=exit, as the documented script did it."""

    def test_approved_and_started_again(self):
        with self.listen(), self.start(AGENT_PAIRING="exit") as agent:
            self.approve()
            self.assertEqual(agent.wait_exit(), 0)
        self.assertEqual(entrypoint_lines(agent.output), [ASKING.format(self.host), SENT])
        with self.start(AGENT_PAIRING="exit") as again:
            self.assert_serves(again)
        self.assertEqual(entrypoint_lines(again.output), [SERVING])

    def test_denied(self):
        with self.listen(), self.start(AGENT_PAIRING="exit") as agent:
            self.deployment.dispatcher("deny", self.request())
            self.assertEqual(agent.wait_exit(), 1)
        self.assertNotIn(SENT, agent.output)
        self.assert_not_paired()

    def test_somebody_else_asks_on_this_volume(self):
        with self.listen(), self.start(AGENT_PAIRING="exit") as first:
            request_id = self.request()
            with self.start(AGENT_PAIRING="exit") as second:
                self.assertEqual(second.wait_exit(), 1)
            self.assertRegex(second.log, r"\[entrypoint\] ERROR: \S+/\.pairing\.lock is held by another process")
            self.approve(request_id)
            self.assertEqual(first.wait_exit(), 0)


class ExistingVolumes(AgentContainer):
    def test_dispatcher_must_be_named_also_when_paired(self):
        self.volume.put_old("agent.crt")
        done = self.deployment.execute(self.volume.argv(), 1)
        self.assertEqual(done.stderr, b"[entrypoint] ERROR: DISPATCHER_HOST environment variable not set.\n")
        self.assertEqual(done.stdout, b"")

    def test_old_volume_is_taken_over_as_it_is(self):
        self.volume.put_old("agent.crt", "agent.key", permissions=0o640)
        self.volume.put_old("ca.crt", "ctrl-exec-serial")
        text = (OLD / "agent.conf").read_text().replace("/etc/ctrl-exec-agent/", f"{self.volume.directory}/")
        self.volume.config.write_text(f"config_dir = {self.volume.directory}\nbind = 127.0.0.1\n"
                                      + text.replace("port = 7443", "port = 0"))
        (self.volume.directory / "scripts.conf").write_bytes((OLD / "scripts.conf").read_bytes())
        before = self.volume.snapshot()
        with self.start() as agent:
            agent.wait_listening()
        self.assertEqual(entrypoint_lines(agent.output), [SERVING])
        self.assertEqual(self.volume.snapshot(), before)

    def test_earlier_pairing_stays_until_a_new_one_has_succeeded(self):
        agent = self.deployment.agent("web-01")
        with self.listen() as listener:
            agent.pair(listener)
            paths = (agent.certificate, agent.key, agent.ca, agent.serial)
            before = [path.read_bytes() for path in paths]
            with agent.request_pairing(listener, "--wait") as asking:
                self.deployment.dispatcher("deny", self.request())
                self.assertEqual(asking.wait_exit(), 1)
            self.assertEqual([path.read_bytes() for path in paths], before)
            with agent.request_pairing(listener, "--wait") as asking:
                self.approve()
                self.assertEqual(asking.wait_exit(), 0)
            self.assertNotEqual(agent.certificate.read_bytes(), before[0])

    def test_volume_of_somebody_else(self):
        self.deployment.directory.chmod(0o755)
        done = self.deployment.execute(self.volume.argv(prefix=NOBODY, DISPATCHER_HOST=self.host), 1)
        self.assertEqual(done.stderr.decode().count("\n"), 1, done.stderr)
        self.assertIn(f"{self.volume.directory} belongs to uid 0, we run as uid 65534; chown it, or run as its owner",
                      done.stderr.decode())
        os.chown(self.volume.directory, 65534, 65534)
        with self.listen(), self.start(prefix=NOBODY) as agent:
            self.approve()
            self.assertEqual(agent.wait_listening().log.count("ERROR"), 0)

    def test_output_that_is_closed_loses_no_certificate(self):
        with self.listen(), self.start(prefix=["sh", "-c", 'exec "$@" >&-', "sh"]) as agent:
            self.approve()
            agent.wait_log("ACTION=start ")
            agent.signal(signal.SIGTERM)
            self.assertEqual(agent.wait_exit(), 1)  # it could not say what it did
        self.assertIn("ctrl-exec: cannot write the output", agent.log)
        with self.start() as again:
            self.assert_serves(again)


del AgentContainer  # it has no tests of its own

if __name__ == "__main__":
    unittest.main()
