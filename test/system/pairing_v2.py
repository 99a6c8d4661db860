"""Pairing, version 2, written from docs/pairing-protocol.md and not from our C++: an agent, a dispatcher, the hashes.

Both speak to the real programs and to each other. Each step of theirs can be called alone, and each message can be
changed before it is sent, so that tests can lie in any of them.
"""

import base64
import contextlib
import dataclasses
import hashlib
import hmac
import json
import pathlib
import secrets
import socket
import ssl
import subprocess
import tempfile
import threading

from old_peers import header_lines, old_answer, read_head, value_of
from processes import DEADLINE
from wire import TlsClient, request

DISPATCHER_NAME = "ctrl-exec"  # the common name of dispatchers' certificates
P256 = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]


# --- hashes ------------------------------------------------------------------------------------------------------


def sha256(data):
    return hashlib.sha256(data).digest()


def items(*parts):
    """Each with its length in front."""
    parts = [part.encode() if isinstance(part, str) else part for part in parts]
    return b"".join(len(part).to_bytes(4, "big") + part for part in parts)


def commitment(agent_nonce, csr_digest):
    return hashlib.sha256(b"ctrl-exec/sas-commit/2\0" + items(agent_nonce, csr_digest)).hexdigest()


def short_string(agent_nonce, dispatcher_nonce, csr_digest, ca_key_digest, leaf_key_digest, hostname, dispatcher_id,
                 dispatcher_serial, reqid):
    """The check code, "4831-1920"."""
    text = b"ctrl-exec/sas/2\0" + items(csr_digest, ca_key_digest, leaf_key_digest, hostname, dispatcher_id,
                                        dispatcher_serial, reqid)
    mac = hmac.digest(agent_nonce + dispatcher_nonce, text, "sha256")
    digits = f"{int.from_bytes(mac[:8], 'big') % 10 ** 8:08}"
    return f"{digits[:4]}-{digits[4:]}"


def hkdf(secret, salt, info):
    """32 bytes of HKDF-SHA-256 (RFC 5869): one block."""
    return hmac.digest(hmac.digest(salt, secret, "sha256"), info + b"\1", "sha256")


def join_key(secret, ca_key_digest):
    return hkdf(secret, ca_key_digest, b"ctrl-exec/join/2")


def join_request_mac(key, nonce, csr_digest, leaf_key_digest, hostname):
    return hmac.new(key, items("req", nonce, csr_digest, leaf_key_digest, hostname), "sha256").hexdigest()


def join_answer_mac(key, nonce, certificate_digest, ca_key_digest, dispatcher_serial, dispatcher_id):
    return hmac.new(key, items("resp", nonce, certificate_digest, ca_key_digest, dispatcher_serial, dispatcher_id),
                    "sha256").hexdigest()


def pairing_code(csr):
    """The six digits of version 1."""
    return f"{int.from_bytes(sha256(csr.encode())[:4], 'big') % 1_000_000:06}"


@dataclasses.dataclass(frozen=True)
class JoinToken:
    kid: str
    secret: bytes
    pin: bytes  # SHA-256 of the CA's SubjectPublicKeyInfo

    @classmethod
    def parse(cls, text):
        label, kid, secret, pin = text.strip().split("_")
        if label != "cej2":
            raise ValueError(f"not a join token: {label}")
        return cls(kid, base64.b32decode(secret), bytes.fromhex(pin))

    @classmethod
    def invented(cls, ca_der, kid=None, secret=None):
        """One that no dispatcher knows."""
        return cls(kid or secrets.token_hex(8), secret or secrets.token_bytes(20), key_digest(ca_der))

    @property
    def text(self):
        return f"cej2_{self.kid}_{base64.b32encode(self.secret).decode()}_{self.pin.hex()}"

    @property
    def key(self):
        return join_key(self.secret, self.pin)


def pin_text(ca_der):
    return "sha256:" + key_digest(ca_der).hex()


# --- certificates ------------------------------------------------------------------------------------------------


def der_of(text):
    """The bytes of a PEM block, whatever it holds."""
    lines = text.strip().splitlines()
    return base64.b64decode("".join(lines[1:-1]))


