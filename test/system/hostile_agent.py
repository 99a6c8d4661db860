"""What a hostile or broken caller sends to the agent's port, row by row, and the answer that it must get."""

import dataclasses
import json
import re
import subprocess

from hostile_tables import (CLIENT_HELLO, Port, Row, Slow, after_handshake, alert, hello_in_drops, parse, reset,
                            reset_at_once, sixty_four_silent)
from wire import request

# --- rows --------------------------------------------------------------------------------------------------------


def error(text):
    return b'{"error":"%b"}' % text.encode()


def http(name, data, status, body, end=False, log=""):
    """A request of a trusted dispatcher, and the only answer to it."""
    return Row(name, lambda port: port.ask(data, end), (status, body), log)


def unanswered(name, data):
    """A request that is not all there: nothing is done, and nothing answered."""
    return Row(name, lambda port: port.ask(data, end=True), (0, b""))


def raw(name, data, said, reason):
    """Bytes that are no TLS."""
    return Row(name, lambda port: port.ask_raw(data), said, rf"^ACTION=tls-failure PEER=127\.0\.0\.1 REASON=.*{reason}")


def handshake(name, options, said, reason, identity="trusted"):
    """A client that speaks TLS, but not as it must; `said` is what OpenSSL calls the answer."""

    def talk(port):
        heard = port.s_client(*options, identity=identity)
        found = re.search(r"alert [a-z ]+|HTTP/1\.\d \d+", heard)
        return found[0] if found else heard

    return Row(name, talk, said, rf"^ACTION=tls-failure PEER=127\.0\.0\.1 REASON=.*{reason}")


def post(target, body):
    return request("POST", target, body, version="1.0")


def pong(reqid):
    return b'{"status":"ok","host":"web-01","version":"<VERSION>","expiry":"<EXPIRY>","reqid":"%b"}' % reqid


def ping(name, body, reqid=b""):
    """A ping asks whether somebody is there, so that one with a broken body is answered too."""
    return http(name, post("/ping", body), 200, pong(reqid), log="^ACTION=ping DISPATCHER=\\S+ PEER=")


def refused(reason, script=b"", reqid=None):
    body = b'{"script":"%b","exit":-1,"error":"%b"' % (script, reason)
    return body + (b"}" if reqid is None else b',"reqid":"%b"}' % reqid)


def run(name, body, answer, log="^ACTION=deny DISPATCHER=\\S+ PEER="):
    return http(name, post("/run", body), 200, answer, log=log)


def no_json(name, body):
    return run(name, body, refused(b"invalid JSON"), r'^ACTION=deny DISPATCHER=\S+ PEER=127\.0\.0\.1 REASON="invalid JSON')


def executed(name, body, answer, log="^ACTION=run DISPATCHER=\\S+ EXIT="):
    return dataclasses.replace(run(name, body, answer, log), runs=True)


BAD_LINE, BAD_TARGET = error("malformed request line"), error("malformed request target")
BAD_NAME, BAD_VALUE = error("malformed header name"), error("control character in a header value")
BAD_LENGTH, BAD_CHUNK = error("malformed Content-Length"), error("malformed chunk")
TOO_LARGE, TOO_MANY = error("request too large"), error("too many headers")
NOT_FOUND, VERSION = error("not found"), error("unsupported HTTP version")
GET = b"GET /capabilities HTTP/1.1\r\n"
POST = b"POST /run HTTP/1.1\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
RUN = b'{"script":"true","args":[],"reqid":"r"}'

