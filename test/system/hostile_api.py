"""What a hostile or broken client sends to the HTTP API, row by row, and the answers that it must get.

Whatever would be a run, if it were taken, is for port 1 of this host, where nobody listens: the log tells whether it
was. <VERSION>, <HOST> (with its port) and <DIR> stand for what differs from run to run.
"""

import json
import re
import socket
import ssl

from hostile_tables import (CLIENT_HELLO, Port, Row, Slow, after_handshake, alert, filled, hello_in_drops, read_raw,
                            reset, reset_at_once, sixty_four_silent)
from processes import poll
from wire import request, split_address


class ApiPort(Port):
    """The port of the API; `tls` is whether it wants TLS, `facts` are filled into what is sent."""

    def __init__(self, daemon, good, tls, facts):
        super().__init__(daemon.address, good)
        self.daemon, self.wants_tls, self.facts = daemon, tls, facts

    def connect(self):
        return self.tls() if self.wants_tls else PlainClient(self.tcp())

    def answers(self, data, bodiless=False):
        """All [(status, headers, body)] until the port closes; the client has ended its side after the data."""
        with self.connect() as client:
            client.send(filled(data, self.facts))
            client.end()
            said = client.read_to_end()
            if self.wants_tls:
                client.return_goodbye()
        return parse_all(said, bodiless)


class PlainClient:
    """A connection without TLS that is used as one with it."""

    def __init__(self, connection):
        self.socket = connection
        self.send, self.close, self.fileno = connection.sendall, connection.close, connection.fileno

    def end(self):
        self.socket.shutdown(socket.SHUT_WR)

    def read_to_end(self):
        return read_raw(self.socket)

    def reset(self):
        reset(self.socket)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def parse_all(said, bodiless):
    answers = []
    while said:
        head, end, said = said.partition(b"\r\n\r\n")
        status = re.fullmatch(rb"HTTP/1\.[01] (\d{3}) [A-Za-z ]+", head.split(b"\r\n")[0])
        if not end or not status:
            raise AssertionError(f"no answer: {head[:2000]!r}")
        fields = [line.split(b": ", 1) for line in head.split(b"\r\n")[1:]]
        headers = {name.decode().lower(): value.decode() for name, value in fields}
        length = 0 if bodiless else int(headers.get("content-length", 0))
        body, said = said[:length], said[length:]
        if len(body) != length:
            raise AssertionError(f"cut off after {len(body)} of {length} bytes")
        answers.append((int(status[1]), headers, body))
    return answers


# --- rows --------------------------------------------------------------------------------------------------------


def no(error, detail=""):
    body = {"ok": False, "error": error, **({"detail": detail} if detail else {})}
    return json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode()


def http(name, data, *said, log=""):
    """Bytes after which the client ends its side, and all answers: (status, body) of each."""

    def talk(port):
        return tuple((status, body) for status, _, body in port.answers(data))

    return Row(name, talk, said, log)


def refused(name, data, status, error, detail="", log=""):
    return http(name, data, (status, no(error, detail)), log=log)


def unanswered(name, data):
    """A request that is not all there: nothing is done, and nothing answered."""
    return http(name, data)


def headed(name, data, status, **headers):
    """An answer without a body, and some of its headers."""

    def talk(port):
        return tuple((status, *(said.get(each.replace("_", "-"), "") for each in headers), body)
                     for status, said, body in port.answers(data, bodiless=True))

    return Row(name, talk, ((status, *headers.values(), b""),))


def post(target, body, *headers):
    return request("POST", target, body, "Host: x", *headers)


def get(target, *headers):
    return request("GET", target, None, "Host: x", *headers)


OK = (200, b'{"ok":true,"version":"<VERSION>"}')
LIVE, READY = (200, b"live\n"), (200, b"ready\n")
NOT_FOUND = (404, no("not found"))
NOT_ALLOWED = (405, no("method not allowed"))
NO_HOSTS = (400, no("hosts must be a non-empty array"))  # what a well-framed POST /ping with {} gets
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
SYNTAX = "The JSON document has an improper structure: missing or superfluous commas, braces, missing keys, etc."
BAD_BODY = (400, no("invalid JSON", SYNTAX))
BAD_LINE = (400, no("malformed request line"))
BAD_CHUNK = (400, no("malformed chunk"))
TOO_LARGE = (413, no("request too large"))

GET = b"GET /health HTTP/1.1\r\nHost: x\r\n"
POST = b"POST /run HTTP/1.1\r\nHost: x\r\n"
PING = b"POST /ping HTTP/1.1\r\nHost: x\r\n"
RUN = b'{"hosts":["127.0.0.1:1"],"script":"true"}'
LENGTH = b"Content-Length: %d\r\n" % len(RUN)
CODED = b"Transfer-Encoding: chunked\r\n"
IN_CHUNKS = b"%x\r\n%b\r\n0\r\n\r\n" % (len(RUN), RUN)
CHUNKED, CHUNKED_PING = POST + CODED + b"\r\n", PING + CODED + b"\r\n"
MIB = 1 << 20


def bad_length(name, value):
    return refused(name, POST + b"Content-Length:" + value + b"\r\n\r\n" + RUN, 400, "malformed Content-Length")


def coded(name, header, status, error, detail=""):
    """A request in chunks that some reader might take for one with a length, or for none."""
    return refused(name, POST + header + b"\r\n\r\n" + IN_CHUNKS, status, error, detail)


def chunks(name, data, *said):
    return http(name, CHUNKED + data, *(said or (BAD_CHUNK,)))


FOLDED, CONTROL = "folded header line", "control character in a header value"
NO_COLON, BAD_NAME = "header line without a colon", "malformed header name"
CONFLICT, UNSUPPORTED = "conflicting Content-Length and Transfer-Encoding", "unsupported Transfer-Encoding"
NO_EXTENSIONS = (400, no("chunk extensions too long"))

