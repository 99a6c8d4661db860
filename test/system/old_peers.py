"""Stand-ins for peers of version 0.8.4, as narrow as the real ones: what breaks those breaks these.

An OldAgent and an OldListener are servers for our commands, an OldDispatcher and an OldPairingAgent call our daemons.
None of them repairs anything for its peer; test_old_peers.py proves that each can be hurt.
"""

import contextlib
import dataclasses
import hashlib
import json
import pathlib
import shutil
import socket
import ssl
import threading
import typing

from deployment import Deployment
from processes import DEADLINE
from wire import split_address

OLD = pathlib.Path(__file__).resolve().parent.parent / "data" / "old"
RECORD = 16 * 1024  # bytes that fit into one TLS record
PIPE = 64 * 1024  # bytes that fit into a pipe nobody reads
HEADER_LINE = 8192
CSR = 10_240
BASELINE_RUN = ["script", "exit", "stdout", "stderr", "reqid"]
KINDS = {"ecdsa": ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"], "ed25519": ["-algorithm", "ED25519"],
         "rsa": ["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"]}


class Identity(typing.NamedTuple):
    certificate: pathlib.Path
    key: pathlib.Path


OLD_AGENT = Identity(OLD / "agent.crt", OLD / "agent.key")
OLD_DISPATCHER = Identity(OLD / "ctrl-exec.crt", OLD / "ctrl-exec.key")


class OldVolumes(Deployment):
    """Our dispatcher over the files of an old one: its CA, its X.509 v1 certificate of RSA-4096 with serial 02."""

    def __init__(self, **settings):
        super().__init__(set_up=False, **settings)

    def __enter__(self):
        super().__enter__()
        for name, permissions in (("ca.key", 0o600), ("ca.crt", 0o644), ("ca.serial", 0o600), ("ctrl-exec.crt", 0o644),
                                  ("ctrl-exec.key", 0o600)):
            shutil.copy(OLD / name, self.ca / name)
            (self.ca / name).chmod(permissions)
        return self

    def make_key(self, kind, name):
        key = self.directory / f"{name}.key"
        self.execute(["openssl", "genpkey", *KINDS[kind], "-out", key])
        key.chmod(0o600)
        return key

    def make_request(self, key, name):
        return self.execute(["openssl", "req", "-new", "-key", key, "-subj", f"/CN={name}"]).stdout.decode()

    def sign(self, csr, serial, *extensions):
        """A certificate by the old CA, as its own program would make it: v1 when there are no extensions."""
        options = []
        if extensions:
            path = self.directory / "extensions"
            path.write_text("".join(f"{line}\n" for line in extensions))
            options = ["-extfile", path]
        return self.execute(["openssl", "x509", "-req", "-CA", OLD / "ca.crt", "-CAkey", OLD / "ca.key", "-set_serial",
                             f"0x{serial}", "-days", "365", "-sha256", *options], input=csr.encode()).stdout.decode()

    def identity(self, name, kind="ecdsa", serial="03", *extensions):
        key = self.make_key(kind, name)
        certificate = self.directory / f"{name}.crt"
        certificate.write_text(self.sign(self.make_request(key, name), serial, *extensions))
        return Identity(certificate, key)


def old_answer(body, status=b"200 OK"):
    """An answer's bytes as an old peer sends them. `body`: bytes, or something that becomes JSON."""
    if not isinstance(body, bytes):
        body = json.dumps(body, separators=(",", ":")).encode()
    return (b"HTTP/1.0 " + status + b"\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body)
            + body)


def header_lines(head):
    """[(name, value)] of a head's lines after the first, in their order."""
    pairs = (line.partition(b":") for line in head.split(b"\r\n")[1:] if line)
    return [(name.decode(), value.strip().decode()) for name, _, value in pairs]


def value_of(headers, name):
    return next((value for each, value in headers if each.lower() == name), "")


