"""Command lines that are wrong, and peers that answer wrongly, row by row: the exit code and what must be said.

In what must be said, <CONFIG> stands for the configuration file; in the words <TARGET> is an agent that serves, <PEER>
the hostile peer.
"""

import contextlib
import dataclasses
import json
import re
import socket
import ssl
import threading

from deployment import MISSING, REFUSED


@dataclasses.dataclass(frozen=True)
class Call:
    name: str  # says what is wrong
    words: tuple  # "ced" or "cea" first
    code: int
    said: str  # pattern of a line of stdout or stderr
    environment: tuple = ()  # (name, value) pairs
    shell: str = ""  # how sh starts it, with "$@" for the command


def usage(name, words, said, **options):
    """What is wrong with the command line itself is said with the way to the help, before anything is looked at."""
    return Call(name, words, 2,
                rf"(?s)\A{'ctrl-exec-dispatcher' if words[0] == 'ced' else 'ctrl-exec-agent'}: .*{said}.*"
                                r"\nTry '[a-z -]+'\.\n\Z", **options)


WORDS = [
    usage("no word at all", ("ced",), "no command given"),
    usage("empty word", ("ced", ""), "no command given"),
    usage("nothing but a double dash", ("ced", "--"), "no command given"),
    usage("single dash", ("ced", "-"), "unknown command '-'"),
    usage("command with an escape sequence", ("ced", "\x1b[2J"), r"unknown command '\\x1b\[2J'"),
    usage("command that is not UTF-8", ("ced", b"\xff\xfe"), r"unknown command '\\xff\\xfe'"),
    usage("command of 100,000 letters", ("ced", "a" * 100_000), "unknown command 'a+"),
    usage("command of the agent", ("ced", "serve"), "unknown command 'serve'; it is one of the agent's"),
    usage("command of the dispatcher", ("cea", "approve", "x"), "unknown command 'approve'; it is one of the disp"),
    usage("help on an unknown command", ("ced", "help", "\x1b[2J"), r"unknown command '\\x1b\[2J'"),
    usage("unknown option", ("ced", "ping", "--prot", "1", "web-01"),
          r"unknown option '--prot'; did you mean '--port'\?"),
    usage("option with an escape sequence", ("ced", "ping", "--\x1b[2J"), r"unknown option '--\\x1b\[2J'"),
    usage("letters behind a single dash", ("ced", "run", "-rf", "web-01", "true"), "unknown option '-rf'"),
    usage("option of another command", ("ced", "ping", "--yes", "web-01"), "unknown option '--yes'"),
    usage("option without its value", ("ced", "ping", "web-01", "--port"), "--port needs a value"),
    usage("option as the value of another", ("ced", "ping", "--port", "--json", "web-01"), "--port must be 1 to 65535"),
    usage("value for an option that has none", ("ced", "list-agents", "--json=no"), "--json takes no value"),
    usage("port of 20 digits", ("ced", "ping", "--port", "9" * 20, "web-01"), "--port must be 1 to 65535"),
    usage("port with letters behind it", ("ced", "ping", "--port=7443x", "web-01"), "--port must be 1 to 65535"),
    usage("port with a blank", ("ced", "pairing-mode", "--port", " 7444"), "--port must be 1 to 65535"),
    usage("operand too many", ("ced", "list-agents", "\x1b[2J"), r"unexpected argument '\\x1b\[2J'"),
    usage("arguments where none are passed on", ("ced", "list-agents", "--", "x"), "nothing may follow '--' here"),
    usage("script without a host", ("ced", "run", "true"), r"'run' needs HOST"),
]

