"""Speaks to an agent or a pairing port byte by byte: OpenSSL through Python's ssl module, s_client and curl."""

import dataclasses
import json
import pathlib
import socket
import ssl
import subprocess
import sys

from processes import DEADLINE


@dataclasses.dataclass
class Answer:
    head: bytes  # status line and headers, with the blank line
    body: bytes

    @property
    def status_line(self):
        return self.head.split(b"\r\n")[0].decode()

    @property
    def status(self):
        return int(self.status_line.split()[1])

    @property
    def headers(self):
        lines = self.head.decode().split("\r\n")[1:-2]
        return {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}

    @property
    def json(self):
        return json.loads(self.body)


def split_address(address):
    host, _, port = address.rpartition(":")
    return host, int(port)


class TlsClient:
    """One TLS connection. `identity`: (certificate, key) files; without `authority` the server is not checked."""

    def __init__(self, address, authority=None, identity=None, version=None):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.options &= ~ssl.OP_IGNORE_UNEXPECTED_EOF  # an end without close_notify is an error
        context.check_hostname = False
        context.verify_mode = ssl.CERT_REQUIRED if authority else ssl.CERT_NONE
        if authority:
            context.load_verify_locations(authority)
        if identity:
            context.load_cert_chain(*identity)
        if version:
            context.minimum_version = context.maximum_version = version
        # Not a wrapped socket: only so can the end of our side be told while answers are still to come.
        self._socket = socket.create_connection(split_address(address), DEADLINE)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._from_server, self._to_server, self._unread = ssl.MemoryBIO(), ssl.MemoryBIO(), b""
        self._line = b""  # of a body of lines: what has come of the next ones
        self._received = bytearray()  # as it came, encrypted
        self._tls = context.wrap_bio(self._from_server, self._to_server)
        self._do(self._tls.do_handshake)

    def _do(self, operation, *arguments):
        while True:
            try:
                return operation(*arguments)
            except ssl.SSLWantReadError:
                self._flush()
                if data := self._socket.recv(65536):
                    self._from_server.write(data)
                    self._received += data
                else:
                    self._from_server.write_eof()
            finally:
                self._flush()

    def _flush(self):
        if data := self._to_server.read():
            self._socket.sendall(data)

    def send(self, data):
        self._do(self._tls.write, data)

    def end(self):
        """Says with close_notify that nothing more comes; answers can still be read."""
        try:
            self._tls.unwrap()
        except ssl.SSLWantReadError:
            self._flush()  # without waiting for the other close_notify

    def _more(self):
        try:
            data = self._do(self._tls.read, 65536)
        except ssl.SSLZeroReturnError:
            return 0
        self._unread += data
        return len(data)

    @property
    def peer_certificate(self):
        """The server's certificate, DER."""
        return self._tls.getpeercert(True)

    def fileno(self):
        return self._socket.fileno()

    def peer_has_read(self):
        """Whether nothing that was sent waits in the receive queue of the other end, on this machine (proc(5))."""
        def address(name):
            return f"{int.from_bytes(socket.inet_aton(name[0]), sys.byteorder):08X}:{name[1]:04X}"

        ends = [address(self._socket.getpeername()), address(self._socket.getsockname())]
        for line in pathlib.Path("/proc/net/tcp").read_text().splitlines():
            fields = line.split()
            if fields[1:3] == ends:
                return int(fields[4].partition(":")[2], 16) == 0
        raise AssertionError("the other end is not on this machine, or has closed")

    def read_head(self):
        """The head of an answer, or an interim one."""
        while b"\r\n\r\n" not in self._unread:
            if not self._more():
                raise AssertionError(f"closed within the head of an answer: {self._unread!r}")
        head, _, self._unread = self._unread.partition(b"\r\n\r\n")
        return Answer(head + b"\r\n\r\n", b"")

    def read_answer(self):
        """Takes one whole answer, with exactly the Content-Length bytes of its body; interim ones are skipped."""
        answer = self.read_head()
        while answer.status < 200:
            answer = self.read_head()
        length = int(answer.headers["content-length"])
        while len(self._unread) < length:
            if not self._more():
                raise AssertionError(f"closed within the body of an answer: {self._unread!r}")
        answer.body, self._unread = self._unread[:length], self._unread[length:]
        return answer

    def read_line(self):
        """One line of a chunked body of lines; None at its end."""
        while b"\n" not in self._line:
            size = self._until(b"\r\n")
            while len(self._unread) < int(size, 16) + 2:
                if not self._more():
                    raise AssertionError(f"closed within a chunk: {self._unread!r}")
            self._line += self._unread[:int(size, 16)]
            self._unread = self._unread[int(size, 16) + 2:]
            if int(size, 16) == 0:
                return None
        line, _, self._line = self._line.partition(b"\n")
        return line

    def _until(self, end):
        while end not in self._unread:
            if not self._more():
                raise AssertionError(f"closed before {end!r}: {self._unread!r}")
        piece, _, self._unread = self._unread.partition(end)
        return piece

    def read_to_end(self):
        """Everything until the server closes, which it must do with close_notify."""
        while self._more():
            pass
        data, self._unread = self._unread, b""
        return data

    def only_answer(self):
        """The answer after which the server closes."""
        answer = self.read_answer()
        rest = self.read_to_end()
        if rest:
            raise AssertionError(f"more came after the answer: {rest!r}")
        return answer

    def records(self):
        """How many TLS records of application data have come; TLS 1.2 only, as 1.3 hides their types."""
        count = at = 0
        while at < len(self._received):
            count += self._received[at] == 23
            at += 5 + int.from_bytes(self._received[at + 3:at + 5], "big")
        return count

    def close(self):
        self._socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def request(method, target, body=None, *headers, version="1.1"):
    """The bytes of a request. `body`: bytes, or something that becomes JSON."""
    lines = [f"{method} {target} HTTP/{version}", *headers]
    if body is not None:
        if not isinstance(body, bytes):
            body = json.dumps(body).encode()
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + (body or b"")


def curl(url, *options, data=None):
    """(exit code, status, body, what -v said). `data` is sent as it is."""
    argv = ["curl", "--silent", "--show-error", "--verbose", "--noproxy", "*", "--max-time", str(DEADLINE),
            "--write-out", "\n%{http_code}", *[str(option) for option in options]]
    if data is not None:
        argv += ["--data-binary", "@-"]
    done = subprocess.run([*argv, url], input=data or b"", capture_output=True, timeout=2 * DEADLINE, check=False)
    body, _, status = done.stdout.rpartition(b"\n")
    return done.returncode, int(status), body, done.stderr.decode(errors="replace")


def s_client(address, data, *options):
    """(exit code, what the server sent and s_client said, as bytes) of `openssl s_client`."""
    done = subprocess.run(["openssl", "s_client", "-quiet", "-ign_eof", "-connect", address,
                           *[str(option) for option in options]],
                          input=data, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=DEADLINE, check=False)
    return done.returncode, done.stdout


def make_csr(name, *options):
    """A certificate request of a new key, PEM."""
    return subprocess.run(["openssl", "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                           "-keyout", "/dev/null", "-subj", f"/CN={name}", *options],
                          check=True, capture_output=True, timeout=30).stdout.decode()