class OneByOne:
    """A TLS server on loopback that does everything in its accept loop, handshakes too."""

    def __init__(self, identity, authority=None):
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(*identity)
        if authority:
            self._context.load_verify_locations(authority)
            self._context.verify_mode = ssl.CERT_REQUIRED
        self._open = self._mistake = None
        self.connections = 0
        self.died_of = None

    def __enter__(self):
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.address = f"127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()
        return self

    def _serve(self):
        while True:
            try:
                plain, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            plain.settimeout(DEADLINE)
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # or a close could overtake an answer
            with self._context.wrap_socket(plain, server_side=True, do_handshake_on_connect=False) as self._open:
                try:
                    self._open.do_handshake()
                except OSError as problem:  # a real one can end here; this one always does
                    self.died_of = problem
                    self._listener.close()
                    return
                try:
                    self.converse(self._open)
                except OSError:
                    pass  # the peer has gone away
                except Exception as mistake:
                    self._mistake = mistake  # a request that it cannot even read is the test's failure

    def converse(self, connection):
        raise NotImplementedError

    def __exit__(self, kind, *_):
        for each in (self._listener, self._open):
            if each:
                with contextlib.suppress(OSError):
                    socket.socket.shutdown(each, socket.SHUT_RDWR)  # of the connection, whatever TLS thinks
        self._listener.close()
        self._thread.join()
        if self._mistake and kind is None:
            raise self._mistake


def read_head(connection):
    """Reads up to the blank line as CRLFCRLF and not one byte further; b"" when the peer closes before."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        byte = connection.recv(1)
        if not byte:
            return b""
        head += byte
    return head


def say_goodbye(connection):
    """Sends close_notify without waiting for the peer's."""
    connection.settimeout(0)
    with contextlib.suppress(OSError):
        connection.unwrap()


@dataclasses.dataclass
class Script:
    exit: int = 0
    stdout: bytes = b""
    stderr: bytes = b""
    reads_input: bool = True


@dataclasses.dataclass
class Request:
    line: str
    headers: list
    body: bytes  # of one TLS record: less than was announced when it came in several

    @property
    def json(self):
        return json.loads(self.body)


class OldAgent(OneByOne):
    """Serves `scripts` ({name: Script}) to the dispatcher whose serial is, as text, `trusted`.

    `answer`, bytes or a function of the Request that makes them, replaces its own answers. `connections_a_minute`:
    further ones are closed after the handshake. `goodbye`: whether it sends close_notify before it closes.
    """

    def __init__(self, identity=OLD_AGENT, authority=OLD / "ca.crt", trusted="02", scripts=None, answer=None,
                 connections_a_minute=1000, goodbye=True, hostname="agent1"):
        super().__init__(identity, authority)
        self._trusted, self._answer, self._hostname = trusted, answer, hostname
        self._scripts = {"true": Script()} if scripts is None else scripts
        self._limit, self._goodbye = connections_a_minute, goodbye
        self.requests = []

    def converse(self, connection):
        if self.connections <= self._limit:
            self._serve_request(connection)
        if self._goodbye:
            say_goodbye(connection)

    def _serve_request(self, connection):
        head = read_head(connection)
        if not head:
            return
        headers = header_lines(head)
        length = int(value_of(headers, "content-length") or 0)
        body = connection.recv(length) if length else b""  # one read takes from one record
        request = Request(head.partition(b"\r\n")[0].decode(), headers, body)
        self.requests.append(request)
        if self._answer is None:
            data = self._own_answer(connection, request)
        else:
            data = self._answer(request) if callable(self._answer) else self._answer
        if data:
            connection.sendall(data)

    def _own_answer(self, connection, request):
        trusts = connection.getpeercert()["serialNumber"].lower() == self._trusted
        method, target, _ = request.line.split(" ")
        if (method, target) == ("POST", "/run"):
            return self._run(connection, request) if trusts else self.MISMATCH
        if (method, target) == ("POST", "/ping"):
            return self._ping(request) if trusts else self.MISMATCH
        return old_answer({"error": "not found"}, b"404 Error")

    MISMATCH = old_answer({"error": "serial mismatch", "status": "forbidden"}, b"403 Error")

    def _ping(self, request):
        return old_answer({"version": "0.8.4", "reqid": request.json["reqid"], "host": self._hostname, "status": "ok",
                           "expiry": "Feb 24 12:37:06 2029 GMT"})

    def _run(self, connection, request):
        try:
            asked = request.json
        except ValueError:
            return old_answer({"exit": -1, "error": "invalid JSON", "script": ""})
        script = self._scripts.get(asked["script"])
        if script is None:
            return old_answer({"exit": -1, "error": "script not permitted", "script": asked["script"],
                               "reqid": asked["reqid"]})
        if len(script.stderr) > PIPE:
            connection.recv(1)  # it reads stdout to its end, and the script waits for a reader of stderr
            return b""
        try:
            output, errors = script.stdout.decode(), script.stderr.decode()
        except UnicodeDecodeError:
            return b""
        if not script.reads_input:
            return b""
        return old_answer({"exit": script.exit, "script": asked["script"], "stderr": errors, "reqid": asked["reqid"],
                           "stdout": output})