HOSTS = [
    usage("empty host", ("ced", "ping", ""), "'' is no host"),
    usage("host with a blank", ("ced", "ping", "web 01"), "'web 01' is no host"),
    usage("host with an escape sequence", ("ced", "ping", "\x1b]0;x\7"), r"'\\x1b\]0;x\\x07' is no host"),
    usage("host that is not UTF-8", ("ced", "ping", b"w\xe9b"), r"'w\\xe9b' is no host"),
    usage("host that is a path", ("ced", "ping", "../web-01"), "'../web-01' is no host"),
    usage("host that is a URL", ("ced", "ping", "https://web-01:7443/"), "'https://web-01:7443/' is no host"),
    usage("host with a user", ("ced", "ping", "root@web-01"), "'root@web-01' is no host"),
    usage("host of 254 letters", ("ced", "ping", "a" * 254), "'a+' is no host"),
    usage("port of a host over 65535", ("ced", "ping", "web-01:65536"), "the port must be 1 to 65535"),
    usage("port of a host that is zero", ("ced", "ping", "[::1]:0"), "the port must be 1 to 65535"),
    usage("port of a host that is empty", ("ced", "ping", "web-01:"), "the port must be 1 to 65535"),
    usage("bracket that is not closed", ("ced", "ping", "[::1"), r"expected \[IPv6-address\]"),
    usage("name in brackets", ("ced", "ping", "[web-01]:7443"), r"expected \[IPv6-address\]"),
    usage("address with a port that could be its last part", ("ced", "ping", "fe80::1:17443"),
          r"write \[IPv6-address\]:PORT"),
    usage("host that is named twice", ("ced", "ping", "web-01", "web-02", "web-01"), "'web-01' is named twice"),
    Call("host that is registered nowhere", ("ced", "ping", "no-such-host.invalid"), 1,
         r"^ctrl-exec-dispatcher: no-such-host\.invalid: the name 'no-such-host\.invalid' does not resolve"),
]

NAMES = [
    usage("script name that leads elsewhere", ("ced", "run", "web-01", "../true"), "'../true' is no script name"),
    usage("empty script name", ("ced", "run", "web-01", ""), "'' is no script name"),
    usage("script name with a shell's letters", ("ced", "run", "web-01", "true;id"), "'true;id' is no script name"),
    usage("script name with a line end", ("ced", "run", "web-01", "true\n"), r"'true\\x0a' is no script name"),
    usage("script name of 129 letters", ("ced", "run", "web-01", "a" * 129), "'a+' is no script name"),
    usage("argument that is not UTF-8", ("ced", "run", "web-01", "true", "--", b"\xc3\x28"),
          r"argument '\\xc3\(' is not UTF-8"),
    usage("token that is not UTF-8", ("ced", "run", "web-01", "true"), "the token is not UTF-8",
          environment=(("ENVEXEC_TOKEN", b"secret\xff"),)),
    Call("arguments over 1 MiB together", ("ced", "run", "<TARGET>", "true", "--", *["x" * 120_000] * 10), MISSING,
         "ERROR: the agent answered 413: request too large"),
    Call("script that is not in the allowlist", ("ced", "run", "<TARGET>", "id"), REFUSED,
         "ERROR: script not permitted"),
    Call("empty request id", ("ced", "approve", ""), 1, "'' is no request id .*; see list-requests"),
    Call("request id in capitals", ("ced", "deny", "00C9845E0001AB42"), 1, "'00C9845E0001AB42' is no request id"),
    Call("request id of 100,000 digits", ("ced", "approve", "0" * 100_000), 1, "'0{60}' is no request id"),
    Call("request id with an escape sequence", ("ced", "deny", "\x1b[2J"), 1, r"'\\x1b\[2J' is no request id"),
    Call("unpairing of nobody", ("ced", "unpair", ""), 1, "'' is no valid hostname"),
    Call("unpairing of a file's name", ("ced", "unpair", "web-01.json"), 1,
         "no agent 'web-01.json' is registered; see"),
    Call("unpairing of a path", ("ced", "unpair", "./web-01"), 1, r"'\./web-01' is no valid hostname"),
    Call("unpairing in other letters", ("ced", "unpair", "WEB-01"), 1, "no agent 'WEB-01' is registered"),
]

SURROUNDINGS = [
    Call("configuration without a name", ("ced", "--config", "", "list-agents"), 78, "--config"),
    Call("configuration whose name is not printable", ("ced", "list-agents", "--config", "/\x1b[2J"), 78,
         r"/\\x1b\[2J does not exist"),
    Call("configuration whose name is too long", ("ced", "list-agents", "--config", "/" + "a" * 5000), 78,
         "File name too long"),
    Call("configuration below a file", ("ced", "list-agents", "--config", "/dev/null/x"), 78, "Not a directory"),
    Call("endless configuration", ("cea", "pairing-status", "--config", "/dev/zero"), 78, "/dev/zero: not a regular"),
    Call("configuration from standard input", ("ced", "list-agents", "--config", "/dev/stdin"), 78,
         "not a regular file",
         shell='cat /dev/null | "$@"'),
    Call("allowlist that is a device", ("cea", "serve", "--allowlist", "/dev/null"), 78,
         "/dev/null: not a regular file"),
    Call("standard output that is closed", ("ced", "list-agents"), 1, "cannot write the output", shell='"$@" >&-'),
    Call("standard output that is full", ("ced", "list-agents", "--json"), 1, "cannot write the output",
         shell='"$@" >/dev/full'),
    Call("nothing open at all", ("ced", "ping", "<TARGET>"), 1, r"\A\Z", shell='"$@" <&- >&- 2>&-'),
    Call("files that may not grow", ("ced", "setup-ctrl-exec", "--yes"), 1, "File too large",
         shell='ulimit -f 0; "$@"'),
    Call("log that goes nowhere", ("ced", "ping", "<TARGET>"), 0, "^127.0.0.1 +ok ",
         environment=(("CTRL_EXEC_LOG", "/nonexistent/" + "a" * 4000),)),
    Call("user name that is not UTF-8", ("ced", "run", "<TARGET>", "true"), 0, "^==> 127.0.0.1  .OK  exit:0 ",
         environment=(("USER", b"\xff\x1b[2J"),)),
    Call("environment without anything", ("ced", "run", "<TARGET>", "true"), 0, "^==> 127.0.0.1  .OK  exit:0 ",
         shell='env -i CTRL_EXEC_LOG=none "$@"'),
]

