"""What a hostile or broken caller sends to the pairing port, row by row, and the answer that it must get.

Nobody has to prove who he is there. Whatever is wrong is answered with 200 and "invalid request", as old agents expect
it; the reason is in the log.
"""

import base64
import json
import ssl
import subprocess

from hostile_tables import (CLIENT_HELLO, Port, Row, Slow, after_handshake, alert, hello_in_drops, reset_at_once,
                            sixty_four_silent)
from wire import make_csr, request

NAME = "web-01"
NONCE = "0123456789abcdef0123456789abcdef"
INVALID = b'{"status":"error","reason":"invalid request"}'
FULL = b'{"status":"error","reason":"pairing queue full"}'


def pem(label, der):
    text = base64.encodebytes(der).decode()
    return f"-----BEGIN {label}-----\n{text}-----END {label}-----\n"


def der_of(csr):
    return ssl.PEM_cert_to_DER_cert(csr.replace("CERTIFICATE REQUEST", "CERTIFICATE"))


def forged(csr):
    der = bytearray(der_of(csr))
    der[-1] ^= 1  # within the signature
    return pem("CERTIFICATE REQUEST", bytes(der))


def with_trailing_der(csr):
    return pem("CERTIFICATE REQUEST", der_of(csr) + b"\0")


def weak_csr():
    return subprocess.run(["openssl", "req", "-new", "-newkey", "rsa:1024", "-nodes", "-keyout", "/dev/null", "-subj",
                           f"/CN={NAME}"], check=True, capture_output=True, timeout=30).stdout.decode()


class PairingPort(Port):
    """The pairing port; `queue` is the directory of requests that wait."""

    def __init__(self, address, good, queue):
        super().__init__(address, good)
        self.queue = queue
        self.csr = make_csr(NAME)

    def body(self, **changes):
        return {"hostname": NAME, "csr": self.csr, "nonce": NONCE, **changes}

    def waiting(self):
        return sorted(path.name for path in self.queue.iterdir() if not path.name.startswith("."))

    def pair(self, data):
        """Sends a request that is to be queued; (client, the request as it is stored)."""
        client = self.tls()
        client.send(data)
        answer = client.read_answer()
        if (answer.status, answer.json["status"]) != (200, "pending"):
            raise AssertionError(f"not queued: {answer}")
        return client, json.loads((self.queue / f"{answer.json['reqid']}.json").read_text())


def sent(body):
    return request("POST", "/pair", body, version="1.0")


# --- rows --------------------------------------------------------------------------------------------------------


def rejected(reason):
    return rf"^ACTION=pair-reject PEER=127\.0\.0\.1 REASON=.*{reason}"


def http(name, data, reason, end=False):
    return Row(name, lambda port: port.ask(data, end), (200, INVALID), rejected(reason))


def changed(name, reason, **changes):
    """A request in which some members are others; a member may be a function of the right CSR."""

    def talk(port):
        members = {key: value(port.csr) if callable(value) else value for key, value in changes.items()}
        return port.ask(sent(port.body(**members)))

    return Row(name, talk, (200, INVALID), rejected(reason))


def text(name, reason, edit):
    """A request whose JSON text was changed by edit(text)."""
    return Row(name, lambda port: port.ask(sent(edit(json.dumps(port.body()).encode()))), (200, INVALID),
               rejected(reason))


def queued(name, without, **changes):
    """A request that is taken, without the optional member that makes no sense."""

    def talk(port):
        client, stored = port.pair(sent(port.body(**changes)))
        with client:
            return without in stored

    return Row(name, talk, False, "^ACTION=pair-end HOST=web-01 OUTCOME=gone")


def raw(name, data, said, reason):
    return Row(name, lambda port: port.ask_raw(data), said, rejected(reason))


POST = b"POST /pair HTTP/1.1\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
JSON = "invalid JSON"