class Hangs(Exception):
    """The old dispatcher would wait for good."""


class NotUnderstood(Exception):
    """The old peer fails on what it received."""


@dataclasses.dataclass
class OldAnswer:
    line: str
    headers: list
    body: bytes
    protocol: typing.Optional[str] = None  # that ALPN agreed on

    @property
    def status(self):
        return int(self.line.split()[1])

    @property
    def json(self):
        return json.loads(self.body)


class OldDispatcher:
    """Calls an agent as libwww-perl does: HTTP/1.1 with its headers, SNI of the host's name, no ALPN, one request."""

    def __init__(self, identity=OLD_DISPATCHER, authority=OLD / "ca.crt", name="agent2"):
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self._context.options &= ~ssl.OP_IGNORE_UNEXPECTED_EOF  # an end without close_notify is an error
        self._context.check_hostname = False
        self._context.load_verify_locations(authority)
        self._context.load_cert_chain(*identity)
        self._name = name

    def head(self, method, target, length, turn=0):
        """`turn`: by how many places the headers are rotated; the old program's order changes from run to run."""
        headers = [("TE", "deflate,gzip;q=0.3"), ("Connection", "TE, close"), ("Host", f"{self._name}:7443"),
                   ("User-Agent", "libwww-perl/6.68")]
        if length:
            headers += [("Content-Length", length), ("Content-Type", "application/json")]
        turn %= len(headers)
        lines = [f"{name}: {value}\r\n" for name, value in headers[turn:] + headers[:turn]]
        return (f"{method} {target} HTTP/1.1\r\n" + "".join(lines) + "\r\n").encode()

    def call(self, address, method, target, body=b"", turn=0):
        return self.send(address, self.head(method, target, len(body), turn) + body)

    def send(self, address, data):
        return self.exchange(socket.create_connection(split_address(address), DEADLINE), data)

    def exchange(self, plain, data):
        """Sends the bytes over a TCP connection, which is closed then, and returns the answer."""
        with plain, self._context.wrap_socket(plain, server_hostname=self._name) as connection:
            connection.sendall(data)
            return self._read_answer(connection)

    def _read_answer(self, connection):
        with connection.makefile("rb") as stream:
            lines = []
            while True:
                line = stream.readline(HEADER_LINE + 3)
                if len(line.rstrip(b"\r\n")) > HEADER_LINE:
                    raise NotUnderstood(f"a header line over {HEADER_LINE} bytes")
                if not line.endswith(b"\n"):
                    raise NotUnderstood(f"closed within the head: {lines} {line}")
                if line in (b"\r\n", b"\n"):
                    break
                lines.append(line.rstrip(b"\r\n"))
            headers = header_lines(b"\r\n".join(lines))
            body = self._read_body(stream, headers)
            if stream.read():
                raise NotUnderstood("more than one answer")
        return OldAnswer(lines[0].decode(), headers, body, connection.selected_alpn_protocol())

    @staticmethod
    def _read_body(stream, headers):
        if value_of(headers, "transfer-encoding") == "chunked":
            body = b""
            while size := int(stream.readline(), 16):
                body += stream.read(size)
                stream.readline()
            stream.readline()
            return body
        length = value_of(headers, "content-length")
        if not length:
            return stream.read()
        body = stream.read(int(length))
        if len(body) < int(length):
            raise NotUnderstood("closed within the body")
        return body

    def run(self, address, script, args=(), turn=0, reqid="63b9006541c68492"):
        """The result of a run as it reaches the old program's output."""
        members = [("script", script), ("token", ""), ("reqid", reqid), ("username", "root"), ("args", args)]
        turn %= len(members)
        body = json.dumps(dict(members[turn:] + members[:turn]), separators=(",", ":")).encode()
        return self.result(self.call(address, "POST", "/run", body, turn))

    def ping(self, address):
        return self.result(self.call(address, "POST", "/ping", b'{"reqid":"eb3071a5e4276ab1"}'))

    def capabilities(self, address):
        return self.result(self.call(address, "GET", "/capabilities"))

    def result(self, answer):
        if 200 <= answer.status <= 299:
            result = dict(answer.json)
        elif answer.status == 403:
            result = {"error": f"forbidden: {answer.json['error']}"}
        else:
            result = {"error": answer.line}
        return self._through_a_pipe({**result, "rtt": "12ms"})

    @staticmethod
    def _through_a_pipe(result):
        """A child for each host writes its result into a pipe; it is read only after the child has ended."""
        data = json.dumps(result, ensure_ascii=False).encode()
        if len(data) > PIPE:
            raise Hangs(f"a result of {len(data)} bytes")
        return json.loads(data)