REQUEST_LINES = [
    http("HTTP 2 preface", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505, VERSION),
    http("HTTP 0.9 request without a version", b"GET /capabilities\r\n", 400, BAD_LINE),
    http("version with two digits", b"GET /capabilities HTTP/1.10\r\n\r\n", 400, BAD_LINE),
    http("TLS within TLS", CLIENT_HELLO + b"\n", 400, BAD_LINE),
    http("banner of another protocol", b"SSH-2.0-OpenSSH_9.2\r\n", 400, BAD_LINE),
    http("two blank lines first", b"\r\n\r\n" + GET + b"\r\n", 400, error("empty request")),
    http("only a blank line", b"\r\n", 400, error("empty request"), end=True),
    http("NUL in the method", b"G\0T /capabilities HTTP/1.1\r\n\r\n", 400, BAD_LINE),
    http("NUL in the target", b"GET /capabilities\0 HTTP/1.1\r\n\r\n", 400, BAD_TARGET),
    http("invalid UTF-8 in the target", b"GET /\xc3\x28 HTTP/1.1\r\n\r\n", 400, BAD_TARGET),
    http("space in the target", b"GET /capabilities x HTTP/1.1\r\n\r\n", 400, BAD_TARGET),
    http("line that ends with a carriage return alone", b"GET / HTTP/1.1\rHost: a\r\n\r\n", 400, BAD_LINE),
    http("CONNECT to another host", b"CONNECT web-02:22 HTTP/1.1\r\n\r\n", 400, BAD_TARGET),
    http("target of another scheme", b"GET ftp://web-01/run HTTP/1.1\r\n\r\n", 400, BAD_TARGET),
    http("target with the address of a proxied server", b"GET https://web-02/capabilities HTTP/1.1\r\n\r\n", 404,
         NOT_FOUND),
    http("dot segments that lead to a route", post("/ping/../run", RUN), 404, NOT_FOUND),
    http("percent encoded route", post("/%72un", RUN), 404, NOT_FOUND),
    http("parameters behind a route", post("/run;x=y?z", RUN), 404, NOT_FOUND),
    http("method in lower case", request("post", "/run", RUN), 404, NOT_FOUND),
    http("request line over 8192 bytes", b"GET /" + b"a" * 8192 + b" HTTP/1.1\r\n\r\n", 431, TOO_MANY),
    http("endless line", b"a" * 300_000, 431, TOO_MANY),
]

HEADER_LINES = [
    http("NUL in a header name", GET + b"A\0: b\r\n\r\n", 400, BAD_NAME),
    http("NUL in a header value", GET + b"A: b\0c\r\n\r\n", 400, BAD_VALUE),
    http("carriage return hidden in a header value", POST + b"A: b\rContent-Length: 2\r\n\r\n{}", 400, BAD_VALUE),
    http("space before the colon", POST + b"Content-Length : 39\r\n\r\n" + RUN, 400, BAD_NAME),
    http("empty header name", GET + b": x\r\n\r\n", 400, BAD_NAME),
    http("header line without a colon", GET + b"nonsense\r\n\r\n", 400, error("header line without a colon")),
    http("folded header line", POST + b"Content-\r\n Length: 2\r\n\r\n{}", 400, error("header line without a colon")),
    http("value that goes on in the next line", GET + b"A: b\r\n\tc\r\n\r\n", 400, error("folded header line")),
    http("two Host headers", GET + b"Host: a\r\nHost: b\r\n\r\n", 400, error("repeated Host")),
    http("header line over 8192 bytes", GET + b"A: " + b"b" * 8192 + b"\r\n\r\n", 431, TOO_MANY),
    http("33 headers", GET + b"A: b\r\n" * 33 + b"\r\n", 431, TOO_MANY),
    http("100,000 headers", GET + b"A: b\r\n" * 100_000 + b"\r\n", 431, TOO_MANY),
]