REQUESTS = [
    http("handshake and goodbye", b"", "empty request", end=True),
    http("HTTP 2 preface", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "unsupported HTTP version"),
    http("JSON without HTTP", b'{"hostname":"web-01"}\r\n', "malformed request line"),
    http("no body", POST + b"\r\n", JSON),
    http("body over 64 KiB", POST + b"Content-Length: 65537\r\n\r\n", "request too large"),
    http("chunks over 64 KiB", CHUNKED + b"8000\r\n" + b" " * 0x8000 + b"\r\n8001\r\n", "request too large"),
    http("two lengths of the body", POST + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{} ", "conflicting"),
    http("length and chunks", POST + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}", "conflicting"),
    http("endless header line", POST + b"A: " + b"b" * 100_000, "too many headers"),
    http("33 headers", POST + b"A: b\r\n" * 33 + b"\r\n", "too many headers"),
    http("NUL in a header", POST + b"A: \0\r\n\r\n", "control character"),
    Row("body that is cut off", lambda port: port.ask(sent(port.body())[:-1], end=True), (200, INVALID),
        rejected("incomplete request")),
]

TEXTS = [
    text("truncated JSON", JSON, lambda whole: whole[:-1]),
    text("array around the object", "not a JSON object", lambda whole: b"[" + whole + b"]"),
    text("two objects", JSON, lambda whole: whole + whole),
    text("invalid UTF-8 in a member that nobody reads", JSON, lambda whole: whole[:-1] + b',"x":"\xff"}'),
    text("nested a hundred thousand deep", "request too large", lambda whole: whole[:-1] + b',"x":' + b"[" * 100_000),
    text("nested 40 deep in a member that nobody reads", JSON,
         lambda whole: whole[:-1] + b',"x":' + b"[" * 40 + b"]" * 40 + b"}"),
    text("number beyond all doubles in a member that nobody reads", JSON, lambda whole: whole[:-1] + b',"x":1e999}'),
    text("two hostnames", JSON, lambda whole: whole[:-1] + b',"hostname":"web-02"}'),
    text("two CSRs, the second with an escaped key", JSON, lambda whole: whole[:-1] + rb',"\u0063sr":"x"}'),
    text("NULs around the object", JSON, lambda whole: b"\0" + whole + b"\0"),
    text("UTF-16", JSON, lambda whole: whole.decode().encode("utf-16")),
]

HOSTNAMES = [
    changed("hostname that leads out of the registry", "no valid hostname", hostname="../../etc/cron.d/x"),
    changed("hostname that is a path", "no valid hostname", hostname="/etc/passwd"),
    changed("hostname of a hidden file", "no valid hostname", hostname=".lock"),
    changed("hostname like an option", "no valid hostname", hostname="-rf"),
    changed("two dots in the hostname", "no valid hostname", hostname="web..01"),
    changed("empty hostname", "no valid hostname", hostname=""),
    changed("hostname with a NUL", r"'web-01\\+x00.json' is no valid hostname", hostname="web-01\0.json"),
    changed("hostname with a line end", r"'web-01\\+x0a' is no valid hostname", hostname="web-01\n"),
    changed("hostname that would write to the operator's terminal", r"x1b\[2Jweb-01' is no valid hostname",
            hostname="\x1b[2Jweb-01"),
    changed("hostname in other letters than ASCII", "no valid hostname", hostname="wéb-01"),
    changed("hostname of 254 letters", "no valid hostname", hostname="a" * 254),
    changed("hostname that is a number", "no valid hostname", hostname=1),
    changed("hostname that is null", "no valid hostname", hostname=None),
    changed("hostname that is an array", "no valid hostname", hostname=[NAME]),
]

CSRS = [
    changed("no CSR", "certificate request: empty", csr=""),
    changed("CSR that is a number", "certificate request: empty", csr=17),
    changed("CSR that is no PEM", "not PEM text", csr="MIIB"),
    changed("CSR with a NUL in it", "not PEM text", csr=lambda csr: csr.replace("\n", "\n\0", 1)),
    changed("CSR that is cut off", "broken PEM block", csr=lambda csr: csr[:len(csr) // 2]),
    changed("CSR of random bytes", "not valid PKCS#10", csr=pem("CERTIFICATE REQUEST", bytes(range(256)))),
    changed("CSR with a byte behind it", "not valid PKCS#10", csr=with_trailing_der),
    changed("CSR that its key did not sign", "its signature is not of the key it holds", csr=forged),
    changed("two CSRs", "more than one PEM block", csr=lambda csr: csr + csr),
    changed("text behind the CSR", "text after the end", csr=lambda csr: csr + "rm -rf /\n"),
    changed("CSR over 10,240 bytes", "larger than 10240 bytes", csr=lambda csr: csr + "\n" * 10_240),
    changed("certificate instead of a CSR", "the PEM block is something else",
            csr=lambda csr: csr.replace("CERTIFICATE REQUEST", "CERTIFICATE")),
    changed("CSR of an RSA key of 1024 bits", "RSA key of 1024 bits", csr=lambda _: weak_csr()),
    changed("CSR of a key on another curve", "another curve than P-256",
            csr=lambda _: make_csr(NAME, "-pkeyopt", "ec_paramgen_curve:P-384")),
    changed("CSR for another name", "the request is for 'web-02'", csr=lambda _: make_csr("web-02")),
    changed("CSR without a name", "the request is for ''", csr=lambda _: make_csr(NAME, "-subj", "/O=x")),
    changed("CSR with two names", "ambiguous", csr=lambda _: make_csr(NAME, "-subj", "/CN=web-01/CN=ctrl-exec")),
    changed("CSR for the CA's name", "the request is for 'ctrl-exec CA'", csr=lambda _: make_csr("ctrl-exec CA")),
    changed("CSR whose name would write to the terminal", "ambiguous", csr=lambda _: make_csr("\x1b[2J")),
]

OTHER_MEMBERS = [
    changed("no nonce", "nonce", nonce=None),
    changed("nonce that is no hex", "nonce", nonce="xyz"),
    changed("nonce of 129 digits", "nonce", nonce="0" * 129),
    changed("nonce that is a number", "nonce", nonce=12345678),
    changed("nonce that would end the header of an answer", "nonce", nonce="00\r\n\r\n"),
    queued("port of 2^64", "agent_port", agent_port=(1 << 64) - 1),
    queued("port below zero", "agent_port", agent_port=-1),
    queued("port with a fraction", "agent_port", agent_port=7443.5),
    queued("port that is an array", "agent_port", agent_port=[7443]),
    queued("unknown way to look it up", "lookup_by", lookup_by="../../etc/hosts"),
    queued("member that is none of the protocol's", "approved", approved=True),
]

NO_TLS = [
    raw("nothing at all", b"", b"", "the peer closed the connection during the handshake"),
    raw("plain HTTP", sent({}), b"", "the peer sent plain HTTP"),
    raw("plain JSON", b'{"hostname":"web-01"}\n', alert(70), "the peer does not speak TLS"),
    raw("half a hello", CLIENT_HELLO, b"", "the peer closed the connection during the handshake"),
    raw("hello that announces 16 MiB", b"\x16\x03\x01\x40\x00\x01\xff\xff\xff" + bytes(16380), alert(47), "EXCESSIVE"),
    raw("a hundred warnings", b"\x15\x03\x01\x00\x02\x01\x5a" * 100, alert(10), "TOO_MANY_WARNING"),
]


# --- connections that do not end as they should ------------------------------------------------------------------


def reset_before_the_answer(port):
    client = port.tls()
    client.send(sent(port.body()))
    client.reset()


def goodbye_while_waiting(port):
    client, _ = port.pair(sent(port.body()))
    with client:
        client.end()
        return client.read_to_end()


def cut_while_waiting(port):
    client, _ = port.pair(sent(port.body()))
    with client:
        client.half_close()
        return client.read_to_end()


def reset_while_waiting(port):
    client, _ = port.pair(sent(port.body()))
    client.reset()


def second_request_while_waiting(port):
    client, stored = port.pair(sent(port.body()) * 2)
    with client:
        client.send(sent(port.body(hostname="web-02")))
        port.good()
        return port.waiting() == [f"{stored['id']}.json"]


def flood_while_waiting(port):
    """64 KiB are read and dropped; who sends more is no agent that waits."""
    client, _ = port.pair(sent(port.body()))
    with client:
        for _ in range(5):
            client.send(bytes(16 * 1024))
        client.wait_closed()
    return port.waiting()


def full_queue(port):
    waiting = [port.pair(sent(port.body()))[0] for _ in range(3)]
    answer = port.ask(sent(port.body()))
    for client in waiting:
        client.close()
    return answer


GONE = "^ACTION=pair-end HOST=web-01 OUTCOME=gone"
BROKEN_CONNECTIONS = [
    Row("reset at once", reset_at_once, None),
    Row("64 silent connections", sixty_four_silent, None, rejected("closed the connection during the handshake")),
    Row("reset before the answer", reset_before_the_answer, None, GONE),
    Row("goodbye while it waits", goodbye_while_waiting, b"", GONE),
    Row("end without goodbye while it waits", cut_while_waiting, b"", GONE),
    Row("reset while it waits", reset_while_waiting, None, GONE),
    Row("more requests on the connection that waits", second_request_while_waiting, True, GONE),
    Row("flood on the connection that waits", flood_while_waiting, [], GONE),
    Row("one more than the queue takes", full_queue, (200, FULL), rejected("pairing queue full")),
]

SLOW = [
    Slow("no handshake", Port.tcp, 10),
    Slow("handshake in drops", hello_in_drops, 10, b"\0"),
    Slow("no request", after_handshake(b""), 30),
    Slow("body in drops", after_handshake(POST + b"Content-Length: 1000\r\n\r\n"), 30, b" "),
]

ROWS = [*REQUESTS, *TEXTS, *HOSTNAMES, *CSRS, *OTHER_MEMBERS, *NO_TLS, *BROKEN_CONNECTIONS]