class OldPairingAgent:
    """Asks a pairing listener; takes each of its two answers from one TLS record."""

    def __init__(self, address, hostname, csr, nonce="0123456789abcdef0123456789abcdef"):
        self._address = address
        self.csr, self.nonce = csr, nonce
        self._body = json.dumps({"csr": csr, "hostname": hostname, "nonce": nonce}, separators=(",", ":")).encode()

    def __enter__(self):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        plain = socket.create_connection(split_address(self._address), DEADLINE)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._connection = context.wrap_socket(plain, server_hostname="dispatcher")
        return self

    def __exit__(self, *_):
        self._connection.close()

    @property
    def code(self):
        return f"{int.from_bytes(hashlib.sha256(self.csr.encode()).digest()[:4], 'big') % 1_000_000:06}"

    @property
    def request(self):
        return (b"POST /pair HTTP/1.0\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
                % len(self._body) + self._body)

    def ask(self):
        """Sends the request and returns the receipt."""
        self.send(self.request)
        return self.read_answer()

    def send(self, *parts):
        """Each part becomes a TLS record."""
        for part in parts:
            self._connection.sendall(part)

    def read_answer(self):
        data = self._connection.recv(4 * RECORD)
        head, blank, body = data.partition(b"\r\n\r\n")
        length = value_of(header_lines(head), "content-length")
        if not blank or not length or len(body) != int(length):
            raise NotUnderstood(f"not one answer in one record: {data}")
        return OldAnswer(head.partition(b"\r\n")[0].decode(), header_lines(head), body)


class OldListener(OneByOne):
    """A pairing listener that gives `answers(asked)`, each in one write, and then keeps the connection open."""

    def __init__(self, answers, identity=OLD_DISPATCHER):
        super().__init__(identity)
        self._answers = answers
        self.head, self.asked = b"", None

    def converse(self, connection):
        self.head = read_head(connection)
        body = b""
        length = int(value_of(header_lines(self.head), "content-length") or 0)
        while len(body) < length:
            data = connection.recv(length - len(body))
            if not data:
                return
            body += data
        self.asked = json.loads(body)
        if len(self.asked["csr"]) > CSR:
            connection.sendall(old_answer({"status": "error", "reason": "invalid request"}))
            return
        for message in self._answers(self.asked):
            connection.sendall(message)
        connection.recv(1)