def der_items(data):
    """The elements of a sequence, each whole."""
    result = []
    while data:
        size, at = data[1], 2
        if size & 0x80:
            at += size & 0x7f
            size = int.from_bytes(data[2:at], "big")
        result.append(data[:at + size])
        data = data[at + size:]
    return result


def contents(element):
    at = 2 + (element[1] & 0x7f if element[1] & 0x80 else 0)
    return element[at:]


def certificate_fields(der):
    """What is signed of a certificate: serial, algorithm, issuer, validity, subject, key, … without the version."""
    fields = der_items(contents(der_items(contents(der))[0]))
    return fields[1:] if fields[0][0] == 0xa0 else fields


def key_digest(der):
    """SHA-256 of a certificate's SubjectPublicKeyInfo."""
    return sha256(certificate_fields(der)[5])


def csr_key(der):
    """The SubjectPublicKeyInfo of a certificate request."""
    return der_items(contents(der_items(contents(der))[0]))[2]


def serial_text(der):
    """A certificate's serial as it is written everywhere: lower-case hex, whole bytes, none too many."""
    return contents(certificate_fields(der)[0]).lstrip(b"\0").hex()


def openssl(*argv, data=None):
    done = subprocess.run(["openssl", *[str(word) for word in argv]], input=data, capture_output=True, check=False,
                          timeout=DEADLINE)
    if done.returncode != 0:
        raise AssertionError(f"openssl {argv}: {done.stderr.decode(errors='replace')}")
    return done.stdout


def new_key_and_csr(name):
    """(key PEM, CSR PEM)."""
    key = openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256")
    return key.decode(), openssl("req", "-new", "-key", "/dev/stdin", "-subj", f"/CN={name}", data=key).decode()


class Authority:
    """A CA in a directory of its own, with what a dispatcher has: a certificate for its pairing port."""

    def __init__(self, directory, name="ctrl-exec CA"):
        self.directory = pathlib.Path(directory)
        self.directory.mkdir(parents=True)
        self._key, self._certificate = self.directory / "ca.key", self.directory / "ca.crt"
        openssl("req", "-x509", *P256, "-keyout", self._key, "-out", self._certificate, "-subj", f"/CN={name}",
                "-days", "3650", "-addext", "keyUsage=critical,keyCertSign,cRLSign")
        self.pem = self._certificate.read_text()
        self.der = der_of(self.pem)
        (self.directory / "index").write_text("")
        (self.directory / "ca.cnf").write_text(
            f"[ca]\ndefault_ca=d\n[d]\ndatabase={self.directory}/index\nnew_certs_dir={self.directory}\n"
            f"rand_serial=yes\ndefault_md=sha256\npolicy=p\nunique_subject=no\nx509_extensions=e\n"
            f"[p]\ncommonName=supplied\n[e]\nbasicConstraints=CA:FALSE\n")
        self._lock = threading.Lock()

    @classmethod
    def of(cls, deployment):
        """The CA of a real dispatcher, for tests in which it has gone over to the enemy."""
        self = cls(deployment.directory / f"ca-{secrets.token_hex(4)}")
        for ours in ("ca.key", "ca.crt"):
            (self.directory / ours).write_bytes((deployment.ca / ours).read_bytes())
        self.pem = self._certificate.read_text()
        self.der = der_of(self.pem)
        return self

    def sign(self, csr, start=None, end=None):
        """A certificate, PEM. `start`, `end`: "20260101000000Z"."""
        dates = ["-days", "365"] if end is None else ["-enddate", end]
        if start:
            dates += ["-startdate", start]
        path = self.directory / f"{secrets.token_hex(8)}.csr"
        path.write_text(csr)
        with self._lock:
            return openssl("ca", "-config", self.directory / "ca.cnf", "-batch", "-notext", "-keyfile", self._key,
                           "-cert", self._certificate, "-in", path, *dates).decode()

    def identity(self, name=DISPATCHER_NAME, **dates):
        """(certificate, key) files of a new key that this CA has signed."""
        key, csr = new_key_and_csr(name)
        base = self.directory / secrets.token_hex(8)
        files = base.with_suffix(".crt"), base.with_suffix(".key")
        files[0].write_text(self.sign(csr, **dates))
        files[1].write_text(key)
        return files