AGENTS = [
    usage("pairing without a dispatcher", ("cea", "request-pairing"), "request-pairing needs --dispatcher HOST"),
    usage("pairing with an empty dispatcher", ("cea", "request-pairing", "--dispatcher="), "'' is no host"),
    usage("pairing with a URL", ("cea", "request-pairing", "--dispatcher", "https://ctrl"),
          "'https://ctrl' is no host"),
    usage("pairing that waits no second", ("cea", "request-pairing", "--dispatcher", "ctrl", "--timeout", "0"),
          "--timeout must be 1 to 600"),
    usage("pairing that waits too long", ("cea", "request-pairing", "--dispatcher", "ctrl", "--timeout", "601"),
          "--timeout must be 1 to 600"),
    usage("pairing at a port that is none", ("cea", "request-pairing", "--dispatcher", "ctrl", "--port", "-1"),
          "--port must be 1 to 65535"),
    usage("serving with an operand", ("cea", "serve", "now"), "unexpected argument 'now'"),
    Call("pairing with an agent", ("cea", "request-pairing", "--dispatcher", "<TARGET>"), 1,
         "the peer requires a certificate"),
    Call("pairing in the background with an agent", ("cea", "request-pairing", "--background", "--dispatcher",
                                                     "<TARGET>"), 1, "the peer requires a certificate"),
]

CALLS = [*WORDS, *HOSTS, *NAMES, *SURROUNDINGS, *AGENTS]


# --- peers that answer wrongly -----------------------------------------------------------------------------------


class Peer:
    """A TLS server with an agent's certificate that gives every caller the same bytes, and then goodbye."""

    def __init__(self, certificate, key):
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(certificate, key)
        self.answer = b""

    def __enter__(self):
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()

    def _serve(self):
        with contextlib.suppress(OSError):
            while True:
                plain, _ = self._listener.accept()
                plain.settimeout(30)
                with plain, contextlib.suppress(OSError):
                    self._converse(plain)

    def _converse(self, plain):
        with self._context.wrap_socket(plain, server_side=True) as connection:
            read_request(connection)
            connection.sendall(self.answer)
            connection.unwrap()


def read_request(connection):
    data = b""
    while True:
        head, blank, body = data.partition(b"\r\n\r\n")
        length = re.search(rb"(?i)content-length: *(\d+)", head)
        if blank and len(body) >= int(length[1] if length else 0):
            return
        more = connection.recv(65536)
        if not more:
            return
        data += more


@dataclasses.dataclass(frozen=True)
class Answer:
    name: str
    answer: bytes
    said: str
    words: tuple
    code: int = 1


def body(data, status=b"200 OK", headers=b""):
    if not isinstance(data, bytes):
        data = json.dumps(data).encode()
    return b"HTTP/1.0 %b\r\n%bContent-Length: %d\r\n\r\n%b" % (status, headers, len(data), data)


def to_run(name, answer, said, code=MISSING):
    return Answer(name, answer, said, ("ced", "run", "<PEER>", "true"), code)


def to_ping(name, answer, said):
    return Answer(name, answer, said, ("ced", "ping", "<PEER>"))


def to_pairing(name, answer, said):
    return Answer(name, answer, said, ("cea", "request-pairing", "--dispatcher", "<PEER>"))


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
PENDING = body({"status": "pending", "reqid": "00c9845e0001ab42"})
NO_OBJECT, NO_EXIT = "the agent's answer is not a JSON object", "the agent's answer has no valid exit status"
NO_PAIRING = "the dispatcher's answer is not one of the pairing protocol; is this its pairing port"

