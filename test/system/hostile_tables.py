"""What the tables of hostile input share: a row becomes a test of its own, and a daemon has after each row the open files
and children that it had before.
"""

import contextlib
import dataclasses
import os
import pathlib
import re
import select
import socket
import struct
import subprocess
import time

from processes import DEADLINE, poll
from wire import TlsClient, split_address

CLIENT_HELLO = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"  # the beginning of one


def tests_of(*tables):
    """Decorates a test case: each row becomes a test `test_<its name>`, which calls check(row)."""

    def decorate(case):
        for row in (row for table in tables for row in table):
            name = "test_" + re.sub(r"\W+", "_", row.name).strip("_")
            if hasattr(case, name):
                raise ValueError(f"{case.__name__}: two rows are named {row.name!r}")
            setattr(case, name, lambda self, row=row: self.check(row))
        return case

    return decorate


def footprint(pid):
    """(open files, children) of a process."""
    children = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return len(os.listdir(f"/proc/{pid}/fd")), len(children)


def open_files(pid):
    """What the open files of a process are; what it closes meanwhile is left out."""
    for file in pathlib.Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            yield os.readlink(file)


def wait_footprint(daemon, expected):
    """Until the daemon has just so many open files and children: what it closes, it closes a moment later.

    But not so late that a forgotten connection is ended by the 10 s that it has for its handshake.
    """
    try:
        poll("footprint", lambda: footprint(daemon.pid) == expected, seconds=8)
    except AssertionError:
        files = sorted(open_files(daemon.pid))
        raise AssertionError(f"(open files, children) were {expected}, are {footprint(daemon.pid)}: {files}") from None


def wait_without_peers(daemon):
    """The footprint of a daemon that has no connection open, only the socket on which it listens.

    An agent's control socket is a Unix socket and does not count.
    """

    def sockets():
        unix = set(re.findall(r" (\d+)(?: @?\S+)?$", pathlib.Path("/proc/net/unix").read_text(), re.M))
        inodes = [file[len("socket:["):-1] for file in open_files(daemon.pid) if file.startswith("socket:[")]
        return sum(inode not in unix for inode in inodes)

    poll("one socket", lambda: sockets() == 1)
    return footprint(daemon.pid)


# --- speaking to a port ------------------------------------------------------------------------------------------


class Client(TlsClient):
    """A TLS connection that can also be broken below TLS."""

    def return_goodbye(self):
        """After the other side's close_notify: it then need not wait for ours."""
        self.end()
        self._flush()

    def send_raw(self, data):
        self._socket.sendall(data)

    def recv_raw(self):
        return self._socket.recv(65536)

    def wait_closed(self):
        """Until the connection has ended in any way."""
        with contextlib.suppress(ConnectionResetError):
            while self.recv_raw():
                pass

    def half_close(self):
        """An end without close_notify, as of a peer that died or of somebody who cuts the connection."""
        self._socket.shutdown(socket.SHUT_WR)

    def reset(self):
        reset(self._socket)


def reset(connection):
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


class Port:
    """A port under test. `good` asks it something right and fails when the answer is not."""

    def __init__(self, address, good, authority=None, identities=None):
        self.address, self.good = address, good
        self._authority, self._identities = authority, identities or {"trusted": None}

    def tcp(self):
        connection = socket.create_connection(split_address(self.address), DEADLINE)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection

    def tls(self, identity="trusted"):
        return Client(self.address, self._authority, self._identities[identity])

    def ask(self, data, end=False, identity="trusted"):
        """(status, body) of the only answer, after which the port says goodbye; (0, b"") when there is none."""
        with self.tls(identity) as client:
            client.send(data)
            if end:
                client.end()
            said = client.read_to_end()
            client.return_goodbye()
            return parse(said)

    def ask_raw(self, data, end=True):
        """What comes back for bytes that are no TLS, until the port closes."""
        with self.tcp() as connection:
            connection.sendall(data)
            if end:
                connection.shutdown(socket.SHUT_WR)
            return read_raw(connection)

    def s_client(self, *options, identity=None):
        """What OpenSSL says about a connection with these options, which sends no request."""
        done = subprocess.run([*self.s_client_argv(*options, identity=identity), "-ign_eof"], stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=DEADLINE, check=False)
        return done.stdout.decode(errors="replace")

    def s_client_argv(self, *options, identity):
        argv = ["openssl", "s_client", "-connect", self.address, *options]
        if identity:
            certificate, key = self._identities[identity]
            argv += ["-cert", certificate, "-key", key]
        return argv