SMUGGLING = [
    refused("length and chunks", POST + LENGTH + CODED + b"\r\n" + IN_CHUNKS, 400, CONFLICT),
    refused("chunks and length", POST + CODED + LENGTH + b"\r\n" + IN_CHUNKS, 400, CONFLICT),
    refused("length of nothing and chunks", POST + b"Content-Length: 0\r\n" + CODED + b"\r\n" + IN_CHUNKS, 400, CONFLICT),
    refused("length and an unknown coding", POST + LENGTH + b"Transfer-Encoding: x\r\n\r\n" + RUN, 400, CONFLICT),
    refused("two lengths that differ", POST + LENGTH + b"Content-Length: 0\r\n\r\n" + RUN, 400,
            "conflicting Content-Length"),
    refused("two lengths that are equal", POST + LENGTH + LENGTH.lower() + b"\r\n" + RUN, 400,
            "conflicting Content-Length"),
    bad_length("list of equal lengths", b" 41, 41"),
    bad_length("empty length", b""),
    bad_length("length with a plus", b" +41"),
    bad_length("negative length", b" -1"),
    bad_length("hexadecimal length", b" 0x29"),
    bad_length("length with an exponent", b" 4e1"),
    bad_length("length with a fraction", b" 41.0"),
    bad_length("length with a blank inside", b" 4 1"),
    bad_length("length in digits that are not ASCII", " ４１".encode()),
    refused("length with a vertical tab", POST + b"Content-Length: \x0b41\r\n\r\n" + RUN, 400, CONTROL),
    http("length with leading zeros", PING + b"Content-Length: 0000000000000000000000002\r\n\r\n{}", NO_HOSTS),
    http("length that wraps around to 41", POST + b"Content-Length: %d\r\n\r\n" % ((1 << 64) + 41) + RUN, TOO_LARGE),
    http("length of a thousand digits", POST + b"Content-Length: " + b"9" * 1000 + b"\r\n\r\n", TOO_LARGE),
    coded("two codings in two lines", CODED + CODED[:-2], 400, "repeated Transfer-Encoding"),
    coded("chunked twice in one line", b"Transfer-Encoding: chunked, chunked", 501, UNSUPPORTED),
    coded("chunked behind another coding", b"Transfer-Encoding: gzip, chunked", 501, UNSUPPORTED),
    coded("chunked before another coding", b"Transfer-Encoding: chunked, identity", 501, UNSUPPORTED),
    coded("identity as coding", b"Transfer-Encoding: identity", 501, UNSUPPORTED),
    coded("coding that only looks like chunked", b"Transfer-Encoding: xchunked", 501, UNSUPPORTED),
    coded("chunked in quotes", b'Transfer-Encoding: "chunked"', 501, UNSUPPORTED),
    coded("chunked with a parameter", b"Transfer-Encoding: chunked;q=1", 501, UNSUPPORTED),
    coded("chunked with a comma behind it", b"Transfer-Encoding: chunked,", 501, UNSUPPORTED),
    coded("empty coding", b"Transfer-Encoding:", 501, UNSUPPORTED),
    coded("coding with a vertical tab", b"Transfer-Encoding: \x0bchunked", 400, CONTROL),
    coded("coding with a NUL", b"Transfer-Encoding: chunked\0", 400, CONTROL),
    coded("coding behind a carriage return", b"A: b\rTransfer-Encoding: chunked", 400, CONTROL),
    coded("coding with a space before the colon", b"Transfer-Encoding : chunked", 400, BAD_NAME),
    coded("coding with a tab before the colon", b"Transfer-Encoding\t: chunked", 400, BAD_NAME),
    coded("coding with a space before its name", b"A: b\r\n Transfer-Encoding: chunked", 400, FOLDED),
    coded("coding in the next line", b"Transfer-Encoding:\r\n chunked", 400, FOLDED),
    coded("coding whose name is folded", b"Transfer-\r\n Encoding: chunked", 400, NO_COLON),
    refused("length with a space before the colon", POST + b"Content-Length : 41\r\n\r\n" + RUN, 400, BAD_NAME),
    refused("chunks in HTTP 1.0", CHUNKED.replace(b"HTTP/1.1", b"HTTP/1.0") + IN_CHUNKS, 400,
            "Transfer-Encoding in HTTP/1.0"),
    http("coding in other letters", PING + b"tRANSFER-eNCODING: \t CHUNKED \r\n\r\n2\r\n{}\r\n0\r\n\r\n", NO_HOSTS),
    http("coding with an underscore is none", PING + b"Content-Length: 2\r\nTransfer_Encoding: chunked\r\n\r\n{}", NO_HOSTS),
    http("head that ends with line feeds alone", PING + b"Content-Length: 2\n\n{}" + get("/livez"), NO_HOSTS, LIVE),
    http("coding behind the end of the head", PING + b"Content-Length: 2\r\n\n" + CODED + b"\r\n" + IN_CHUNKS, BAD_BODY,
         BAD_LINE),
    http("second request behind a short length", PING + b"Content-Length: 2\r\n\r\n{}" + b"x" * 9 + post("/run", RUN),
         NO_HOSTS, NOT_ALLOWED),
    http("body of a GET is not the next request", request("GET", "/health", post("/run", RUN)), OK),
    http("length of a GET that hides a request", GET + b"Content-Length: 0\r\n\r\n" + get("/livez"), OK, LIVE),
]