BODIES = [
    http("two Content-Length that differ", POST + b"Content-Length: 39\r\nContent-Length: 2\r\n\r\n" + RUN, 400,
         error("conflicting Content-Length")),
    http("two Content-Length that are equal", POST + b"Content-Length: 39\r\ncontent-length: 39\r\n\r\n" + RUN, 400,
         error("conflicting Content-Length")),
    http("list as Content-Length", POST + b"Content-Length: 39, 39\r\n\r\n" + RUN, 400, BAD_LENGTH),
    http("empty Content-Length", POST + b"Content-Length:\r\n\r\n" + RUN, 400, BAD_LENGTH),
    http("Content-Length with a sign", POST + b"Content-Length: +39\r\n\r\n" + RUN, 400, BAD_LENGTH),
    http("negative Content-Length", POST + b"Content-Length: -1\r\n\r\n" + RUN, 400, BAD_LENGTH),
    http("hexadecimal Content-Length", POST + b"Content-Length: 0x27\r\n\r\n" + RUN, 400, BAD_LENGTH),
    http("Content-Length one over the limit", POST + b"Content-Length: 1048577\r\n\r\n", 413, TOO_LARGE),
    http("Content-Length that wraps to 39", POST + b"Content-Length: %d\r\n\r\n" % ((1 << 64) + 39) + RUN, 413,
         TOO_LARGE),
    http("Content-Length of 1000 digits", POST + b"Content-Length: " + b"9" * 1000 + b"\r\n\r\n", 413, TOO_LARGE),
    http("three MiB that nobody will read", post("/run", b"x" * (3 << 20)), 413, TOO_LARGE),
    http("Content-Length and chunks", POST + b"Content-Length: 39\r\nTransfer-Encoding: chunked\r\n\r\n" + RUN, 400,
         error("conflicting Content-Length and Transfer-Encoding")),
    http("two Transfer-Encoding", POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", 400,
         error("repeated Transfer-Encoding")),
    http("compressed transfer", POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n", 501,
         error("unsupported Transfer-Encoding")),
    http("chunks in HTTP 1.0", CHUNKED.replace(b"HTTP/1.1", b"HTTP/1.0"), 400, error("Transfer-Encoding in HTTP/1.0")),
    http("chunk size that is no number", CHUNKED + b"x\r\n", 400, BAD_CHUNK),
    http("chunk size with a sign", CHUNKED + b"-1\r\n", 400, BAD_CHUNK),
    http("chunk size of 17 digits", CHUNKED + b"0" * 16 + b"1\r\n", 400, BAD_CHUNK),
    http("chunk of 2^64 bytes", CHUNKED + b"f" * 16 + b"\r\n", 413, TOO_LARGE),
    http("chunks that are too large together", CHUNKED + b"80000\r\n" + b"x" * 0x80000 + b"\r\n80001\r\n", 413,
         TOO_LARGE),
    http("chunk longer than its size", CHUNKED + b"2\r\n{}}\r\n0\r\n\r\n", 400, BAD_CHUNK),
    http("chunk lines that end with a line feed alone", CHUNKED + b"2\n{}\n0\n\n", 400, BAD_CHUNK),
    http("endless chunk extensions", CHUNKED + b"1;" + b"x" * 8000 + b"\r\n \r\n1;" + b"x" * 8000 + b"\r\n", 400,
         error("chunk extensions too long")),
    http("33 trailers", CHUNKED + b"0\r\n" + b"A: b\r\n" * 33 + b"\r\n", 431, TOO_MANY),
    http("trailer without a colon", CHUNKED + b"0\r\nnonsense\r\n\r\n", 400, error("header line without a colon")),
    unanswered("request line that is cut off", b"POST /ru"),
    unanswered("header that is cut off", POST + b"Content-Len"),
    unanswered("body that is one byte short", post("/run", RUN)[:-1]),
    unanswered("chunks without the last one", CHUNKED + b"27\r\n" + RUN + b"\r\n"),
    unanswered("chunks without the blank line at the end", CHUNKED + b"27\r\n" + RUN + b"\r\n0\r\n"),
    http("second request hidden behind a short Content-Length",
         post("/ping", b"{}") + b"x" * 10 + post("/run", RUN), 200, pong(b"")),
]

