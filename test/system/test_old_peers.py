"""The stand-ins for old peers are as narrow as what they stand for: a test against them can fail."""

import json
import socket
import ssl
import threading
import unittest

from old_peers import (CSR, HEADER_LINE, OLD, OLD_AGENT, PIPE, Hangs, NotUnderstood, OldAgent, OldDispatcher,
                       OldListener, OldPairingAgent, Script, old_answer)
from processes import poll
from wire import request, split_address

FINE = {"script": "true", "exit": 0, "stdout": "", "stderr": "", "reqid": "r"}


class Agent(unittest.TestCase):
    def setUp(self):
        self.caller = OldDispatcher()

    def test_body_in_two_records_is_invalid_json(self):
        with OldAgent() as agent:
            whole = request("POST", "/run", {"script": "true", "args": [], "reqid": "r"})
            self.assertEqual(self.caller.send(agent.address, whole).json["exit"], 0)
            self.assertEqual(self.caller.run(agent.address, "true", ["x" * 20_000])["error"], "invalid JSON")

    def test_serial_is_compared_as_text(self):
        for trusted, expected in (("02", "ok"), ("2", None), ("0002", None)):
            with OldAgent(trusted=trusted) as agent:
                self.assertEqual(self.caller.ping(agent.address).get("status"), expected)

    def test_stray_tcp_connection_ends_it(self):
        with OldAgent() as agent:
            socket.create_connection(split_address(agent.address)).close()
            poll("it is dead", lambda: agent.died_of)
            with self.assertRaises(OSError):
                self.caller.ping(agent.address)

    def test_handshake_under_way_stalls_everybody(self):
        with OldAgent() as agent, socket.create_connection(split_address(agent.address)) as idle:
            poll("it waits for the handshake", lambda: agent.connections == 1)
            with socket.create_connection(split_address(agent.address), 0.3) as plain, \
                    self.assertRaises(TimeoutError):
                ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).wrap_socket(plain, server_hostname="agent1")
            self.assertEqual(agent.connections, 1)
            idle.shutdown(socket.SHUT_RDWR)

    def test_closes_without_a_byte(self):
        scripts = {"ignores-input": Script(reads_input=False), "binary": Script(stdout=b"\xff")}
        with OldAgent(scripts=scripts) as agent:
            for script in scripts:
                with self.subTest(script), self.assertRaisesRegex(NotUnderstood, "closed within the head"):
                    self.caller.run(agent.address, script)

    def test_more_connections_than_it_likes_are_closed_without_a_byte(self):
        with OldAgent(connections_a_minute=2) as agent:
            for _ in range(2):
                self.assertEqual(self.caller.ping(agent.address)["status"], "ok")
            with self.assertRaises((NotUnderstood, OSError)):
                self.caller.ping(agent.address)

    def test_errors_that_a_script_writes_beyond_a_pipe_hang_it(self):
        with OldAgent(scripts={"noisy": Script(stderr=b"x" * (PIPE + 1))}) as agent, \
                socket.create_connection(split_address(agent.address), 0.5) as plain:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname = False
            context.load_verify_locations(OLD / "ca.crt")
            context.load_cert_chain(OLD / "ctrl-exec.crt", OLD / "ctrl-exec.key")
            with context.wrap_socket(plain) as connection:
                connection.sendall(request("POST", "/run", {"script": "noisy", "args": [], "reqid": "r"}))
                with self.assertRaises(TimeoutError):
                    connection.recv(1)


class Dispatcher(unittest.TestCase):
    def result_of(self, data):
        with OldAgent(answer=data) as agent:
            return OldDispatcher().run(agent.address, "true")

    def test_any_2xx_chunked_or_without_length_is_understood(self):
        body = json.dumps(FINE).encode()
        for data in (old_answer(body), old_answer(body, b"202 Whatever"), b"HTTP/1.0 299 x\r\n\r\n" + body,
                     b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)):
            with self.subTest(data):
                self.assertEqual(self.result_of(data)["exit"], 0)

    def test_header_line_over_its_limit_is_not_understood(self):
        fits = b"X: " + b"y" * (HEADER_LINE - 3)
        whole = old_answer(FINE)
        self.assertEqual(self.result_of(whole.replace(b"\r\n\r\n", b"\r\n" + fits + b"\r\n\r\n", 1))["exit"], 0)
        with self.assertRaisesRegex(NotUnderstood, "header line"):
            self.result_of(whole.replace(b"\r\n\r\n", b"\r\n" + fits + b"y\r\n\r\n", 1))

    def test_403_becomes_forbidden(self):
        self.assertEqual(self.result_of(OldAgent.MISMATCH)["error"], "forbidden: serial mismatch")

    def test_result_beyond_a_pipe_hangs_it(self):
        self.assertEqual(len(self.result_of(old_answer({**FINE, "stdout": "x" * 60_000}))["stdout"]), 60_000)
        with self.assertRaises(Hangs):
            self.result_of(old_answer({**FINE, "stdout": "x" * PIPE}))


class Pairing(unittest.TestCase):
    def ask(self, *answers, csr="csr"):
        """What an old agent gets from an old listener that sends these bytes."""
        read = threading.Event()

        def slowly(_):
            for data in answers:
                yield data
                read.wait(1)  # so that the next bytes come alone

        with OldListener(slowly, OLD_AGENT) as listener, OldPairingAgent(listener.address, "web-01", csr) as agent:
            try:
                return agent.ask()
            finally:
                read.set()

    def test_answer_in_one_record_is_taken(self):
        self.assertEqual(self.ask(old_answer({"status": "pending"})).json, {"status": "pending"})

    def test_split_answer_is_not_understood(self):
        whole = old_answer({"status": "pending"})
        for cut in (1, whole.index(b"{"), len(whole) - 1):
            with self.subTest(cut), self.assertRaisesRegex(NotUnderstood, "not one answer"):
                self.ask(whole[:cut], whole[cut:])

    def test_two_answers_in_one_record_and_no_length_are_not_understood(self):
        whole = old_answer({"status": "pending"})
        for data in (whole + whole, b"HTTP/1.0 200 OK\r\n\r\n{}"):
            with self.subTest(data), self.assertRaisesRegex(NotUnderstood, "not one answer"):
                self.ask(data)

    def test_listener_refuses_a_request_that_is_too_long(self):
        pending = old_answer({"status": "pending"})
        self.assertEqual(self.ask(pending, csr="x" * CSR).json["status"], "pending")
        self.assertEqual(self.ask(pending, csr="x" * (CSR + 1)).json["status"], "error")


if __name__ == "__main__":
    unittest.main()