CHUNKS = [
    chunks("chunk size that is no number", b"x\r\n"),
    chunks("empty chunk size", b"\r\n" + IN_CHUNKS),
    chunks("chunk size with a prefix", b"0x29\r\n" + RUN + b"\r\n0\r\n\r\n"),
    chunks("chunk size with a plus", b"+29\r\n" + RUN + b"\r\n0\r\n\r\n"),
    chunks("negative chunk size", b"-1\r\n"),
    chunks("chunk size with a blank before it", b" 29\r\n" + RUN + b"\r\n0\r\n\r\n"),
    chunks("chunk size with a blank behind it", b"29 \r\n" + RUN + b"\r\n0\r\n\r\n"),
    chunks("chunk size with an underscore", b"2_9\r\n" + RUN + b"\r\n0\r\n\r\n"),
    chunks("chunk size of 17 digits", b"0" * 15 + b"29\r\n" + RUN + b"\r\n0\r\n\r\n"),
    chunks("chunk of 2^64 bytes", b"f" * 16 + b"\r\n", TOO_LARGE),
    chunks("chunk of 2^63 bytes", b"8" + b"0" * 15 + b"\r\n", TOO_LARGE),
    chunks("chunk one over 1 MiB", b"100001\r\n", TOO_LARGE),
    chunks("chunks that are over 1 MiB together", b"80000\r\n" + b" " * 0x80000 + b"\r\n80001\r\n", TOO_LARGE),
    chunks("chunk longer than its size", b"2\r\n{}}\r\n0\r\n\r\n"),
    chunks("chunk shorter than its size", b"4\r\n{}\r\n0\r\n\r\n"),
    chunks("chunk lines that end with a line feed alone", b"29\n" + RUN + b"\n0\n\n"),
    chunks("line feed within an extension", b"29;a\n" + RUN + b"\r\n0\r\n\r\n"),
    chunks("carriage return within an extension", b"29;a\rb\r\n" + RUN + b"\r\n0\r\n\r\n"),
    chunks("chunk that ends with a line feed alone", b"29\r\n" + RUN + b"\n0\r\n\r\n"),
    chunks("extension of 9000 bytes", b"29;" + b"x" * 9000 + b"\r\n" + RUN + b"\r\n0\r\n\r\n", NO_EXTENSIONS),
    chunks("thousand chunks with an extension of ten bytes", b"1;xxxxxxxxx\r\n \r\n" * 1000, NO_EXTENSIONS),
    chunks("33 trailers", b"0\r\n" + b"A: b\r\n" * 33 + b"\r\n", (431, no("too many headers"))),
    chunks("trailer over 8192 bytes", b"0\r\nA: " + b"b" * 8192 + b"\r\n\r\n", (431, no("too many headers"))),
    chunks("trailer without a colon", b"0\r\nnonsense\r\n\r\n", (400, no(NO_COLON))),
    chunks("trailer that is folded", b"0\r\nA: b\r\n c\r\n\r\n", (400, no(FOLDED))),
    http("trailers that would frame the body anew",
         CHUNKED_PING + b"2\r\n{}\r\n0\r\nContent-Length: 50\r\nTransfer-Encoding: gzip\r\n\r\n" + get("/livez"), NO_HOSTS, LIVE),
    http("trailer that would authorise", CHUNKED_PING + b"2\r\n{}\r\n0\r\nAuthorization: Bearer x\r\nHost: y\r\n\r\n",
         NO_HOSTS),
    http("body of 2000 chunks of one byte", CHUNKED_PING + b"1\r\n \r\n" * 1998 + b"2\r\n{}\r\n0\r\n\r\n", NO_HOSTS),
    unanswered("chunks without the last one", CHUNKED + b"29\r\n" + RUN + b"\r\n"),
    unanswered("chunks without the blank line at the end", CHUNKED + b"29\r\n" + RUN + b"\r\n0\r\n"),
]

MALFORMED_TARGET, VERSION = "malformed request target", (505, no("unsupported HTTP version",
                                                                 "only HTTP/1.0 and HTTP/1.1 are spoken"))
TOO_LONG = (431, no("too many headers", "a line is over 8192 bytes"))