# --- the agent ---------------------------------------------------------------------------------------------------


class NotBelieved(Exception):
    """A check of the agent's has failed."""


class V2Agent:
    """Asks a pairing port. `key_and_csr`: those of an earlier try; `token`: a JoinToken, or its text."""

    def __init__(self, address, hostname, token=None, key_and_csr=None, pins=()):
        self.address, self.hostname, self.pins = address, hostname, pins
        self.token = JoinToken.parse(token) if isinstance(token, str) else token
        self.key, self.csr = key_and_csr or new_key_and_csr(hostname)
        self.agent_nonce, self.nonce = secrets.token_bytes(32), secrets.token_hex(16)
        self.client = self.first = self.last = None

    def connect(self, version=None):
        """`version` may be ssl.TLSVersion.TLSv1_2, so that records can be counted."""
        self.client = TlsClient(self.address, version=version)
        return self

    @property
    def csr_digest(self):
        return sha256(der_of(self.csr))

    @property
    def leaf_key_digest(self):
        return key_digest(self.client.peer_certificate)

    def join(self, **changes):
        """The proof that we have the token."""
        mac = join_request_mac(self.token.key, self.nonce, self.csr_digest, self.leaf_key_digest, self.hostname)
        return {"kid": self.token.kid, "mac": mac, **changes}

    def body(self, **changes):
        """Of the request; a member that is None is left out."""
        members = {"hostname": self.hostname, "csr": self.csr, "nonce": self.nonce, "pair_v": 2,
                   "sas_commit": commitment(self.agent_nonce, self.csr_digest)}
        if self.token:
            members["join"] = self.join()
        members.update(changes)
        return {name: value for name, value in members.items() if value is not None}

    def send(self, body=None, **changes):
        """The request; `body` instead of ours may be bytes."""
        if not self.client:
            self.connect()
        self.client.send(request("POST", "/pair", self.body(**changes) if body is None else body, version="1.0"))
        return self

    def ask(self, body=None, **changes):
        """Sends the request and returns the first answer."""
        self.send(body, **changes)
        self.first = self.client.read_answer().json
        return self.first

    def reveal(self, body=None, target="/pair/reveal", **changes):
        """Says what we had committed to; there is no answer to it."""
        if body is None:
            body = {"reqid": self.first["reqid"], "sas_nonce": self.agent_nonce.hex(), **changes}
            body = {name: value for name, value in body.items() if value is not None}
        self.client.send(request("POST", target, body, version="1.0"))
        return self

    @property
    def sas(self):
        first = self.first
        return short_string(self.agent_nonce, bytes.fromhex(first["sas_nonce"]), self.csr_digest,
                            key_digest(der_of(first["ca"])), self.leaf_key_digest, self.hostname,
                            first["dispatcher_id"], first["dispatcher_serial"], first["reqid"])

    @property
    def code(self):
        return pairing_code(self.csr)

    def read_last(self):
        self.last = self.client.read_answer().json
        return self.last

    def check_first(self):
        first = self.first
        if first.get("status") != "pending" or first.get("pair_v", 1) < 2:
            raise NotBelieved(f"not a first answer of version 2: {first}")
        leaf, ca = self.client.peer_certificate, der_of(first["ca"])
        if not chains(leaf, ca):
            raise NotBelieved("the certificate of the pairing port is of another CA")
        if serial_text(leaf) != first["dispatcher_serial"]:
            raise NotBelieved("the serial is not that of the certificate")
        for pin in (*self.pins, *([self.token.pin] if self.token else [])):
            if pin != key_digest(ca):
                raise NotBelieved("the CA is not the pinned one")

    def check_last(self):
        """Returns the certificate, DER."""
        first, last = self.first, self.last
        if last.get("status") != "approved":
            raise NotBelieved(f"not approved: {last}")
        certificate, ca = der_of(last["cert"]), der_of(last["ca"])
        for name in ("dispatcher_serial", "dispatcher_id"):
            if last[name] != first[name]:
                raise NotBelieved(f"{name} has changed")
        if ca != der_of(first["ca"]) or last["nonce"] != self.nonce or last.get("pair_v") != 2:
            raise NotBelieved("not the answer to our request")
        if certificate_fields(certificate)[5] != csr_key(der_of(self.csr)) or not chains(certificate, ca):
            raise NotBelieved("not a certificate of our key by that CA")
        if self.token:
            mac = join_answer_mac(self.token.key, self.nonce, sha256(certificate), key_digest(ca),
                                  last["dispatcher_serial"], last["dispatcher_id"])
            if not hmac.compare_digest(mac, last.get("join_mac", "")):
                raise NotBelieved("the dispatcher does not know the token")
        return certificate

    def wait(self, check=True):
        """Asks, checks and reveals: the request then waits for the operator, or is being joined."""
        self.ask()
        if check:
            self.check_first()
        return self.reveal()

    def pair(self):
        """All of it, with a token or with somebody who approves. The certificate, DER."""
        self.wait()
        self.read_last()
        return self.check_last()

    def retry(self):
        """The same agent once more: same key and CSR, everything else anew."""
        return type(self)(self.address, self.hostname, self.token, (self.key, self.csr), self.pins)

    def close(self):
        if self.client:
            self.client.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def chains(certificate, ca):
    """Whether the CA has signed it, and it is valid now."""
    with tempfile.TemporaryDirectory(prefix="ctrl-exec-system.") as directory:
        paths = [pathlib.Path(directory, name) for name in ("ca", "certificate")]
        for path, der in zip(paths, (ca, certificate)):
            path.write_text(ssl.DER_cert_to_PEM_cert(der))
        done = subprocess.run(["openssl", "verify", "-CAfile", *paths], capture_output=True, timeout=DEADLINE,
                              check=False)
    return done.returncode == 0