def parse(said):
    if not said:
        return 0, b""
    head, _, body = said.partition(b"\r\n\r\n")
    length = re.search(rb"\r\nContent-Length: (\d+)(\r\n|$)", head)
    if not length or int(length[1]) != len(body):
        raise AssertionError(f"not one whole answer: {said[:2000]!r}")
    return int(head.split(b" ")[1]), body


def read_raw(connection):
    data = b""
    try:
        while more := connection.recv(65536):
            data += more
    except ConnectionResetError:
        pass  # it closed with bytes of ours unread
    return data


# --- rows --------------------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Row:
    name: str  # says what is wrong
    talk: object  # talk(port) returns what was heard
    said: object  # what must be heard; <DIR>, <VERSION> and <EXPIRY> stand for what differs from run to run
    log: str = ""  # a line of the log must match; all of them name the reason
    runs: bool = False  # whether a script is started


def filled(said, facts):
    """What is expected, with the facts of this daemon; in whatever tuple it is."""
    if isinstance(said, tuple):
        return tuple(filled(part, facts) for part in said)
    if isinstance(said, bytes):
        for name, fact in facts.items():
            said = said.replace(name, fact)
    return said


class PortTable:
    """A test case for the rows of a port. It has `daemon`, `port`, `good_request` and `quiet`, the daemon's footprint."""

    maxDiff = 2000
    facts = {}  # what stands for what in rows

    def check(self, row):
        """Returns what was logged meanwhile."""
        heard_before = len(self.daemon.log)
        wait_footprint(self.daemon, self.quiet)
        self.assertEqual(row.talk(self.port), filled(row.said, self.facts))
        if row.log:
            poll(f"log: {row.log}\n{self.daemon.log[heard_before:]}",
                 lambda: re.search(row.log, self.daemon.log[heard_before:], re.M), seconds=10)
        self.good_request()
        wait_footprint(self.daemon, self.quiet)
        return self.daemon.log[heard_before:]


def alert(description):
    """A fatal alert as it is on the wire before a version was agreed on (RFC 8446, section 6)."""
    return b"\x15\x03\x01\x00\x02\x02" + bytes([description])


def sixty_four_silent(port):
    connections = [port.tcp() for _ in range(64)]
    port.good()
    for connection in connections:
        connection.close()


def reset_at_once(port):
    reset(port.tcp())


# --- callers that take too long ----------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Slow:
    """A caller that stays; `limit` seconds after its first byte at the latest it must be cut off."""

    name: str
    open: object  # open(port) returns the connection, a socket or a Client
    limit: int
    drip: bytes = b""  # sent again and again: nobody may stay for ever by sending a little now and then


def hello_in_drops(port):
    connection = port.tcp()
    connection.sendall(CLIENT_HELLO)
    return connection


def after_handshake(data):
    def open_connection(port):
        client = port.tls()
        if data:
            client.send(data)
        return client

    return open_connection


class SlowCallers:
    """Opens all of them together; `ends` is, by name, after how many seconds each was cut off."""

    def __init__(self, port, rows):
        self.ends = {}
        self._started = time.monotonic()
        self._open = {row: row.open(port) for row in rows}
        self._end = self._started + max(row.limit for row in rows) + 15

    def watch(self):
        while self._open and time.monotonic() < self._end:
            readable, _, _ = select.select(self._open.values(), [], [], 0.5)
            for row, connection in list(self._open.items()):
                if connection in readable:
                    self._hear(row, connection)
                elif row.drip:
                    self._drip(row, connection)
        for connection in self._open.values():
            connection.close()

    def _hear(self, row, connection):
        """Nothing is expected from the agent any more but its end; other bytes are TLS session tickets."""
        if read_some(connection):
            return
        connection.close()
        del self._open[row]
        self.ends[row.name] = time.monotonic() - self._started

    @staticmethod
    def _drip(row, connection):
        with contextlib.suppress(OSError):  # it was just cut off: then that is readable
            connection.send(row.drip)


def read_some(connection):
    try:
        return connection.recv(65536) if isinstance(connection, socket.socket) else connection.recv_raw()
    except ConnectionResetError:
        return b""


class SlowTable:
    """A test case for slow callers, after they were watched: `ends` is that of SlowCallers."""

    def check(self, row):
        self.assertIn(row.name, self.ends, "it was never cut off")
        self.assertGreater(self.ends[row.name], row.limit - 1, "who is slow but honest has this long")
        self.assertLess(self.ends[row.name], row.limit + 10)