HEADS = [
    http("HTTP 0.9", b"GET /health\r\n", BAD_LINE),
    http("HTTP 1.2", b"GET /health HTTP/1.2\r\n\r\n", VERSION),
    http("HTTP 2 preface", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", VERSION),
    http("HTTP 3", b"GET /health HTTP/3\r\n\r\n", VERSION),
    http("version with two digits", b"GET /health HTTP/1.10\r\n\r\n", BAD_LINE),
    http("version in small letters", b"GET /health http/1.1\r\n\r\n", BAD_LINE),
    http("version with a blank behind it", b"GET /health HTTP/1.1 \r\n\r\n", BAD_LINE),
    http("other protocol in the request line", b"OPTIONS * RTSP/1.0\r\n\r\n", BAD_LINE),
    http("TLS hello on a plain port", CLIENT_HELLO + b"\r\n", BAD_LINE),
    http("banner of another protocol", b"SSH-2.0-OpenSSH_9.2\r\n", BAD_LINE),
    http("request for an answer of Redis", b"*1\r\n$4\r\nINFO\r\n", BAD_LINE),
    http("blank before the method", b" GET /health HTTP/1.1\r\n\r\n", BAD_LINE),
    http("tabs instead of blanks", b"GET\t/health\tHTTP/1.1\r\n\r\n", BAD_LINE),
    refused("two blanks before the target", b"GET  /health HTTP/1.1\r\n\r\n", 400, MALFORMED_TARGET),
    refused("blank within the target", b"GET /health x HTTP/1.1\r\n\r\n", 400, MALFORMED_TARGET),
    http("no target", b"GET HTTP/1.1\r\n\r\n", BAD_LINE),
    http("NUL in the method", b"G\0T /health HTTP/1.1\r\n\r\n", BAD_LINE),
    http("parentheses in the method", b"G(E)T /health HTTP/1.1\r\n\r\n", BAD_LINE),
    refused("NUL in the target", b"GET /health\0 HTTP/1.1\r\n\r\n", 400, MALFORMED_TARGET),
    refused("letters in the target that are not ASCII", "GET /hëalth HTTP/1.1\r\n\r\n".encode(), 400, MALFORMED_TARGET),
    refused("target of another scheme", b"GET ftp://x/health HTTP/1.1\r\n\r\n", 400, MALFORMED_TARGET),
    refused("target without a slash", b"GET health HTTP/1.1\r\n\r\n", 400, MALFORMED_TARGET),
    refused("tunnel to another host", b"CONNECT web-02:22 HTTP/1.1\r\n\r\n", 400, MALFORMED_TARGET),
    refused("absolute target without a host", b"GET http:///health HTTP/1.1\r\n\r\n", 400, MALFORMED_TARGET),
    http("absolute target", b"GET http://elsewhere/health HTTP/1.1\r\nHost: x\r\n\r\n", OK),
    http("asterisk as target", b"OPTIONS * HTTP/1.1\r\n\r\n", NOT_FOUND),
    http("one blank line first", b"\r\n" + GET + b"\r\n", OK),
    refused("two blank lines first", b"\r\n\r\n" + GET + b"\r\n", 400, "empty request"),
    http("carriage return alone ends the line", b"GET /health HTTP/1.1\rHost: a\r\n\r\n", BAD_LINE),
    http("two carriage returns at the end of the line", b"GET /health HTTP/1.1\r\r\n\r\n", BAD_LINE),
    http("request line over 8192 bytes", b"GET /" + b"a" * 8192 + b" HTTP/1.1\r\n\r\n", TOO_LONG),
    http("request line of 8192 bytes", b"GET /" + b"a" * (8192 - 14) + b" HTTP/1.1\r\n\r\n", NOT_FOUND),
    http("endless line", b"a" * 300_000, TOO_LONG),
    refused("NUL in a header name", GET + b"A\0: b\r\n\r\n", 400, BAD_NAME),
    refused("letters in a header name that are not ASCII", GET + "Ä: b\r\n\r\n".encode(), 400, BAD_NAME),
    refused("NUL in a header value", GET + b"A: b\0c\r\n\r\n", 400, CONTROL),
    refused("escape sequence in a header value", GET + b"A: \x1b[2J\r\n\r\n", 400, CONTROL),
    refused("carriage return in a header value", GET + b"A: b\rc\r\n\r\n", 400, CONTROL),
    refused("empty header name", GET + b": x\r\n\r\n", 400, BAD_NAME),
    refused("header line without a colon", GET + b"nonsense\r\n\r\n", 400, NO_COLON),
    refused("value that goes on in the next line", GET + b"A: b\r\n\tc\r\n\r\n", 400, FOLDED),
    refused("two Host headers", GET + b"Host: x\r\n\r\n", 400, "repeated Host"),
    http("header line over 8192 bytes", GET + b"A: " + b"b" * 8190 + b"\r\n\r\n", TOO_LONG),
    http("header line of 8192 bytes", GET + b"A: " + b"b" * 8189 + b"\r\n\r\n", OK),
    refused("33 headers", GET + b"A: b\r\n" * 32 + b"\r\n", 431, "too many headers", "over 32 header lines"),
    http("32 headers", GET + b"A: b\r\n" * 31 + b"\r\n", OK),
    refused("100,000 headers", GET + b"A: b\r\n" * 100_000 + b"\r\n", 431, "too many headers", "over 32 header lines"),
    http("only a blank line", b"\r\n"),
    unanswered("nothing at all", b""),
    unanswered("request line that is cut off", b"POST /ru"),
    unanswered("header that is cut off", POST + b"Content-Len"),
    unanswered("body that is one byte short", post("/run", RUN)[:-1]),
]


# --- routes, methods, headers with a meaning ---------------------------------------------------------------------


def status(name, reqid):
    """A run that does not exist; `reqid` is a path below /status."""
    return refused(name, get(f"/status/{reqid}"), 404, "not found", f"no run '{reqid}' is stored; results are kept for a day")


def kept_from(name, target):
    return http(name, get(target), NOT_FOUND)


ROUTES = {"/": "GET, HEAD, OPTIONS", "/discovery": "GET, HEAD, POST, OPTIONS", "/health": "GET, HEAD, OPTIONS",
          "/livez": "GET, HEAD, OPTIONS", "/openapi-live.json": "GET, HEAD, OPTIONS", "/openapi.json": "GET, HEAD, OPTIONS",
          "/ping": "POST, OPTIONS", "/readyz": "GET, HEAD, OPTIONS", "/run": "POST, OPTIONS",
          "/status/0123456789abcdef": "GET, HEAD, OPTIONS"}
ANSWERS_HEAD = {"/ping": 405, "/run": 405, "/status/0123456789abcdef": 404}

TARGETS = [
    status("path that leads out of the runs", "..%2f..%2fca.key"),
    status("encoded dots as run", "%2e%2e"),
    status("dots as run", ".."),
    status("run in capitals", "0123456789ABCDEF"),
    status("run with the end of its file", "0123456789abcdef.json"),
    status("run with an encoded NUL", "0123456789abcdef%00"),
    status("run with a backslash", "..%5c..%5cca.key"),
    status("run with a quote and a tag", "'<script>"),
    http("run with a query", get("/status/0123456789abcdef?x=../../ca.key"),
         (404, no("not found", "no run '0123456789abcdef' is stored; results are kept for a day"))),
    kept_from("dots behind the runs", "/status/../../../etc/passwd"),
    kept_from("dots before a route", "/../health"),
    kept_from("dots that lead to a route", "/ping/../health"),
    kept_from("dot before a route", "/./health"),
    kept_from("run without a name", "/status/"),
    kept_from("slash behind a run", "/status/0123456789abcdef/"),
    kept_from("encoded slash before a route", "/%2fhealth"),
    kept_from("encoded letter of a route", "/%68ealth"),
    kept_from("encoded NUL behind a route", "/health%00"),
    kept_from("route in capitals", "/HEALTH"),
    kept_from("slash behind a route", "/health/"),
    kept_from("two slashes before a route", "//health"),
    kept_from("parameters behind a route", "/health;x=y"),
    kept_from("fragment behind a route", "/health#x"),
    kept_from("backslash before a route", "/\\health"),
    kept_from("pattern of a route", "/status{reqid}"),
    http("pattern of a route as run", get("/status/{reqid}"),
         (404, no("not found", "no run '{reqid}' is stored; results are kept for a day"))),
    http("query behind a route", get("/health?x=/../../&%00&%0d%0aX:y"), OK),
    http("query of 8000 letters", get("/health?" + "x" * 8000), OK),
    http("query that asks for a run", get("/run?hosts=127.0.0.1:1&script=true"), NOT_ALLOWED),
]

METHODS = [
    http("method in small letters", request("get", "/health"), NOT_ALLOWED),
    http("run in small letters", request("post", "/run", RUN), NOT_ALLOWED),
    http("unknown method", request("BREW", "/health"), NOT_ALLOWED),
    http("TRACE", request("TRACE", "/health", None, "X-Secret: 1"), NOT_ALLOWED),
    http("TRACK", request("TRACK", "/health"), NOT_ALLOWED),
    http("PUT of a run", request("PUT", "/run", RUN), NOT_ALLOWED),
    http("DELETE of a stored run", request("DELETE", "/status/0123456789abcdef"), NOT_ALLOWED),
    http("PATCH of an unknown route", request("PATCH", "/nothing", b"{}"), NOT_FOUND),
    http("method of 8000 letters", request("A" * 8000, "/health"), NOT_ALLOWED),
    http("method in another header", post("/health", b"{}", "X-HTTP-Method-Override: GET"), NOT_ALLOWED),
    headed("HEAD of an unknown route", request("HEAD", "/nothing"), 404, allow=""),
    http("OPTIONS of an unknown route", request("OPTIONS", "/nothing"), NOT_FOUND),
    *(headed(f"OPTIONS of {path}", request("OPTIONS", path), 204, allow=allow, content_length="",
             access_control_allow_origin="") for path, allow in ROUTES.items()),
    *(headed(f"HEAD of {path}", request("HEAD", path), ANSWERS_HEAD.get(path, 200),
             allow="POST, OPTIONS" if path in ("/ping", "/run") else "") for path in ROUTES),
]


def expecting(name, value, *said, body=b"{}", version="1.1"):
    data = request("POST", "/ping", body, f"Expect: {value}", version=version)
    return http(name, data, *said)


def continued(name, value):
    """A body that is sent when it was asked for."""

    def talk(port):
        with port.connect() as client:
            client.send(PING + f"Expect: {value}\r\nContent-Length: 2\r\nConnection: close\r\n\r\n".encode())
            first = client.socket.recv(len(CONTINUE))
            client.send(b"{}")
            return first, [(status, body) for status, _, body in parse_all(client.read_to_end(), False)]

    return Row(name, talk, (CONTINUE, [NO_HOSTS]))


def preflight(port):
    """The status, and what would permit a page of another site to ask."""
    data = request("OPTIONS", "/run", None, "Origin: https://evil.example", "Access-Control-Request-Method: POST")
    [(status, headers, _)] = port.answers(data)
    return status, [name for name in headers if name.startswith("access-control")]


def foreign(name, *origins):
    return http(name, get("/health", *(f"Origin: {origin}" for origin in origins)),
                (403, no("origin not permitted", "see api_cors_origins")))


def media(name, *headers):
    return refused(name, post("/ping", b"{}", *headers), 415, "unsupported media type", "send application/json")


MEANINGS = [
    continued("100-continue", "100-continue"),
    continued("100-continue in capitals", "100-CONTINUE"),
    expecting("100-continue with the body at once", "100-continue", NO_HOSTS),
    expecting("100-continue in HTTP 1.0", "100-continue", NO_HOSTS, version="1.0"),
    expecting("100-continue for a body over the limit", "100-continue", TOO_LARGE, body=b" " * (MIB + 1)),
    expecting("100-continue for no body", "100-continue", (400, no("request body required", "a JSON object")), body=b""),
    expecting("unknown expectation", "200-ok", NO_HOSTS),
    expecting("100-continue among others", "100-continue, x", NO_HOSTS),
    expecting("100-continue with a parameter", "100-continue;x=y", NO_HOSTS),
    foreign("origin of another site", "https://evil.example"),
    foreign("origin null", "null"),
    foreign("empty origin", ""),
    foreign("origin that begins like ours", "http://<HOST>.evil.example"),
    foreign("origin with our name as its user", "http://<HOST>@evil.example"),
    foreign("our host on another port", "http://127.0.0.1:1"),
    foreign("origin without a scheme", "<HOST>"),
    foreign("pattern as origin", "*"),
    foreign("another site, then ours", "https://evil.example", "http://<HOST>"),
    http("foreign origin of an open route", get("/livez", "Origin: https://evil.example"),
         (403, no("origin not permitted", "see api_cors_origins"))),
    Row("preflight of another site", preflight, (403, [])),
    media("XML", "Content-Type: application/xml"),
    media("form with a file", "Content-Type: multipart/form-data; boundary=x"),
    media("empty type", "Content-Type:"),
    media("type that begins like JSON", "Content-Type: application/jsonp"),
    media("two types in one line", "Content-Type: text/html, application/json"),
    media("type in quotes", 'Content-Type: "application/json"'),
    media("compressed body", "Content-Encoding: gzip"),
    media("body compressed twice", "Content-Encoding: identity, gzip"),
    http("JSON in other letters", post("/ping", b"{}", "Content-Type: APPLICATION/JSON ;charset=utf-16"), NO_HOSTS),
    http("upgrade to HTTP 2", get("/health", "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AA"),
         OK),
    http("upgrade to a web socket", get("/health", "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Key: x"), OK),
    http("close wins over keep-alive", get("/livez", "Connection: keep-alive, close") + get("/health"), LIVE),
    http("range of a document", get("/livez", "Range: bytes=0-0,0-1,0-2"), LIVE),
    http("requests one after the other are answered in order",
         (get("/livez") + get("/readyz") + post("/ping", b"{}") + get("/nothing")) * 25,
         *[LIVE, READY, NO_HOSTS, NOT_FOUND] * 25),
    http("nothing behind a broken request is answered", get("/livez") + b"nonsense\r\n" + get("/livez"), LIVE, BAD_LINE),
    http("nothing behind the end of a connection is answered", get("/livez", "Connection: close") + post("/run", RUN), LIVE),
    http("MiB behind the end of a connection", get("/livez", "Connection: close") + bytes(MIB), LIVE),
    http("half a request behind a good one", get("/livez") + post("/run", RUN)[:-1], LIVE),
]

# --- bodies ------------------------------------------------------------------------------------------------------

TWICE, DEEP = "a key occurs twice in one object", "nested too deeply"
UTF8 = "The input is not valid UTF-8"
STRING = "Problem while parsing a string"
NUMBER = "Problem while parsing a number"
UNESCAPED = "Within strings, some characters must be escaped, we found unescaped characters"


def broken(name, body, detail=SYNTAX):
    return refused(name, post("/run", body), 400, "invalid JSON", detail)


def wrong(name, error, detail="", target="/run", **members):
    body = {"hosts": ["127.0.0.1:1"], "script": "true", **members}
    return refused(name, post(target, {key: value for key, value in body.items() if value is not Ellipsis}), 400, error,
                   detail)


def arguments(text):
    return RUN[:-1] + b',"args":' + text + b"}"


JSON = [
    http("no body", post("/run", b""), (400, no("request body required", "a JSON object"))),
    broken("only blanks", b" " * 100, "Empty: no JSON found"),
    broken("array instead of an object", b"[" + RUN + b"]", "not a JSON object"),
    broken("string instead of an object", b'"x"', "not a JSON object"),
    broken("null instead of an object", b"null", "not a JSON object"),
    broken("number instead of an object", b"1", "not a JSON object"),
    broken("truncated", RUN[:-1]),
    broken("two objects", RUN + RUN),
    broken("NULs behind the object", RUN + bytes(64)),
    broken("NUL within a string", RUN.replace(b"true", b"tr\0ue"), UNESCAPED),
    broken("invalid UTF-8", RUN.replace(b"true", b"\xff\xfe"), UTF8),
    broken("overlong UTF-8", RUN.replace(b"true", b"\xc0\xaf"), UTF8),
    broken("surrogate in UTF-8", RUN.replace(b"true", b"\xed\xa0\x80"), UTF8),
    broken("UTF-16", RUN.decode().encode("utf-16"), UNESCAPED),
    broken("byte order mark", b"\xef\xbb\xbf" + RUN),
    broken("surrogate without its other half", arguments(rb'["\ud800"]'), STRING),
    broken("surrogates in the wrong order", arguments(rb'["\udc00\ud800"]'), STRING),
    broken("escape that is none", arguments(rb'["\x41"]'), STRING),
    broken("hosts twice", RUN[:-1] + b',"hosts":["127.0.0.2:1"]}', TWICE),
    broken("script twice, once escaped", RUN[:-1] + rb',"\u0073cript":"other"}', TWICE),
    broken("token twice", RUN[:-1] + b',"token":"a","token":"b"}', TWICE),
    broken("key twice deep down", RUN[:-1] + b',"x":[{"a":1,"a":2}]}', TWICE),
    broken("nested 33 deep", arguments(b"[" * 32 + b"]" * 32), DEEP),
    broken("nested 33 deep in a member that nobody reads", RUN[:-1] + b',"x":' + b'{"":' * 32 + b"0" + b"}" * 33,
           "The JSON document was too deep (too many nested objects and arrays)"),
    broken("nested a hundred thousand deep", b"[" * 100_000),
    broken("number beyond all doubles", arguments(b"[1e999]"), NUMBER),
    broken("integer of a thousand digits", arguments(b"[" + b"9" * 1000 + b"]"), NUMBER),
    broken("integer of 2^64", arguments(b"[18446744073709551616]"), NUMBER),
    broken("number with a leading zero", arguments(b"[007]"), NUMBER),
    broken("number without digits before the point", arguments(b"[.5]")),
    broken("number without digits behind the point", arguments(b"[5.]"), NUMBER),
    broken("hexadecimal number", arguments(b"[0x1]"), NUMBER),
    broken("number with a plus", arguments(b"[+1]")),
    broken("NaN", arguments(b"[NaN]")),
    broken("infinity", arguments(b"[-Infinity]"), NUMBER),
    broken("True", arguments(b"[True]")),
    broken("comma at the end", arguments(b'["x",]')),
    broken("comment", arguments(b"[] /* nothing */")),
    broken("single quotes", RUN.replace(b'"', b"'")),
    broken("keys without quotes", b'{hosts:["127.0.0.1:1"],script:"true"}'),
    broken("form", b"hosts=127.0.0.1:1&script=true"),
    broken("XML as body", b"<?xml version='1.0'?><run/>"),
    http("body one over 1 MiB", post("/run", RUN.ljust(MIB + 1)), TOO_LARGE),
    http("body of 3 MiB that nobody will read", post("/run", RUN.ljust(3 * MIB)), TOO_LARGE),
    http("body of 1 MiB", post("/ping", b"{}".ljust(MIB)), NO_HOSTS),
    http("half a million numbers", post("/ping", b'{"x":[' + b"0," * 500_000 + b"0]}"), NO_HOSTS),
    http("broken body of a route that needs none", request("GET", "/health", b"{"), OK),
    http("broken body of a discovery", post("/discovery", b"{"), BAD_BODY),
]

NOT_A_LIST, WORDS = "hosts must be a non-empty array", "of host names"
SCRIPT, LETTERS = "script name required", "letters, digits, '_' and '-' only"
NAME = "a name may hold letters, digits, '.', '-' and '_'"
PORT_RANGE = "the port must be 1 to 65535"


def host(name, text, why=NAME, shown=None):
    return wrong(name, "invalid host", f"'{text if shown is None else shown}' is no host: {why}", hosts=[text])


MEMBERS = [
    *(wrong(f"hosts that are {what}", NOT_A_LIST, hosts=value) for what, value in
      (("missing", ...), ("null", None), ("a string", "127.0.0.1:1"), ("a number", 1), ("an object", {"0": "127.0.0.1:1"}),
       ("true", True), ("an empty array", []))),
    *(wrong(f"host that is {what}", NOT_A_LIST, WORDS, hosts=["127.0.0.1:1", value]) for what, value in
      (("null", None), ("a number", 2130706433), ("an array", ["127.0.0.1:1"]), ("an object", {}), ("false", False))),
    wrong("10,001 hosts", "more than 10000 hosts", hosts=[f"127.0.0.1:{port}" for port in range(1, 10_002)]),
    wrong("host that is named twice", "invalid host", "'127.0.0.1:1' is named twice", hosts=["127.0.0.1:1"] * 2),
    wrong("host that is named with and without a port", "invalid host", "'127.0.0.1' is named twice",
          hosts=["127.0.0.1:1", "127.0.0.1"]),
    wrong("hosts of a ping that are no array", NOT_A_LIST, target="/ping", hosts={}),
    wrong("hosts of a discovery that are no array", NOT_A_LIST, target="/discovery", hosts="127.0.0.1:1"),
    wrong("two ports of one host in a discovery", "invalid host", "the answer has one member for each host",
          target="/discovery", hosts=["127.0.0.1:1", "127.0.0.1:2"]),
    host("host that is empty", ""),
    host("host that is a blank", " "),
    host("host with a blank", "web 01"),
    host("host like an option", "-oProxyCommand=true"),
    host("host that is a path", "../../etc/passwd"),
    host("host that is a URL", "http://127.0.0.1:1/"),
    host("host with a user", "root@127.0.0.1"),
    host("two hosts in one string", "127.0.0.1,127.0.0.2"),
    host("host with a NUL", "127.0.0.1\0.example", shown=r"127.0.0.1\x00.example"),
    host("host with a line end", "web-01\nweb-02", shown=r"web-01\x0aweb-02"),
    host("host that would write to a terminal", "\x1b[2J", shown=r"\x1b[2J"),
    host("host in other letters", "wéb-01"),
    host("host that reads backwards", "\u202eweb-01"),
    host("host of 254 letters", "a" * 254, shown="a" * 80),
    host("host of half a MiB", "a" * (1 << 19), shown="a" * 80),
    host("host with two dots", "web..01"),
    host("pattern as host", "*"),
    host("port of zero", "127.0.0.1:0", PORT_RANGE),
    host("port of 65536", "127.0.0.1:65536", PORT_RANGE),
    host("negative port", "127.0.0.1:-1", PORT_RANGE),
    host("port with a plus", "127.0.0.1:+1", PORT_RANGE),
    host("empty port", "127.0.0.1:", PORT_RANGE),
    host("port without a host", ":1"),
    host("port of 2^64 + 1", "127.0.0.1:18446744073709551617", PORT_RANGE),
    host("bracket that is not closed", "[::1", "expected [IPv6-address] or [IPv6-address]:PORT"),
    host("brackets around a name", "[web-01]:1", "expected [IPv6-address] or [IPv6-address]:PORT"),
    host("text behind the bracket", "[::1]1", "expected ':PORT' after ']'"),
    host("IPv6 address with a zone", "fe80::1%lo"),
    *(wrong(f"script that is {what}", SCRIPT, LETTERS, script=value) for what, value in
      (("missing", ...), ("null", None), ("a number", 1), ("an array", ["true"]), ("an object", {"name": "true"}),
       ("empty", ""), ("a path", "/bin/sh"), ("a relative path", "../true"), ("two words", "true true"),
       ("followed by a NUL", "true\0"), ("followed by a line end", "true\n"), ("in other letters", "trüe"),
       ("a command", "true;id"), ("of 129 letters", "a" * 129), ("of half a MiB", "a" * (1 << 19)))),
    *(wrong(f"arguments that are {what}", "args must be an array", args=value) for what, value in
      (("a string", "-rf /"), ("a number", 1), ("an object", {"0": "x"}), ("false", False), ("nested", ["x", ["y"]]),
       ("objects", [{}]))),
    wrong("argument with a NUL", "an argument holds a NUL byte", args=["a", "b\0c"]),
    wrong("argument with a NUL before another", "an argument holds a NUL byte", args=["\0", "x"]),
]


# --- who may -----------------------------------------------------------------------------------------------------

DENIED = (403, b'{"ok":false,"error":"denied","code":1}')
NUL = (403, b'{"ok":false,"error":"the request holds a NUL byte","code":1}')


def asked(name, said, *headers, body=None, target="/health"):
    """The hook permits who has the token "good"."""
    if body is not None:
        return http(name, post(target, body, *headers), said)
    return http(name, get(target, *headers), said)


def bearer(name, value, said=DENIED):
    return asked(name, said, "Authorization:" + value)


AUTHORIZATION = [
    asked("no token", DENIED),
    bearer("bearer", " Bearer good", OK),
    bearer("bearer in capitals and more blanks", "\tBEARER   good ", OK),
    bearer("token in other letters", " Bearer GOOD"),
    bearer("token with more behind it", " Bearer good evil"),
    bearer("list of tokens", " Bearer good, Bearer good"),
    bearer("token in quotes", ' Bearer "good"'),
    bearer("token alone", " good"),
    bearer("no blank behind the scheme", " Bearergood"),
    bearer("tab behind the scheme", " Bearer\tgood"),
    bearer("scheme alone", " Bearer"),
    bearer("scheme and blanks", " Bearer    "),
    bearer("other scheme", " Digest Z29vZDpnb29k"),
    bearer("scheme that ends like ours", " XBearer good"),
    bearer("token that is not UTF-8", " Bearer go\xffod"),
    bearer("token of 8000 letters", " Bearer " + "x" * 8000),
    bearer("token that a shell would run", " Bearer $(touch <DIR>/ran);`touch <DIR>/ran`"),
    refused("token with a NUL", get("/health", "Authorization: Bearer good\0"), 400, CONTROL),
    asked("token of a proxy", DENIED, "Proxy-Authorization: Bearer good"),
    asked("token in a cookie", DENIED, "Cookie: token=good; Authorization=Bearer good"),
    asked("token in the query", DENIED, target="/health?token=good&access_token=good"),
    asked("token as user of the target", DENIED, target="http://good@x/health"),
    asked("wrong token before a good one", DENIED, "Authorization: Bearer evil", "Authorization: Bearer good"),
    asked("token in the body", NO_HOSTS, target="/ping", body=b'{"token":"good"}'),
    asked("token in the body before that in the head", DENIED, "Authorization: Bearer good", target="/ping",
          body=b'{"token":"evil"}'),
    asked("token in an array", DENIED, target="/ping", body=b'{"token":["good"]}'),
    asked("token in an object", DENIED, target="/ping", body=b'{"token":{"token":"good"}}'),
    asked("token in a member of other letters", DENIED, target="/ping", body=b'{"Token":"good"}'),
    asked("token that is true", DENIED, target="/ping", body=b'{"token":true}'),
    asked("token in the body with a NUL behind it", NUL, target="/ping", body=rb'{"token":"good\u0000"}'),
    asked("user with a NUL", NUL, "Authorization: Bearer good", target="/ping", body=rb'{"username":"root\u0000"}'),
    asked("token of half a MiB", (403, b'{"ok":false,"error":"the auth hook could not be run","code":1}'),
          target="/ping", body=b'{"token":"' + b"x" * (1 << 19) + b'"}'),
    asked("token in a broken body", DENIED, target="/ping", body=b'{"token":"good"'),
    asked("unknown route without a token", DENIED, target="/nothing"),
    asked("run without a token", DENIED, target="/run", body=RUN),
    asked("stored run without a token", DENIED, target="/status/0123456789abcdef"),
    asked("open route without a token", LIVE, target="/livez"),
    asked("encoded open route without a token", DENIED, target="/%6civez"),
    http("OPTIONS of a route without a token", request("OPTIONS", "/run"), DENIED),
    http("other method of an open route", request("POST", "/livez", b"{}"), DENIED),
]


# --- connections that do not end as they should ------------------------------------------------------------------


def sends_and_resets(data):
    def talk(port):
        client = port.connect()
        client.send(data)
        port.good()
        client.reset()

    return talk


def reset_after_100_continue(port):
    client = port.connect()
    client.send(POST + b"Expect: 100-continue\r\n" + LENGTH + b"\r\n")
    heard = client.socket.recv(len(CONTINUE))
    client.reset()
    return heard


def byte_by_byte(port):
    with port.connect() as client:
        for byte in post("/ping", b"{}", "Connection: close"):
            client.send(bytes([byte]))
        return [(status, body) for status, _, body in parse_all(client.read_to_end(), False)]


def body_after_the_refusal(port):
    """Who is refused by the head of his request still gets the answer when he goes on to send."""
    with port.connect() as client:
        client.send(POST + b"Content-Length: %d\r\n\r\n" % (2 * MIB))
        client.send(bytes(2 * MIB))
        return [(status, body) for status, _, body in parse_all(client.read_to_end(), False)]


RESETS = [
    Row("reset at once", reset_at_once, None),
    Row("64 silent connections", sixty_four_silent, None),
    Row("reset within the request line", sends_and_resets(b"POST /r"), None),
    Row("reset within the head", sends_and_resets(POST + b"A: "), None),
    Row("reset within the body", sends_and_resets(post("/run", RUN)[:-1]), None),
    Row("reset within a chunk", sends_and_resets(CHUNKED + b"29\r\n{"), None),
    Row("reset between two requests", sends_and_resets(get("/livez")), None),
    Row("reset before the answer", sends_and_resets(get("/openapi.json") * 1000), None),
]

CONNECTIONS = [
    *RESETS,
    Row("reset instead of the body that was asked for", reset_after_100_continue, CONTINUE),
    Row("request byte by byte", byte_by_byte, [NO_HOSTS]),
    Row("body behind the refusal", body_after_the_refusal, [TOO_LARGE]),
]


def tls_failure(name, data, said, reason):
    return Row(name, lambda port: port.ask_raw(data), said, rf"^ACTION=tls-failure PEER=127\.0\.0\.1 REASON=.*{reason}")


def cut_within_the_body(port):
    """Without close_notify: somebody else may have cut the connection."""
    with port.connect() as client:
        client.send(post("/run", RUN)[:-1])
        client.half_close()
        return client.read_to_end()


def old_tls(port):
    try:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.set_ciphers("DEFAULT@SECLEVEL=0")
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
        with port.tcp() as plain, context.wrap_socket(plain):
            return "connected"
    except ssl.SSLError as problem:
        return problem.reason


TLS = [
    tls_failure("plain HTTP on the TLS port", get("/health"), b"", "the peer sent plain HTTP"),
    tls_failure("plain HTTP 2 on the TLS port", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", alert(70), "does not speak TLS"),
    tls_failure("4096 NULs", bytes(4096), alert(70), "does not speak TLS"),
    tls_failure("half a hello", CLIENT_HELLO, b"", "the peer closed the connection during the handshake"),
    tls_failure("hello that announces 16 MiB", b"\x16\x03\x01\x40\x00\x01\xff\xff\xff" + bytes(16380), alert(47), "EXCESSIVE"),
    tls_failure("a hundred warnings", b"\x15\x03\x01\x00\x02\x01\x5a" * 100, alert(10), "TOO_MANY_WARNING"),
    tls_failure("heartbeat as in Heartbleed", b"\x18\x03\x02\x00\x03\x01\x40\x00", alert(10), "UNEXPECTED_RECORD"),
    Row("TLS 1.1", old_tls, "TLSV1_ALERT_PROTOCOL_VERSION", "^ACTION=tls-failure .*no common TLS version"),
    Row("end without goodbye within the body", cut_within_the_body, b""),
    http("length and chunks in TLS", POST + LENGTH + CODED + b"\r\n" + IN_CHUNKS, (400, no(CONFLICT))),
    http("requests one after the other in TLS", (get("/livez") + post("/ping", b"{}")) * 10, *[LIVE, NO_HOSTS] * 10),
    http("body of 3 MiB in TLS", post("/run", RUN.ljust(3 * MIB)), TOO_LARGE),
    *RESETS,
]


# --- clients that take too long ----------------------------------------------------------------------------------


def sent(data):
    def open_connection(port):
        client = port.connect()
        client.send(data)
        return client

    return open_connection


def after_an_answer(more):
    def open_connection(port):
        client = port.connect()
        client.send(get("/livez"))
        client.socket.recv(65536)
        client.send(more)
        return client

    return open_connection


def never_reads(port):
    """Asks for more than all buffers between us hold, and takes nothing."""
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.connect(split_address(port.address))
    connection.sendall(get("/openapi.json") * 1000)
    counts = [-1, -2]

    def is_blocked():
        counts.append(port.daemon.log.count("PATH=/openapi.json"))
        port.good()
        return counts[-1] == counts[-2] == counts[-3]

    poll("the server can write no more", is_blocked)
    return PlainClient(connection)


SLOW_HANDSHAKES = [
    Slow("no handshake", Port.tcp, 10),
    Slow("handshake in drops", hello_in_drops, 10, b"\0"),
    Slow("no request behind the handshake", after_handshake(b""), 30),
]

SLOW = [
    Slow("no request", sent(b""), 30),
    Slow("half a request line", sent(b"POST /ru"), 30),
    Slow("head in drops", sent(POST + b"A: "), 30, b"a"),
    Slow("headers in drops", sent(POST), 30, b"A: b\r\n"),
    Slow("body that never comes", sent(POST + LENGTH + b"\r\n"), 30),
    Slow("body in drops", sent(POST + b"Content-Length: 1000\r\n\r\n"), 30, b" "),
    Slow("chunks in drops", sent(CHUNKED), 30, b"1\r\n \r\n"),
    Slow("body that was asked for and never comes", sent(POST + b"Expect: 100-continue\r\n" + LENGTH + b"\r\n"), 30),
    Slow("half a second request", after_an_answer(b"GET /li"), 30),
    Slow("answers that nobody takes", never_reads, 60),
    Slow("silence between two requests", after_an_answer(b""), 75),
    Slow("blank line between two requests", after_an_answer(b"\r\n"), 75),
]

PLAIN = [*SMUGGLING, *CHUNKS, *HEADS, *TARGETS, *METHODS, *MEANINGS, *JSON, *MEMBERS, *CONNECTIONS]
ROWS = [*PLAIN, *AUTHORIZATION, *TLS]