# --- the dispatcher ----------------------------------------------------------------------------------------------


def version_of(message):
    """1 also for what is none."""
    version = message.get("pair_v") if isinstance(message, dict) else None
    return version if isinstance(version, int) else 1


class Session:
    """One agent at a V2Dispatcher: what it said, what it was told."""

    def __init__(self, dispatcher, connection):
        self.dispatcher, self.connection = dispatcher, connection
        self.asked = self.reveal = self.first = self.last = None
        self.reqid, self.nonce = secrets.token_hex(8), secrets.token_bytes(32)
        self.ended = threading.Event()

    @property
    def version(self):
        return version_of(self.asked)

    @property
    def csr_digest(self):
        return sha256(der_of(self.asked["csr"]))

    @property
    def committed(self):
        """Whether what was revealed is what the agent had committed to."""
        return commitment(bytes.fromhex(self.reveal["sas_nonce"]), self.csr_digest) == self.asked["sas_commit"]

    @property
    def sas(self):
        """As the operator of this dispatcher sees it."""
        return short_string(bytes.fromhex(self.reveal["sas_nonce"]), self.nonce, self.csr_digest,
                            key_digest(self.dispatcher.authority.der), key_digest(self.dispatcher.leaf_der),
                            self.asked["hostname"], self.dispatcher.id, self.dispatcher.serial, self.reqid)

    def read(self):
        """(request line, JSON body) of the next request; None when the agent has hung up."""
        head = read_head(self.connection)
        if not head:
            return None
        length, body = int(value_of(header_lines(head), "content-length") or 0), b""
        while len(body) < length:
            data = self.connection.recv(length - len(body))
            if not data:
                return None
            body += data
        return head.partition(b"\r\n")[0].decode(), json.loads(body)

    def send(self, answer):
        """An object, or bytes as they are to be sent; None: nothing."""
        if answer is not None:
            self.connection.sendall(answer if isinstance(answer, bytes) else old_answer(answer))

    def honest_first(self):
        answer = {"status": "pending", "reqid": self.reqid}
        if self.version >= 2 and self.dispatcher.version >= 2:
            answer.update(pair_v=2, ca=self.dispatcher.authority.pem, dispatcher_id=self.dispatcher.id,
                          dispatcher_serial=self.dispatcher.serial, sas_nonce=self.nonce.hex())
        return answer

    def honest_last(self):
        authority = self.dispatcher.authority
        certificate = authority.sign(self.asked["csr"])
        answer = {"status": "approved", "cert": certificate, "ca": authority.pem, "nonce": self.asked["nonce"],
                  "dispatcher_serial": self.dispatcher.serial, "dispatcher_id": self.dispatcher.id}
        if self.version >= 2 and self.dispatcher.version >= 2:
            answer["pair_v"] = 2
            if self.dispatcher.token:
                answer["join_mac"] = join_answer_mac(
                    self.dispatcher.token.key, self.asked["nonce"], sha256(der_of(certificate)),
                    key_digest(authority.der), self.dispatcher.serial, self.dispatcher.id)
        return answer