ANSWERS = [
    to_run("no byte", b"", "closed the connection without an answer"),
    to_run("banner of another protocol", b"SSH-2.0-OpenSSH_9.2\r\n", "malformed status line"),
    to_run("HTTP 2", b"\0\0\x12\4\0\0\0\0\0" + bytes(18), "malformed status line|within the answer"),
    to_run("status of four digits", body({}, b"2000 OK"), "malformed status line"),
    to_run("answer that is cut off", body({"exit": 0})[:-1], "connection closed within the answer"),
    to_run("two lengths", body({"exit": 0}, headers=b"Content-Length: 2\r\n"), "conflicting Content-Length"),
    to_run("length beyond all memory", b"HTTP/1.0 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n",
           "answer too large"),
    to_run("chunk beyond all memory", CHUNKED + b"ffffffffffffffff\r\n", "answer too large"),
    to_run("65 headers", body({"exit": 0}, headers=b"A: b\r\n" * 64), "too many headers"),
    to_run("endless interim answers", b"HTTP/1.1 100 Continue\r\n\r\n" * 1000, "too many interim answers"),
    to_run("other protocol", b"HTTP/1.1 101 Switching Protocols\r\n\r\n", "unasked 101"),
    to_run("redirection", body({}, b"302 Found", b"Location: https://127.0.0.1/run\r\n"), "the agent answered 302"),
    to_run("answer that is no JSON", body(b"<html>"), NO_OBJECT),
    to_run("answer that is an array", body([{"exit": 0}]), NO_OBJECT),
    to_run("answer nested deeply", body(b'{"exit":0,"stdout":' + b"[" * 100_000), NO_OBJECT),
    to_run("two exit codes", body(b'{"exit":1,"exit":0}'), NO_OBJECT),
    to_run("no exit code", body({"stdout": "done"}), NO_EXIT),
    to_run("exit code that is false", body({"exit": False, "stdout": ""}), NO_EXIT),
    to_run("exit code with a fraction", body(b'{"exit":0.0}'), NO_EXIT),
    to_run("exit code of 256", body({"exit": 256}), NO_EXIT),
    to_run("exit code that is null", body({"exit": None}), NO_EXIT),
    to_run("exit code below those there are", body({"exit": -2}), NO_EXIT),
    to_run("refusal without a reason", body({"exit": -1}), "did not run the script and gave no reason",
           REFUSED),
    to_run("reason with an escape sequence", body({"exit": -1, "error": "\x1b[2J"}), r"ERROR: \\x1b\[2J", REFUSED),
    to_run("403 without a reason", body(b"", b"403 Forbidden"), "forbidden: no reason given", REFUSED),
    to_ping("pong without a status", body({"host": "web-01"}), "the agent's answer has no status"),
    to_ping("status of another kind", body({"status": ["ok"]}), "the agent's answer has no status"),
    to_ping("error with an escape sequence", body({"status": "error", "error": "\x1b]0;x\7"}), r"\\x1b\]0;x\\x07"),
    to_pairing("receipt that is no JSON", body(b"<html>"), NO_PAIRING),
    to_pairing("receipt without a status", body({"reqid": "00c9845e0001ab42"}), NO_PAIRING),
    to_pairing("receipt with another status", body({"status": "approved"}), "the dispatcher did not queue the request"),
    to_pairing("refusal with an escape sequence", body({"status": "error", "reason": "\x1b[2J"}),
               r"the dispatcher refused the request: \\x1b\[2J"),
    to_pairing("receipt without an id", body({"status": "pending"}), "receipt has no valid request id"),
    to_pairing("receipt with an id for a shell", body({"status": "pending", "reqid": "$(reboot)"}),
               "receipt has no valid request id"),
    to_pairing("receipt and goodbye", PENDING, "the operator's answer did not come"),
    to_pairing("approval with another nonce", PENDING + body({"status": "approved", "nonce": "00"}),
               "another nonce than our request: somebody may be in the path"),
    to_pairing("approval without anything", PENDING + body({"status": "approved"}), "another nonce"),
    to_pairing("neither approval nor denial", PENDING + body({"status": "perhaps"}), "neither approved nor denied"),
    to_pairing("denial with an escape sequence", PENDING + body({"status": "denied", "reason": "\x1b[2J"}),
               r"pairing denied: \\x1b\[2J"),
    to_pairing("answer over 256 KiB", PENDING + b"HTTP/1.0 200 OK\r\nContent-Length: 262145\r\n\r\n", "too large"),
]