JSON = [
    no_json("truncated JSON", RUN[:-1]),
    no_json("empty body", b""),
    no_json("array instead of an object", b"[" + RUN + b"]"),
    no_json("two objects", RUN + RUN),
    no_json("NULs behind the object", RUN + bytes(64)),
    no_json("NUL byte within a string", RUN.replace(b"true", b"tr\0ue")),
    no_json("invalid UTF-8", RUN.replace(b'"r"', b'"\xff\xfe"')),
    no_json("overlong UTF-8", RUN.replace(b'"r"', b'"\xc0\xaf"')),
    no_json("UTF-16", RUN.decode().encode("utf-16")),
    no_json("surrogate without its other half", RUN.replace(b'"r"', rb'"\ud800"')),
    no_json("key that occurs twice", b'{"script":"nope","script":"true","reqid":"r"}'),
    no_json("key that occurs twice, once escaped", rb'{"script":"true","\u0073cript":"nope","reqid":"r"}'),
    no_json("key that occurs twice deep down", b'{"script":"true","reqid":"r","x":[{"a":1,"a":2}]}'),
    no_json("nested a hundred thousand deep", b"[" * 100_000),
    no_json("nested 33 deep", RUN.replace(b"[]", b"[" * 32 + b"]" * 32)),
    no_json("number beyond all doubles", RUN.replace(b"[]", b"[1e999]")),
    no_json("integer of a thousand digits", RUN.replace(b"[]", b"[" + b"9" * 1000 + b"]")),
    no_json("number with a leading zero", RUN.replace(b"[]", b"[007]")),
    no_json("NaN", RUN.replace(b"[]", b"[NaN]")),
    no_json("comma at the end", RUN.replace(b"[]", b'["x",]')),
    no_json("comment", RUN.replace(b"[]", b"[] /* nothing */")),
    no_json("XML", b"<?xml version='1.0'?><script>true</script>"),
    run("script that is no string", b'{"script":{"name":"true"},"args":[],"reqid":"r"}',
        refused(b"script not permitted", reqid=b"r")),
    run("no script", b'{"args":[],"reqid":"r"}', refused(b"script not permitted", reqid=b"r")),
    run("script that is a number", b'{"script":1,"reqid":"r"}', refused(b"script not permitted", b"1", b"r")),
    run("path instead of a name", b'{"script":"/bin/sh","reqid":"r"}',
        refused(b"script not permitted", b"/bin/sh", b"r")),
    run("name that leads out of the directory", b'{"script":"../true","reqid":"r"}',
        refused(b"script not permitted", b"../true", b"r")),
    run("name with a NUL behind it", rb'{"script":"true\u0000","reqid":"r"}',
        refused(b"script not permitted", rb"true\u0000", b"r")),
    run("name with a blank behind it", b'{"script":"true ","reqid":"r"}',
        refused(b"script not permitted", b"true ", b"r")),
    run("name in other letters", b'{"script":"TRUE","reqid":"r"}', refused(b"script not permitted", b"TRUE", b"r")),
    run("name of half a MiB", b'{"script":"' + b"a" * (1 << 19) + b'","reqid":"r"}',
        refused(b"script not permitted", b"a" * 1024, b"r")),
    run("request id of half a MiB", b'{"script":"nope","reqid":"' + b"r" * (1 << 19) + b'"}',
        refused(b"script not permitted", b"nope", b"r" * 1024)),
    run("arguments in one string", b'{"script":"true","args":"-rf /","reqid":"r"}',
        refused(b"args must be an array", b"true", b"r")),
    run("arguments in an object", b'{"script":"true","args":{"0":"x"},"reqid":"r"}',
        refused(b"args must be an array", b"true", b"r")),
    run("argument that is an array", b'{"script":"true","args":["x",["y"]],"reqid":"r"}',
        refused(b"args must be an array", b"true", b"r")),
    run("argument with a NUL", rb'{"script":"true","args":["a","b\u0000c"],"reqid":"r"}',
        refused(b"an argument holds a NUL byte", b"true", b"r")),
    executed("argument of 128 KiB", json.dumps({"script": "true", "args": ["x" * (1 << 17)], "reqid": "r"}).encode(),
             b'{"script":"true","exit":127,"stdout":"","stderr":"<DIR>/true.sh: the arguments are too long for the'
             b' system","reqid":"r"}', "^ACTION=run DISPATCHER=\\S+ EXIT=127 .*Argument list too long"),
    executed("250,000 arguments", b'{"script":"true","reqid":"r","args":[' + b"0," * 249_999 + b"0]}",
             b'{"script":"true","exit":127,"stdout":"","stderr":"<DIR>/true.sh: the arguments are too long for the'
             b' system","reqid":"r"}', "^ACTION=run DISPATCHER=\\S+ EXIT=127 .*Argument list too long"),
    run("request id that would forge a line of the log",
        rb'{"script":"nope","reqid":"r\nACTION=run EXIT=0 SCRIPT=true"}',
        refused(b"script not permitted", b"nope", rb"r\nACTION=run EXIT=0 SCRIPT=true"),
        r'^ACTION=deny DISPATCHER=\S+ PEER=127\.0\.0\.1 .*REQID="r\\\\x0aACTION=run EXIT=0 SCRIPT=true" SCRIPT=nope$'),
    run("script name that would write to the operator's terminal", rb'{"script":"\u001b[2J\u202e","reqid":"r"}',
        refused(b"script not permitted", b"\\u001b[2J\xe2\x80\xae", b"r"), r"SCRIPT=\"?\\+x1b\[2J"),
    ping("ping with truncated JSON", b'{"reqid":"r'),
    ping("ping with an array", b'["r"]'),
    ping("ping nested ten thousand deep", b'{"reqid":' * 10_000),
    ping("ping with two request ids", b'{"reqid":"r","reqid":"s"}'),
    ping("ping with an object as request id", b'{"reqid":{"r":1}}'),
    ping("ping with a body over 64 KiB", b'{"reqid":"r"}'.ljust((1 << 16) + 1)),
    ping("ping with invalid UTF-8", b'{"reqid":"\xff"}'),
    ping("ping with the largest number there is", b'{"reqid":18446744073709551615}', b"18446744073709551615"),
]