class V2Dispatcher:
    """A pairing port with a CA of its own, on loopback; approves at once, or when `decided` is set.

    `first`, `last`: functions (session, honest answer) of what is sent instead: an object, bytes, None for nothing at
    all. `version` 1: one of 0.8.4. `sessions`: all that have asked, in order.
    """

    def __init__(self, directory, first=None, last=None, authority=None, identity=None, token=None, version=2,
                 dispatcher_id=None, decided=None, serial=None):
        self.directory = pathlib.Path(directory)
        self.authority = authority or Authority(self.directory / f"authority-{secrets.token_hex(4)}")
        self.identity = identity or self.authority.identity()
        self.leaf_der = der_of(pathlib.Path(self.identity[0]).read_text())
        self.serial = serial or serial_text(self.leaf_der)
        self.id = dispatcher_id or secrets.token_hex(8)
        self.token, self.version, self.decided = token, version, decided
        self._first, self._last = first or (lambda _, answer: answer), last or (lambda _, answer: answer)
        self.sessions, self._changed = [], threading.Condition()
        self._threads, self._mistake, self._open = [], None, set()
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(*self.identity)

    def __enter__(self):
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port = self._listener.getsockname()[1]
        self.address = f"127.0.0.1:{self.port}"
        self._accepting = threading.Thread(target=self._accept)
        self._accepting.start()
        return self

    def _accept(self):
        while True:
            try:
                plain, _ = self._listener.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._serve, args=(plain,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, plain):
        plain.settimeout(DEADLINE)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            with self._context.wrap_socket(plain, server_side=True) as connection:
                self._open.add(connection)
                session = Session(self, connection)
                try:
                    self.converse(session)
                finally:
                    session.ended.set()
                    self._open.discard(connection)
                    self.changed()
        except OSError:
            pass  # the agent has gone away
        except Exception as mistake:
            self._mistake = mistake

    def changed(self):
        with self._changed:
            self._changed.notify_all()

    def wait(self, what, index=0):
        """The session of that number, once what(session) is true."""
        with self._changed:
            if not self._changed.wait_for(lambda: len(self.sessions) > index and what(self.sessions[index]), DEADLINE):
                raise AssertionError(f"no such session: {[vars(each) for each in self.sessions]}")
        return self.sessions[index]

    def converse(self, session):
        """The whole exchange; subclasses may have another."""
        message = session.read()
        if not message:
            return
        session.asked = message[1]
        self.sessions.append(session)
        self.changed()
        session.first = self._first(session, session.honest_first())
        session.send(session.first)
        if version_of(session.first) >= 2:
            message = session.read()
            if not message:
                return
            session.reveal = message[1]
            self.changed()
        if self.decided:
            self.decided.wait(DEADLINE)
        session.last = self._last(session, session.honest_last())
        session.send(session.last)
        self.changed()
        session.connection.recv(1)

    def __exit__(self, kind, *_):
        if self.decided:
            self.decided.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._accepting.join()
        for connection in list(self._open):
            with contextlib.suppress(OSError):
                socket.socket.shutdown(connection, socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(DEADLINE)
        if self._mistake and kind is None:
            raise self._mistake
