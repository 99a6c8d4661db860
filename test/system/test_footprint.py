"""What the program takes while it waits: memory at rest and with many connections, and the time of its start.

The figures are those of the release build: sanitizers have memory of their own."""

import pathlib
import re
import socket
import ssl
import statistics
import subprocess
import unittest

from api import call_once, serve_api
from deployment import BIN, BUILD, Deployment
from fleet import program
from processes import poll
from wire import split_address

CONNECTIONS = 256
PING = (b"POST /ping HTTP/1.1\r\nHost: agent\r\nX-Ctrl-Exec: 1\r\nContent-Type: application/json\r\n"
        b"Content-Length: 2\r\n\r\n{}")


def resident(pid, what="VmRSS"):
    """Megabytes."""
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(re.search(rf"^{what}:\s+(\d+) kB$", status, re.M)[1]) * 1024 / 1e6


def times(words, count):
    """Of each run, in seconds, measured by a process that is small itself."""
    lines = subprocess.run([str(word) for word in (program(), "measure", count, "/dev/null", *words)], check=True,
                           capture_output=True, text=True, timeout=120).stdout.splitlines()
    return [float(re.search(r'"wall":([\d.e-]+)', line)[1]) for line in lines]


def connect(agent):
    """A connection of the dispatcher's that has been used, and is kept."""
    ca = agent.deployment.ca
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.load_verify_locations(ca / "ca.crt")
    context.load_cert_chain(ca / "ctrl-exec.crt", ca / "ctrl-exec.key")
    return [exchange(context.wrap_socket(socket.create_connection(split_address(agent.address), 40)))
            for _ in range(CONNECTIONS)]


def exchange(connection):
    connection.sendall(PING)
    answer = b""
    while not answer.endswith(b"}"):
        piece = connection.recv(65536)
        if not piece:
            raise AssertionError(f"the agent has closed the connection after {answer}")
        answer += piece
    return connection


class Rest(unittest.TestCase):
    def test_an_agent_that_has_let_go_of_its_memory_serves_again(self):
        with Deployment() as deployment:
            agent = deployment.paired_agent("resting").serve()
            for _ in range(2):
                deployment.dispatcher("ping", agent.target)
                used = resident(agent.daemon.pid, "RssFile")
                poll("at rest", lambda: resident(agent.daemon.pid, "RssFile") < used)


class Release(unittest.TestCase):
    def test_an_agent_at_rest_takes_less_than_4_megabytes(self):
        with Deployment() as deployment:
            agent = deployment.paired_agent("resting").serve()
            poll("at rest", lambda: resident(agent.daemon.pid) < 4.0)  # just after it has said that it listens
            deployment.dispatcher("ping", agent.target)
            poll("at rest again", lambda: resident(agent.daemon.pid) < 4.0)

    def test_the_api_at_rest_takes_less_than_8_megabytes(self):
        with Deployment(api_port=0) as deployment:
            api = serve_api(deployment)
            self.assertEqual(call_once(api, "GET", "/livez")[0], 200)
            self.assertLess(resident(api.pid), 8.0)

    def test_256_connections_of_an_agent_take_less_than_24_megabytes_and_nothing_more_while_they_are_idle(self):
        with Deployment() as deployment:
            agent = deployment.paired_agent("busy").serve()
            connections = connect(agent)
            open_now = resident(agent.daemon.pid)
            self.assertLess(open_now, 24.0)
            for _ in range(3):  # each of them once more: nothing is kept of a request
                for connection in connections:
                    exchange(connection)
            self.assertLess(resident(agent.daemon.pid), open_now + 0.5)
            for connection in connections:
                connection.close()
            poll("what they took is given back", lambda: resident(agent.daemon.pid) < 6.0)

    def test_the_version_takes_less_than_5_ms_more_than_a_bare_program(self):
        # By turns, so that other work on the machine meets both; the least of several is what it takes by itself.
        over = []
        for _ in range(10):
            ours, bare = times([BIN / "ctrl-exec", "--version"], 20), times(["/bin/true"], 20)
            over.append(min(ours) - min(bare))
        self.assertLess(statistics.median(over) * 1000, 5)


if BUILD != "release":
    del Release

if __name__ == "__main__":
    unittest.main()