NO_TLS = [
    raw("nothing at all", b"", b"", "the peer closed the connection during the handshake"),
    raw("plain HTTP", b"GET /capabilities HTTP/1.1\r\nHost: web-01\r\n\r\n", b"", "the peer sent plain HTTP"),
    raw("plain HTTP as to a proxy", b"CONNECT web-01:7443 HTTP/1.1\r\n\r\n", b"", "the peer sent plain HTTP"),
    raw("plain HTTP 2 preface", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", alert(70), "the peer does not speak TLS"),
    raw("4096 NULs", bytes(4096), alert(70), "the peer does not speak TLS"),
    raw("hello of SSL 2", bytes.fromhex("802e010002001500000010") + bytes(37), alert(70),
        "the peer does not speak TLS"),
    raw("record that is too long", b"\x16\x03\x01\xff\xff" + bytes(100), alert(22), "TOO_LONG"),
    raw("hello that announces 16 MiB", b"\x16\x03\x01\x40\x00\x01\xff\xff\xff" + bytes(16380), alert(47), "EXCESSIVE"),
    raw("hello that is too short", b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00", alert(50), "DECODE_ERROR"),
    raw("a hundred empty records", b"\x16\x03\x01\x00\x00" * 100, alert(10), "TOO_MANY_EMPTY"),
    raw("a hundred warnings", b"\x15\x03\x01\x00\x02\x01\x5a" * 100, alert(10), "TOO_MANY_WARNING"),
    raw("heartbeat as in Heartbleed", b"\x18\x03\x02\x00\x03\x01\x40\x00", alert(10), "UNEXPECTED_RECORD"),
    raw("data before any handshake", b"\x17\x03\x03\x00\x05hello", alert(10), "UNEXPECTED_RECORD"),
    raw("message of a server", b"\x16\x03\x03\x00\x04\x02\x00\x00\x00", alert(10), "UNEXPECTED_MESSAGE"),
    raw("half a hello", CLIENT_HELLO, b"", "the peer closed the connection during the handshake"),
]

WEAK = "DEFAULT@SECLEVEL=0"  # else OpenSSL itself would not even try
HANDSHAKES = [
    handshake("TLS 1.1", ["-tls1_1", "-cipher", WEAK], "alert protocol version", "no common TLS version"),
    handshake("cipher suite without forward secrecy", ["-tls1_2", "-cipher", "AES128-GCM-SHA256"],
              "alert handshake failure", "no common cipher suite"),
    handshake("cipher suite with CBC", ["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-SHA:ECDHE-RSA-AES128-SHA"],
              "alert handshake failure", "no common cipher suite"),
    handshake("no certificate in TLS 1.2", ["-tls1_2"], "alert handshake failure", "the peer sent no certificate",
              None),
    handshake("no certificate in TLS 1.3", ["-tls1_3"], "alert certificate required", "the peer sent no certificate",
              None),
    handshake("self-signed certificate", [], "alert unknown ca", "self-signed", "self-signed"),
    handshake("certificate of another CA with the trusted serial", [], "alert unknown ca",
              "another CA of the same name", "forged"),
    handshake("certificate that an agent has signed", [], "alert unknown ca", "signed by another CA",
              "signed by a leaf"),
    handshake("certificate that has expired", [], "alert certificate expired", "has expired", "expired"),
    handshake("certificate of the future", [], "alert certificate expired", "is not valid before", "future"),
    handshake("certificate for servers only", [], "alert unknown ca", "extended key usage", "server only"),
    handshake("certificate that may not sign", [], "alert illegal parameter", "key usage", "encipherment only"),
    handshake("certificate with two names", [], "alert unknown ca", "ambiguous common name", "two names"),
    handshake("certificate with a negative serial", [], "alert unknown ca", "negative or over 20 octets",
              "negative serial"),
    handshake("certificate with a serial of 30 octets", [], "alert unknown ca", "negative or over 20 octets",
              "long serial"),
    handshake("certificate of the CA itself", [], "alert illegal parameter", "key usage", "authority"),
    Row("revoked certificate", lambda port: port.ask(post("/run", RUN), identity="revoked"),
        (403, error("certificate revoked")), "^ACTION=revoked-cert PEER="),
    Row("certificate of the same CA that is nobody's dispatcher",
        lambda port: port.ask(post("/run", RUN), identity="sibling"),
        (403, b'{"error":"serial mismatch","status":"forbidden"}'), "^ACTION=serial-reject PEER="),
    Row("untrusted caller on an unknown route", lambda port: port.ask(post("/shell", RUN), identity="sibling"),
        (404, NOT_FOUND)),
]


# --- connections that do not end as they should ------------------------------------------------------------------


def silent_while_others_work(port):
    with port.tcp():
        port.good()


def reset_within_the_hello(port):
    connection = port.tcp()
    connection.sendall(CLIENT_HELLO)
    port.good()
    reset(connection)


def end_without_goodbye(port):
    with port.tls() as client:
        client.half_close()
        return parse(client.read_to_end())


def cut_within_the_body(port):
    with port.tls() as client:
        client.send(post("/run", RUN)[:-1])
        client.half_close()
        return parse(client.read_to_end())


def reset_within_the_body(port):
    client = port.tls()
    client.send(post("/run", RUN)[:-1])
    port.good()
    client.reset()


def end_before_the_answer(port):
    with port.tls() as client:
        client.send(post("/run", b'{"script":"slow","reqid":"r"}'))
        client.end()
        return parse(client.read_to_end())


def reset_while_the_script_runs(port):
    client = port.tls()
    client.send(post("/run", b'{"script":"slow","reqid":"r"}'))
    port.good()
    client.reset()


def answer_that_nobody_reads(port):
    client = port.tls()
    client.send(request("POST", "/run", b'{"script":"big","reqid":"r"}', "X-Ctrl-Exec: 1"))
    port.good()
    client.reset()


def pipelined_without_reading(port):
    client = port.tls()
    client.send(request("POST", "/ping", {}, "X-Ctrl-Exec: 1") * 1000)
    port.good()
    client.reset()


def garbage_after_a_good_request(port):
    with port.tls() as client:
        client.send(request("POST", "/ping", {}, "X-Ctrl-Exec: 1") + b"\0\0\0\0\r\n\r\n")
        first = client.read_answer()
        return first.status, parse(client.read_to_end())


def alert_after(data):
    """The alert with which the agent ends a connection when these bytes stand where a record should be."""

    def talk(port):
        with port.tls() as client:
            client.send_raw(data)
            try:
                return client.read_to_end()
            except OSError as problem:
                return problem.reason

    return talk


def renegotiation(port):
    """`R` alone on a line makes s_client ask for a new handshake within the connection."""
    with subprocess.Popen(port.s_client_argv("-tls1_2", identity="trusted"), stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as client:
        client.stdin.write(b"R\n")
        client.stdin.flush()
        heard = client.stdout.read()  # stdin stays open, so that only the agent ends this
    return re.findall(r"^RENEGOTIATING|alert no renegotiation|HTTP/1", heard.decode(errors="replace"), re.M)


BROKEN_CONNECTIONS = [
    Row("silent connection while others work", silent_while_others_work, None, "closed the connection during the hand"),
    Row("64 silent connections", sixty_four_silent, None, "closed the connection during the handshake"),
    Row("reset at once", reset_at_once, None),
    Row("reset within the hello", reset_within_the_hello, None, "closed the connection during the handshake"),
    Row("end without goodbye before the request", end_without_goodbye, (400, error("empty request"))),
    Row("end without goodbye within the body", cut_within_the_body, (0, b"")),
    Row("reset within the body", reset_within_the_body, None),
    Row("goodbye before the answer", end_before_the_answer,
        (200, b'{"script":"slow","exit":0,"stdout":"done\\n","stderr":"","reqid":"r"}'), runs=True),
    Row("reset while the script runs", reset_while_the_script_runs, None, "^ACTION=run DISPATCHER=\\S+ EXIT=0", runs=True),
    Row("answer of 8 MiB that nobody reads", answer_that_nobody_reads, None, "^ACTION=run DISPATCHER=\\S+ EXIT=0", runs=True),
    Row("thousand requests at once and a reset", pipelined_without_reading, None),
    Row("garbage after a good request", garbage_after_a_good_request, (200, (400, BAD_LINE))),
    Row("plain text after the handshake", alert_after(b"GET /capabilities HTTP/1.0\r\n\r\n"),
        "TLSV1_ALERT_PROTOCOL_VERSION"),
    Row("record that cannot be decrypted", alert_after(b"\x17\x03\x03\x00\x20" + bytes(32)),
        "SSLV3_ALERT_BAD_RECORD_MAC"),
    Row("record over its limit after the handshake", alert_after(b"\x17\x03\x03\xff\xff" + bytes(100)),
        "TLSV1_ALERT_RECORD_OVERFLOW"),
    Row("new handshake within the connection", renegotiation, ["RENEGOTIATING", "alert no renegotiation"]),
]

# --- callers that take too long ----------------------------------------------------------------------------------


def half_a_second_request(port):
    client = port.tls()
    client.send(request("POST", "/ping", {}, "X-Ctrl-Exec: 1"))
    client.read_answer()
    client.send(b"POST /ping")
    return client


SLOW = [
    Slow("no handshake", Port.tcp, 10),
    Slow("handshake in drops", hello_in_drops, 10, b"\0"),
    Slow("no request", after_handshake(b""), 30),
    Slow("half a request", after_handshake(POST + b"Content-Length: 39\r\n\r\n{"), 30),
    Slow("header in drops", after_handshake(POST + b"A: "), 30, b"a"),
    Slow("body in drops", after_handshake(POST + b"Content-Length: 1000\r\n\r\n"), 30, b" "),
    Slow("chunks in drops", after_handshake(CHUNKED), 30, b"1\r\n \r\n"),
    Slow("half a second request", half_a_second_request, 30),
]


ROWS = [*REQUEST_LINES, *HEADER_LINES, *BODIES, *JSON, *NO_TLS, *HANDSHAKES, *BROKEN_CONNECTIONS]
