"""Broken configuration, state files, certificates, hooks and scripts, row by row, and what must be said about them.

A row breaks files of a Place: a whole deployment's directory, or a copy of one. In what must be said, <NAME> stands for
the path of that file there, and <LINE> for the number of the line that the row appended.
"""

import contextlib
import dataclasses
import fcntl
import json
import os
import pathlib
import re
import shutil
import subprocess
import time

CONF, AGENT_CONF, ALLOWLIST = "ctrl-exec.conf", "agent-web-01/agent.conf", "agent-web-01/scripts.conf"
CA_KEY, CA, CA_SERIAL = "dispatcher/ca.key", "dispatcher/ca.crt", "dispatcher/ca.serial"
CERT, KEY = "dispatcher/ctrl-exec.crt", "dispatcher/ctrl-exec.key"
AGENT_CERT, AGENT_KEY, AGENT_CA = "agent-web-01/agent.crt", "agent-web-01/agent.key", "agent-web-01/ca.crt"
SERIAL, REVOKED = "agent-web-01/ctrl-exec-serial", "agent-web-01/revoked-serials"
AGENTS, QUEUE, LOCKS = "dispatcher/state/agents", "dispatcher/state/pairing", "dispatcher/state/locks"
BROKEN = f"{AGENTS}/web-02.json"  # a record beside the good one of web-01
REQID = "00c9845e0001ab42"
WAITING = f"{QUEUE}/{REQID}.json"


class Place:
    """The files of a deployment: the dispatcher's and those of the agent web-01."""

    def __init__(self, root):
        self.root = root
        self.line = None
        self._held = []

    @classmethod
    def copy(cls, deployment, root):
        """All but logs; the configuration names the copies."""
        root.mkdir(mode=0o755)
        for name in ("dispatcher", "agent-web-01"):
            shutil.copytree(deployment.directory / name, root / name, symlinks=True)
        place = cls(root)
        for name in (CONF, AGENT_CONF):
            text = (deployment.directory / name).read_text()
            (root / name).write_text(text.replace(str(deployment.directory), str(root)))
        return place

    def __truediv__(self, name):
        return self.root / name

    def hold(self, name):
        """Locks a file as another process would, until release()."""
        path = self / name
        path.parent.mkdir(parents=True, exist_ok=True)
        self._held.append(path.open("a"))
        fcntl.flock(self._held[-1], fcntl.LOCK_EX)

    def release(self):
        for file in self._held:
            file.close()

    def fill(self, pattern):
        """A pattern with the paths and the line number that it stands for."""
        return re.sub(r"<([^<>?]+)>", lambda found: str(self.line) if found[1] == "LINE" else
                      re.escape(str(self / found[1])), pattern)

    def contents(self):
        """Mode and bytes of everything that a failing command must leave alone: no temporary file stays behind.

        What a request was made with is kept for the next one.
        """
        found = {}
        for folder in ("dispatcher", "agent-web-01"):
            for path in sorted((self / folder).rglob("*")):
                name = str(path.relative_to(self.root))
                if not re.search(r"\.(lock|listener)$|/\.pairing-request\.json$|/state/(locks\b|runs\b|tls-tickets$)", name):
                    regular = path.is_file() and not path.is_symlink()
                    found[name] = (oct(path.lstat().st_mode), path.read_bytes() if regular else b"")
        return found

    @contextlib.contextmanager
    def kept(self, *names):
        """What stands under these names afterwards is what stood there before."""
        saved = {}
        for name in names:
            path = self / name
            saved[path] = (path.read_bytes(), path.stat().st_mode) if path.is_file() else None
        try:
            yield
        finally:
            for path, before in saved.items():
                remove_whatever(path)
                if before:
                    path.write_bytes(before[0])
                    path.chmod(before[1])


    @contextlib.contextmanager
    def aside(self, name):
        """Nothing stands under that name for a while; what stood there is not touched."""
        path, away = self / name, self / "aside"
        path.rename(away)
        try:
            yield
        finally:
            remove_whatever(path)
            away.rename(path)


def remove_whatever(path):
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


# --- what can be done to a file: each makes a function of a Place ------------------------------------------------


def write(name, data, mode=None):
    def do(place):
        path = place / name
        path.parent.mkdir(parents=True, exist_ok=True)
        # In one step: who watches the directory must not find half of it.
        whole = path.with_name(f".{path.name}.whole")
        whole.write_bytes(data if isinstance(data, bytes) else data.encode())
        if mode is not None or path.exists():
            whole.chmod(path.stat().st_mode & 0o7777 if mode is None else mode)
        whole.replace(path)

    return do


def append(name, line):
    def do(place):
        path = place / name
        old = path.read_bytes()
        path.write_bytes(old + (line if isinstance(line, bytes) else line.encode()) + b"\n")
        place.line = old.count(b"\n") + 1

    return do


def edit(name, change):
    return lambda place: (place / name).write_bytes(change((place / name).read_bytes()))


def cut(name):
    return edit(name, lambda data: data[:len(data) // 2])


def remove(name):
    return lambda place: remove_whatever(place / name)


def instead(name, make):
    """Something else than a file under that name; make(path) makes it."""

    def do(place):
        path = place / name
        path.parent.mkdir(parents=True, exist_ok=True)
        remove_whatever(path)
        make(path)

    return do


def directory(name):
    return instead(name, pathlib.Path.mkdir)


def fifo(name):
    return instead(name, os.mkfifo)


def loop(name):
    return instead(name, lambda path: path.symlink_to(path.name))


def device(name):
    return instead(name, lambda path: path.symlink_to("/dev/zero"))


def large(name, size):
    def do(place):
        with (place / name).open("a") as file:
            file.truncate(size)

    return do


def mode(name, permissions):
    return lambda place: (place / name).chmod(permissions)


def same(name, source):
    return lambda place: shutil.copy(place / source, place / name)


def hold(name):
    return lambda place: place.hold(name)


def openssl(*words):
    """OpenSSL with these words, in which <NAME> stands for a path, run in the Place."""

    def do(place):
        argv = [re.sub("<(.+)>", lambda found: str(place / found[1]), word) for word in words]
        done = subprocess.run(["openssl", *argv], cwd=place.root, capture_output=True, timeout=60, check=False)
        if done.returncode:
            raise AssertionError(f"{argv}: {done.stderr.decode()}")

    return do


def both(*actions):
    def do(place):
        for action in actions:
            action(place)

    return do


def nothing(_):
    pass


# --- commands on broken files ------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Command:
    name: str  # says what is wrong
    broken: object  # broken(place)
    words: tuple  # ("ced" or "cea", verb, …); <TARGET> is an agent that serves
    code: int
    said: str  # pattern of a line of stdout or stderr
    changes: str = r"$."  # pattern of the names that the command may change; by default none
    user: str = ""  # run as another user than root


LIST, LISTEN = ("ced", "list-agents"), ("ced", "pairing-mode")
SERVE, STATUS = ("cea", "serve"), ("cea", "pairing-status")
PING, RUN = ("ced", "ping", "<TARGET>"), ("ced", "run", "<TARGET>", "true")
NEW_CERT = ("ced", "setup-ctrl-exec", "--yes")
APPROVE, DENY = ("ced", "approve", REQID), ("ced", "deny", REQID)


def conf(name, line, said, words=LIST):
    """A line of ctrl-exec.conf that is wrong, or of agent.conf when the command is the agent's."""
    file = CONF if words[0] == "ced" else AGENT_CONF
    return Command(name, append(file, line), words, 78, rf"<{file}>:<LINE>: {said}")


CONFIGURATION = [
    conf("line without an equals sign", "port 7443", "expected 'key = value', found 'port 7443'"),
    conf("key with a blank", "my port = 7443", "expected 'key = value', found 'my port = 7443'"),
    conf("section that is not finished", "[tags", r"expected '\[section\]'", STATUS),
    conf("NUL in a value", "state_dir = /var\0/lib", "control character; remove it"),
    conf("escape sequence in a key", "\x1b[2Jport = 7443", "control character; remove it"),
    conf("invalid UTF-8 in a key", b"p\xfcrt = 7443", r"expected 'key = value', found 'p\\xfcrt = 7443'"),
    conf("comment behind a number", "port = 7443 # agents",
         "port must be a number from 1 to 65535, not '7443 # agents'"),
    conf("number of a thousand digits", "read_timeout = " + "9" * 1000,
         "read_timeout must be a number from 1 to 86400"),
    conf("number with a fraction", "connect_timeout = 1.5",
         "connect_timeout must be a number from 1 to 600, not '1.5'"),
    conf("hexadecimal number", "port = 0x1bb", "port must be a number from 0 to 65535, not '0x1bb'", STATUS),
    conf("negative number", "max_parallel = -1", "max_parallel must be a number from 1 to 100000, not '-1'"),
    conf("zero where nothing would work", "stdin_timeout = 0", "stdin_timeout must be a number from 1 to 86400",
         STATUS),
    conf("number without a value", "cert_days =", "cert_days must be a number from 1 to 36500, not ''"),
    conf("neither yes nor no", "pairing_allow_cn_mismatch = maybe", "pairing_allow_cn_mismatch must be yes or no"),
    conf("key type that is too weak", "key_type = dsa", "key_type must be ecdsa or rsa, not 'dsa'"),
    conf("required key without a value", "cert =", "'cert' has no value"),
    Command("required key in a section only", edit(CONF, lambda data: b"[dispatcher]\n" + data), LIST, 78,
            "<ctrl-exec.conf>: 'cert' is missing; add a line 'cert = …'"),
    Command("empty configuration", write(CONF, ""), LIST, 78, "<ctrl-exec.conf>: 'cert' is missing"),
    Command("program instead of a configuration", write(AGENT_CONF, b"\x7fELF\2\1\1" + bytes(100)), STATUS, 78,
            f"<{AGENT_CONF}>:1: control character; remove it"),
    Command("configuration in UTF-16", edit(CONF, lambda data: data.decode().encode("utf-16")), LIST, 78,
            "<ctrl-exec.conf>:1: control character; remove it"),
    Command("byte order mark", edit(CONF, lambda data: b"\xef\xbb\xbf" + data), LIST, 78,
            "<ctrl-exec.conf>:1: .*byte order mark"),
    Command("configuration over 1 MiB", large(CONF, (1 << 20) + 1), LIST, 78,
            "cannot read <ctrl-exec.conf>: larger than 1048576 bytes"),
    Command("no configuration", remove(AGENT_CONF), SERVE, 78, f"<{AGENT_CONF}> does not exist; create it, or name"),
    Command("directory as configuration", directory(CONF), LIST, 78, "<ctrl-exec.conf>: not a regular file"),
    Command("pipe as configuration", fifo(CONF), LIST, 78, "<ctrl-exec.conf>: not a regular file"),
    Command("endless device as configuration", device(AGENT_CONF), STATUS, 78, f"<{AGENT_CONF}>: not a regular file"),
    Command("configuration that links to itself", loop(CONF), LIST, 78,
            "cannot read <ctrl-exec.conf>: Too many levels of symbolic links"),
    Command("configuration that others may not read", mode(CONF, 0o600), LIST, 78,
            "cannot read <ctrl-exec.conf>: Permission denied; check owner and mode", user="nobody"),
    Command("name instead of an address to listen on", append(CONF, "pairing_bind = localhost"), LISTEN, 78,
            "cannot listen on 'localhost': not an IP address"),
    Command("address that is not ours", append(CONF, "pairing_bind = 192.0.2.1"), LISTEN, 1,
            r"cannot listen on 192\.0\.2\.1:0: "),
    Command("directories that are relative", append(AGENT_CONF, "script_dirs = scripts"), SERVE, 78,
            f"<{AGENT_CONF}>: script_dirs must be absolute paths with ':' in between, not 'scripts'"),
    Command("directories that are none", append(AGENT_CONF, "script_dirs = ::"), SERVE, 78,
            f"<{AGENT_CONF}>: script_dirs must be absolute paths"),
    Command("network of 33 bits", append(AGENT_CONF, "allowed_ips = 10.0.0.1, 10.0.0.0/33"), SERVE, 78,
            f"<{AGENT_CONF}>: allowed_ips: '10.0.0.0/33' is neither an IP address nor ADDRESS/BITS"),
    Command("allowed addresses that are none", append(AGENT_CONF, "allowed_ips = ,"), SERVE, 78,
            f"<{AGENT_CONF}>: allowed_ips: no address is given"),
    Command("hostname that leads out of the registry", append(AGENT_CONF, "hostname = ../../etc"), SERVE, 78,
            f"<{AGENT_CONF}>.*hostname '../../etc'"),
    Command("hostname for which a certificate has no room", append(AGENT_CONF, "hostname = " + "a" * 65),
            ("cea", "request-pairing", "--dispatcher", "127.0.0.1"), 78, f"<{AGENT_CONF}>.*hostname.*64"),
    Command("state directory below a file", append(CONF, "state_dir = /dev/null"), LIST, 1,
            "cannot list /dev/null/agents: Not a directory; a part of the path is not a directory"),
    Command("configuration directory that is not there", append(AGENT_CONF, "config_dir = /nonexistent"), SERVE, 78,
            "cannot read /nonexistent/scripts.conf: No such file or directory; create it, or correct the path"),
]

# --- keys and certificates ---------------------------------------------------------------------------------------


SMALL_RSA = openssl("genrsa", "-out", f"<{KEY}>", "1024")
OTHER_CURVE = openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384", "-out", f"<{KEY}>")
ENCRYPTED = both(openssl("pkey", "-in", f"<{KEY}>", "-aes128", "-passout", "pass:secret", "-out", "<new>"),
                 same(KEY, "new"), mode(KEY, 0o600))
DER = both(openssl("x509", "-in", f"<{CERT}>", "-outform", "DER", "-out", "<new>"), same(CERT, "new"))
OTHER_CA = openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout",
                   "<other.key>", "-subj", "/CN=ctrl-exec CA", "-addext", "keyUsage=critical,keyCertSign", "-out",
                   f"<{CA}>")

KEYS = [
    Command("certificate that is cut off", cut(CERT), LISTEN, 1, f"<{CERT}>: broken PEM block; is the file cut off?"),
    Command("empty certificate", write(CERT, ""), LISTEN, 1, f"<{CERT}>: empty; restore it from a backup"),
    Command("certificate in DER", DER, PING, 1, f"<{CERT}>: not PEM text .* convert it with openssl"),
    Command("certificate with a NUL", edit(CERT, lambda data: data + b"\0"), PING, 1, f"<{CERT}>: not PEM text"),
    Command("two certificates", edit(CERT, lambda data: data * 2), PING, 1, f"<{CERT}>: holds more than one PEM block"),
    Command("key instead of a certificate", same(CERT, KEY), PING, 1,
            f"<{CERT}>: holds a PRIVATE KEY, not a CERTIFICATE; correct the path"),
    Command("certificate over its limit", large(CERT, 1 << 24), PING, 1, f"<{CERT}>: larger than"),
    Command("certificate that is a pipe", fifo(CERT), PING, 1, f"<{CERT}>: not a regular file"),
    Command("certificate of another key", same(KEY, CA_KEY), LISTEN, 1, f"<{CERT}> does not belong to <{KEY}>"),
    Command("no key", remove(KEY), LISTEN, 78, f"<{KEY}>.*(setup-ctrl-exec|restore|create it)"),
    Command("key that everybody may read", mode(KEY, 0o644), LISTEN, 1,
            f"<{KEY}>: everybody.* run `chmod 600 <{KEY}>`"),
    Command("key with a passphrase", ENCRYPTED, LISTEN, 1, f"<{KEY}>: encrypted.*`openssl pkey -in <{KEY}>"),
    Command("key of RSA with 1024 bits", SMALL_RSA, LISTEN, 1, f"<{KEY}>: an RSA key of 1024 bits; .* are accepted"),
    Command("key on another curve", OTHER_CURVE, LISTEN, 1, f"<{KEY}>: an EC key on another curve than P-256"),
    Command("certificate instead of a key", both(same(KEY, CERT), mode(KEY, 0o600)), LISTEN, 1,
            f"<{KEY}>: holds a CERTIFICATE, not a PRIVATE KEY; correct the path"),
    Command("directories that others may not enter", mode("dispatcher", 0o700), PING, 1,
            f"<{CA}>: Permission denied; check owner and mode", user="nobody"),
    Command("CA of another deployment", OTHER_CA, PING, 1, "signed by another CA"),
    Command("leaf as CA", same(CA, CERT), NEW_CERT, 1, f"<{CA}> is not a CA certificate"),
    Command("CA key that is cut off", both(remove(CA), cut(CA_KEY)), ("ced", "setup-ca"), 1,
            f"<{CA_KEY}>: (broken PEM block|not a usable private key)"),
    Command("CA key of another CA", same(CA_KEY, KEY), NEW_CERT, 1,
            f"<{CA_KEY}> does not belong to <{CA}>: restore both from the same backup"),
    Command("no CA key", remove(CA_KEY), NEW_CERT, 78, f"<{CA_KEY}> is not there.*restore it from a"),
    Command("CA key that everybody may read", mode(CA_KEY, 0o604), NEW_CERT, 1, "chmod 600"),
    Command("last serial that is no number", write(CA_SERIAL, "0x12\n"), NEW_CERT, 1,
            f"<{CA_SERIAL}>: not a serial number in hexadecimal; restore it"),
    Command("last serial that is empty", write(CA_SERIAL, ""), NEW_CERT, 1, f"<{CA_SERIAL}>: not a"),
    Command("last serial of 1 MiB", write(CA_SERIAL, "7" * (1 << 20)), NEW_CERT, 1,
            f"<{CA_SERIAL}>: not a serial number"),
    Command("directory as last serial", directory(CA_SERIAL), NEW_CERT, 1,
            f"<{CA_SERIAL}>: not a regular file"),
    Command("agent's certificate that is cut off", cut(AGENT_CERT), SERVE, 78, f"<{AGENT_CERT}>: broken PEM block"),
    Command("agent's key that is another's", both(same(AGENT_KEY, KEY), mode(AGENT_KEY, 0o640)), SERVE, 78,
            f"<{AGENT_CERT}> does not belong to <{AGENT_KEY}>; pair this agent again"),
    Command("agent without its key", remove(AGENT_KEY), SERVE, 78, f"<{AGENT_KEY}> does not exist; pair this agent"),
    Command("agent's certificate as its CA", same(AGENT_CA, AGENT_CERT), STATUS, 1,
            f"Not paired. Reason: <{AGENT_CA}> is not a CA certificate"),
    Command("agent with another deployment's CA", both(OTHER_CA, same(AGENT_CA, CA)), STATUS, 1,
            "Not paired. Reason: .*signed by another CA"),
    Command("agent that nobody could talk to", both(OTHER_CA, same(AGENT_CA, CA)), SERVE, 78,
            f"<{AGENT_CERT}>.* signed by another CA"),
    Command("trusted serial that is no number", write(SERIAL, "ctrl-exec\n"), SERVE, 78,
            f"<{SERIAL}>: not a certificate serial in hex; pair this agent again"),
    Command("trusted serial of 41 digits", write(SERIAL, "7" * 41), SERVE, 78, f"<{SERIAL}>: not a certificate serial"),
    Command("trusted serial in a file of 1 MiB", write(SERIAL, "7" * (1 << 20)), SERVE, 78, f"<{SERIAL}>"),
    Command("directory as trusted serial", directory(SERIAL), SERVE, 78, f"<{SERIAL}>: not a regular file"),
    Command("directory as revocation list", directory(REVOKED), SERVE, 78, f"<{REVOKED}>: not a regular file"),
    Command("revocation list over 1 MiB", write(REVOKED, "7\n" * (1 << 20)), SERVE, 78, f"<{REVOKED}>: larger than"),
    Command("revocation list that links to itself", loop(REVOKED), SERVE, 78,
            f"<{REVOKED}>: Too many levels of symbolic links"),
    Command("directory as allowlist", directory(ALLOWLIST), SERVE, 78, f"<{ALLOWLIST}>: not a regular file"),
    Command("no allowlist", remove(ALLOWLIST), SERVE, 78, f"cannot read <{ALLOWLIST}>: No such file.*create it"),
]

# --- the registry ------------------------------------------------------------------------------------------------


def record(name, data, said):
    """A record beside the good one, which must be listed all the same."""
    return Command(name, write(BROKEN, data), LIST, 1, f"<{BROKEN}>: {said}; repair or remove the file")


JSON = r"invalid JSON \(.+\)"
REGISTRY = [
    record("record that is cut off", '{"hostname":"web-02","ip":', JSON),
    record("empty record", "", JSON),
    record("record that is an array", '["web-02"]', "not a JSON object"),
    record("record with two addresses", '{"hostname":"web-02","ip":"192.0.2.1","ip":"192.0.2.2"}', JSON),
    record("record nested a thousand deep", '{"hostname":"web-02","x":' + "[" * 1000 + "]" * 1000 + "}", JSON),
    record("record with a number beyond all doubles", '{"hostname":"web-02","x":1e999}', JSON),
    record("record with a NUL", b'{"hostname":"web-02"\0}', JSON),
    record("record with invalid UTF-8", b'{"hostname":"web-02","ip":"\xff"}', JSON),
    record("record without a name", '{"ip":"192.0.2.2"}', "'' is no valid hostname"),
    record("record with an object as name", '{"hostname":{"a":1}}', "'' is no valid hostname"),
    record("record whose name leads elsewhere", '{"hostname":"../web-02"}', "'../web-02' is no valid hostname"),
    Command("record of another agent", write(BROKEN, '{"hostname":"web-03"}'), LIST, 1,
            f"<{BROKEN}>: holds the record of 'web-03'; rename or remove it"),
    Command("record over 64 KiB", write(BROKEN, '{"hostname":"web-02"}'.ljust((1 << 16) + 1)), LIST, 1,
            f"<{BROKEN}>: larger than 65536 bytes"),
    Command("directory as record", directory(BROKEN), LIST, 1, f"<{BROKEN}>: not a regular file"),
    Command("pipe as record", fifo(BROKEN), LIST, 1, f"<{BROKEN}>: not a regular file"),
    Command("record that links to itself", loop(BROKEN), LIST, 1, f"<{BROKEN}>: Too many levels of symbolic links"),
    Command("record that others may not read", both(write(BROKEN, "{}"), mode(BROKEN, 0)), LIST, 1,
            f"<{BROKEN}>: Permission denied", user="nobody"),
    Command("registry that is a file", instead(AGENTS, pathlib.Path.touch), LIST, 1,
            f"cannot list <{AGENTS}>: Not a directory"),
    Command("registry that others may not read", mode(AGENTS, 0o700), LIST, 1,
            f"cannot list <{AGENTS}>: Permission denied; check owner and mode", user="nobody"),
    Command("new certificate while a record is broken", both(remove(f"{AGENTS}/web-01.json"), write(BROKEN, "{")),
            ("ced", "setup-ctrl-exec"), 1, "1 agent is registered.*Use --yes to replace it"),
    Command("unpairing of a broken record", write(BROKEN, "{"), ("ced", "unpair", "web-02"), 1,
            f"<{BROKEN}>: {JSON}; repair or remove the file"),
    Command("unpairing of a name that leads elsewhere", nothing, ("ced", "unpair", "../agents/web-01"), 1,
            "'../agents/web-01' is no valid hostname"),
    Command("unpairing of a record with an escape sequence",
            write(BROKEN, r'{"hostname":"web-02","expiry":"\u001b[2J"}'),
            ("ced", "unpair", "web-02"), 0, r"stays valid until \\x1b\[2J", changes=re.escape(BROKEN)),
    Command("ping of an agent with a broken record", write(f"{AGENTS}/broken.invalid.json", '{"hostname":'),
            ("ced", "ping", "broken.invalid"), 1, f"<{AGENTS}/broken.invalid.json>: "),
    Command("record with an address that is none",
            write(f"{AGENTS}/no.invalid.json", '{"hostname":"no.invalid","ip":"127.0.0.1\\u0000x","lookup_by":"ip"}'),
            ("ced", "ping", "no.invalid"), 1, "'no.invalid' does not resolve"),
]

# --- the pairing queue -------------------------------------------------------------------------------------------


def waiting(**changes):
    """A request that looks as if it waited, and a listener's lock that somebody holds."""

    def do(place):
        stored = {"id": REQID, "hostname": "web-09", "ip": "192.0.2.9", "csr": "x", "nonce": "aa",
                  "received": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), **changes}
        write(WAITING, json.dumps(stored))(place)
        place.hold(f"{QUEUE}/.listener")

    return do


def spoiled(name, data, words=APPROVE, said=".+"):
    return Command(name, both(waiting(), write(WAITING, data)), words, 1, f"<{WAITING}>: {said}")


def signed_with(name, broken, code, said, changes=r"$."):
    """Approval of a good request with a CA that is broken."""
    good = both(openssl("req", "-new", "-key", f"<{KEY}>", "-subj", "/CN=web-09", "-out", "<csr>"),
                lambda place: waiting(csr=(place / "csr").read_text())(place))
    return Command(name, both(good, broken), APPROVE, code, said, changes)


PAIRING = [
    spoiled("request that is cut off", '{"id":'),
    spoiled("request that is cut off, denied", '{"id":', DENY),
    spoiled("request whose hostname leads elsewhere", json.dumps({"id": REQID, "hostname": "../x"})),
    spoiled("request with two hostnames", f'{{"id":"{REQID}","hostname":"a","hostname":"b"}}'),
    Command("request over 64 KiB", both(waiting(), large(WAITING, (1 << 16) + 1)), APPROVE, 1,
            f"<{WAITING}>: larger than 65536 bytes"),
    Command("directory as request", both(waiting(), directory(WAITING)), APPROVE, 1,
            f"<{WAITING}>: not a regular file"),
    Command("request with another id", waiting(id="00c9845e00000000"), APPROVE, 1, f"no pairing request '{REQID}' is"),
    Command("request without a time", waiting(received="yesterday"), APPROVE, 1, f"no pairing request '{REQID}' is"),
    Command("request that is no CSR", waiting(), APPROVE, 1, "certificate request: not PEM text"),
    Command("id that leads elsewhere", waiting(), ("ced", "approve", f"../pairing/{REQID}"), 1, "is no request id"),
    Command("id that is a pattern", waiting(), ("ced", "deny", "*"), 1, r"'\*' is no request id .*see list-requests"),
    Command("denial of a request with an escape sequence", waiting(ip="\x1b[2J"), DENY, 0,
            r"Denied: web-09 \(\\x1b\[2J\)", changes=rf"{QUEUE}/{REQID}\.denied"),
    Command("queue that is a file", instead(QUEUE, pathlib.Path.touch), ("ced", "list-requests"), 1,
            f"cannot list <{QUEUE}>: Not a directory"),
    Command("queue that others may not read", nothing, ("ced", "list-requests"), 1,
            f"cannot list <{QUEUE}>: Permission denied; check owner and mode", user="nobody"),
    Command("directory as the queue's lock", both(waiting(), directory(f"{QUEUE}/.lock")), APPROVE, 1,
            f"cannot open lock <{QUEUE}/.lock>: Is a directory; a directory is in the way"),
    Command("files that are none of ours in the queue",
            both(write(f"{QUEUE}/.json", "{}"), write(f"{QUEUE}/x.json", "{}"), fifo(f"{QUEUE}/{REQID}.json"),
                 loop(f"{QUEUE}/0123456789abcdef.json"), directory(f"{QUEUE}/0123456789abcdee.approved")),
            ("ced", "list-requests"), 0, "^ID  HOSTNAME  IP  CODE  RECEIVED  TRUST$"),
    signed_with("approval with a CA key that is cut off", cut(CA_KEY), 1, f"<{CA_KEY}>: "),
    signed_with("approval with a leaf as CA", same(CA, CERT), 1, f"<{CA}> is not a CA certificate"),
    signed_with("approval with a broken last serial", write(CA_SERIAL, "one more\n"), 1,
                f"<{CA_SERIAL}>: not a serial"),
    signed_with("approval without the dispatcher's certificate", remove(CERT), 78, f"<{CERT}>.*setup-ctrl-exec"),
    signed_with("approval with a file as registry", instead(AGENTS, pathlib.Path.touch), 1,
                f"<{AGENTS}>: Not a directory", changes=re.escape(CA_SERIAL)),
    signed_with("approval with a directory as answer", directory(f"{QUEUE}/{REQID}.approved"), 1,
                f"<{QUEUE}/{REQID}.approved>: Is a directory", changes=re.escape(CA_SERIAL)),
]

# --- stored runs -------------------------------------------------------------------------------------------------

STORED = f"dispatcher/state/runs/{REQID}.json"
RUN_STATUS = ("ced", "run-status", REQID)


def stored(name, said, results=None, **members):
    run = {"reqid": REQID, "script": "true", "hosts": ["web-01"], "results": results or [], "completed": 1, **members}
    return Command(name, write(STORED, json.dumps(run)), RUN_STATUS, 1, said)


NO_RECORD = f"<{STORED}>: not the record of a run; remove it"
RUNS = [
    Command("run that is cut off", write(STORED, '{"reqid":'), RUN_STATUS, 1, f"<{STORED}>: {JSON}; remove it"),
    Command("run that is an array", write(STORED, "[]"), RUN_STATUS, 1, NO_RECORD),
    Command("directory as run", directory(STORED), RUN_STATUS, 1, f"<{STORED}>: not a regular file"),
    stored("run of another id", f"<{STORED}>: holds run 0123456789abcdef; remove it", reqid="0123456789abcdef"),
    stored("run with an object as results", NO_RECORD, results={"web-01": 0}),
    stored("run that ended at no time", NO_RECORD, completed=1e30),
    stored("run with a number as result", "ERROR: the agent's answer has no valid exit status", results=[0]),
    stored("run with an exit code of 300", "ERROR: the agent's answer has no valid exit status",
           results=[{"exit": 300}]),
    stored("run with an escape sequence as host", r"^==> \\x1b\[2J ", results=[{"host": "\x1b[2J", "exit": 1}]),
    stored("run with an escape sequence as id", r"req:\\x1b\[2J\]$", results=[{"reqid": "\x1b[2J", "exit": 1}]),
    Command("run of a name that leads elsewhere", nothing, ("ced", "run-status", f"../pairing/{REQID}"), 1,
            f"no run '../pairing/{REQID}' is stored"),
]

# --- locks and hooks ---------------------------------------------------------------------------------------------

LOCK = f"{LOCKS}/127.0.0.1--true.lock"
HOOK = "dispatcher/auth-hook"


def hooked(name, make, said, words=RUN, code=1):
    """An auth hook that make(place) makes, and that is asked before anything is started."""

    def broken(place):
        append(CONF, f"auth_hook = {place / HOOK}")(place)
        append(CONF, "auth_hook_timeout = 1")(place)
        make(place)

    return Command(name, broken, words, code, said)


def shell(text):
    return write(HOOK, f"#!/bin/sh\n{text}\n", 0o755)


DENIED = "not authorised: "
LOCKS_AND_HOOKS = [
    Command("directory as lock", directory(LOCK), RUN, 1, f"cannot open lock <{LOCK}>: Is a directory"),
    Command("symlink as lock", instead(LOCK, lambda path: path.symlink_to("/dev/null")), RUN, 1,
            f"cannot open lock <{LOCK}>: Too many levels of symbolic links"),
    Command("pipe as lock", fifo(LOCK), RUN, 1, f"<{LOCK}>"),
    Command("file as the locks' directory", write(LOCKS, ""), RUN, 1,
            f"cannot use directory <{LOCKS}>: Not a directory"),
    Command("lock whose note is cut off", both(write(LOCK, '{"host":'), hold(LOCK)), ("ced", "list-locks"), 0,
            r"^127\.0\.0\.1--true +- +- +- +-$"),
    Command("lock whose note is of other types", both(write(LOCK, '{"host":[],"pid":{}}'), hold(LOCK)),
            ("ced", "list-locks"), 0, r"^127\.0\.0\.1--true +- +- +- +-$"),
    Command("locks listed from a file", write(LOCKS, ""), ("ced", "list-locks"), 1, f"cannot list <{LOCKS}>"),
    Command("locks that others may not see", both(write(LOCK, ""), mode("dispatcher/state", 0o700)),
            ("ced", "list-locks"), 1, f"<{LOCKS}>: Permission denied", user="nobody"),
    Command("lock that others may not open", both(write(LOCK, "", 0o600), hold(LOCK)), ("ced", "list-locks"), 1,
            f"<{LOCK}>: Permission denied", user="nobody"),
    hooked("no hook", nothing, f"{DENIED}the auth hook is missing .<{HOOK}>"),
    hooked("hook that is not executable", write(HOOK, "#!/bin/sh\n", 0o644),
           f"{DENIED}the auth hook is not executable"),
    hooked("hook with another exit code", shell("exit 77"), f"{DENIED}hook exited 77"),
    hooked("hook that does not end and ignores signals", shell("trap '' TERM; while :; do sleep 1; done"),
           f"{DENIED}the auth hook took longer than 1 s", PING),
    hooked("hook that floods its output", shell("head -c 4000000 /dev/zero | tr '\\0' x; exit 1"), f"{DENIED}denied$"),
    hooked("argument that no environment has room for", shell("exit 0"), f"{DENIED}.*too long",
           (*RUN, "--", "x" * 131_065)),
    Command("hook with a relative path", append(CONF, "auth_hook = hooks/allow"), PING, 1,
            f"{DENIED}the auth hook's path must be absolute .hooks/allow"),
]

COMMANDS = [*CONFIGURATION, *KEYS, *REGISTRY, *PAIRING, *RUNS, *LOCKS_AND_HOOKS]

# --- what an agent that serves is to run -------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Run:
    """What the agent answers when something is made of a file that it needs for this request."""

    name: str
    make: object
    said: bytes  # <PATH> stands for the file
    log: str = ""
    body: bytes = b'{"script":"broken","reqid":"r"}'


PROGRAM = "agent-web-01/broken.sh"


def no_program(name, make, reason):
    return Run(name, make, b'{"script":"broken","exit":127,"stdout":"","stderr":"<PATH>: %b","reqid":"r"}'
               % reason.encode(), "^ACTION=run DISPATCHER=\\S+ EXIT=127 ")


NO_INTERPRETER = "its interpreter or loader does not exist; check the #! line, also for a Windows line ending"
NOT_EXECUTABLE = ("not executable; chmod +x it, and check its interpreter, its directories and that the file system is"
                  " not mounted noexec")
NO_PROGRAM = "not a program: no #! line; start the script with one, such as #!/bin/sh"

PROGRAMS = [
    no_program("script that is not there", remove(PROGRAM), "no such file"),
    no_program("directory as script", directory(PROGRAM), "is a directory, not a program"),
    no_program("script that is not executable", write(PROGRAM, "#!/bin/sh\n", 0o644), NOT_EXECUTABLE),
    no_program("empty script", write(PROGRAM, "", 0o755), NO_PROGRAM),
    no_program("script that is half a program", write(PROGRAM, b"\x7fELF\2\1\1" + bytes(57), 0o755), NO_PROGRAM),
    no_program("script with a Windows line end", write(PROGRAM, "#!/bin/sh\r\n", 0o755), NO_INTERPRETER),
    no_program("script whose interpreter is a directory", write(PROGRAM, "#!/usr/bin\n", 0o755), NOT_EXECUTABLE),
    no_program("script that is its own interpreter",
               lambda place: write(PROGRAM, f"#!{place / PROGRAM}\n", 0o755)(place),
               "Too many levels of symbolic links"),
    no_program("script that is being written", both(write(PROGRAM, "#!/bin/sh\n", 0o755), hold(PROGRAM)),
               "is open for writing; try again when it is complete"),
    no_program("pipe as script", both(fifo(PROGRAM), mode(PROGRAM, 0o755)), NOT_EXECUTABLE),
    no_program("script that links to itself", loop(PROGRAM), "Too many levels of symbolic links"),
]

# --- the hook of an agent that serves ----------------------------------------------------------------------------

AGENT_HOOK = "agent-web-01/auth-hook"
TRUE = b'{"script":"true","reqid":"r"}'
RAN = b'{"script":"true","exit":0,"stdout":"","stderr":"","reqid":"r"}'


def asked(name, make, reason, log="", body=TRUE):
    said = b'{"script":"true","exit":-1,"error":"not authorised: %b","reqid":"r"}' % reason.encode()
    return Run(name, make, said, f"^ACTION=deny .*not authorised: {reason}{log}", body)


def agent_shell(text):
    return write(AGENT_HOOK, f"#!/bin/sh\n{text}\n", 0o755)


def long_argument(size):
    return json.dumps({"script": "true", "args": ["x" * size], "reqid": "r"}).encode()


TIMED_OUT = "the auth hook took longer than 1 s"
CANNOT_RUN = "the auth hook could not be run"
HOOKS = [
    asked("hook that is not there", remove(AGENT_HOOK), "the auth hook is missing", " .<PATH>"),
    asked("directory as hook", directory(AGENT_HOOK), "the auth hook is not executable", " .<PATH>"),
    asked("hook that is not executable", write(AGENT_HOOK, "#!/bin/sh\n", 0o644), "the auth hook is not executable"),
    asked("hook that links to itself", loop(AGENT_HOOK), "the auth hook is missing"),
    asked("hook without a first line", write(AGENT_HOOK, "exit 0\n", 0o755), CANNOT_RUN, ".*no #! line"),
    asked("hook with a Windows line end", write(AGENT_HOOK, "#!/bin/sh\r\nexit 0\r\n", 0o755), CANNOT_RUN,
          ".*interpreter"),
    asked("hook with another exit code", agent_shell("exit 77"), "hook exited 77"),
    asked("hook that says no with 256", agent_shell("exit 255"), "hook exited 255"),
    asked("hook that is killed", agent_shell("kill -9 $$"), "the auth hook was killed by signal 9"),
    asked("hook that does not end and ignores signals", agent_shell("trap '' TERM; while :; do sleep 1; done"),
          TIMED_OUT),
    asked("hook that stops itself", agent_shell("kill -STOP $$"), TIMED_OUT),
    asked("hook that leaves a process behind", agent_shell("sleep 1000 & exit 2"), "bad credentials"),
    asked("hook that floods its output", agent_shell("head -c 4000000 /dev/zero; exit 3"), "insufficient privilege"),
    Run("hook that reads nothing", agent_shell("exec <&-; exit 0"), RAN, "^ACTION=run DISPATCHER=\\S+ EXIT=0", long_argument(100_000)),
    asked("user name with a NUL", agent_shell("exit 0"), "the request holds a NUL byte", "",
          rb'{"script":"true","reqid":"r","username":"root\u0000x"}'),
    asked("token with a NUL", agent_shell("exit 0"), "the request holds a NUL byte", "",
          rb'{"script":"true","reqid":"r","token":"\u0000"}'),
    asked("argument that no environment has room for", agent_shell("exit 0"), CANNOT_RUN, ".*too long",
          long_argument(131_065)),
]

# --- files that break while an agent serves ----------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Reload:
    """A file is broken, SIGHUP comes: the log says what is wrong, and the agent serves on as before."""

    name: str
    file: str
    broken: object
    said: str  # pattern of what the log says
    signals: int = 1
    answer: tuple = (200, RAN)  # to a run, before the file is mended


def kept(name, file, broken, said):
    return Reload(name, file, broken,
                  rf"^ACTION=config-warn TEXT=\"?reload failed, the previous configuration stays: {said}")


def skipped(name, line, said, file=ALLOWLIST, what="the line is skipped"):
    return Reload(name, file, append(file, line), rf"^ACTION=config-warn TEXT=\"?<{file}>:<LINE>: {said}.*; {what}")


REFUSED = (403, b'{"error":"serial mismatch","status":"forbidden"}')
AGENT_OTHER_CA = openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout",
                         "/dev/null", "-subj", "/CN=ctrl-exec CA", "-out", f"<{AGENT_CA}>")

RELOADS = [
    kept("configuration that is half written", AGENT_CONF, edit(AGENT_CONF, lambda data: data + b"port"),
         f"<{AGENT_CONF}>:[0-9]+: expected 'key = value', found 'port'"),
    kept("configuration that is truncated", AGENT_CONF, write(AGENT_CONF, ""), f"<{AGENT_CONF}>: 'cert' is missing"),
    kept("configuration that is gone", AGENT_CONF, remove(AGENT_CONF), f"<{AGENT_CONF}> does not exist; create it"),
    kept("directory as configuration", AGENT_CONF, directory(AGENT_CONF), f".*<{AGENT_CONF}>: not a regular file"),
    kept("pipe as configuration", AGENT_CONF, fifo(AGENT_CONF), f".*<{AGENT_CONF}>: not a regular file"),
    kept("configuration over 1 MiB", AGENT_CONF, large(AGENT_CONF, (1 << 20) + 1), f".*<{AGENT_CONF}>: larger than"),
    kept("configuration with a NUL", AGENT_CONF, append(AGENT_CONF, "bind = ::\0"), f"<{AGENT_CONF}>:<LINE>: control"),
    kept("address list that is broken", AGENT_CONF, append(AGENT_CONF, "allowed_ips = localhost"),
         f"<{AGENT_CONF}>: allowed_ips: 'localhost' is neither"),
    kept("allowlist that is gone", ALLOWLIST, remove(ALLOWLIST), f"cannot read <{ALLOWLIST}>: No such file"),
    kept("directory as allowlist", ALLOWLIST, directory(ALLOWLIST), f"cannot read <{ALLOWLIST}>: not a regular file"),
    kept("endless device as allowlist", ALLOWLIST, device(ALLOWLIST), f"cannot read <{ALLOWLIST}>: not a regular"),
    kept("allowlist over 1 MiB", ALLOWLIST, large(ALLOWLIST, (1 << 20) + 1), f"cannot read <{ALLOWLIST}>: larger than"),
    skipped("line without an equals sign", "true", "expected 'name = /absolute/path'"),
    skipped("script name that leads elsewhere", "../true = /bin/true", "script name '../true' may hold only letters"),
    skipped("script name with an escape sequence", "\x1b[2J = /bin/true", r"script name '\\+x1b\[2J' may hold only"),
    skipped("script name of 129 letters", "a" * 129 + " = /bin/true", "script name 'a+' may hold only"),
    skipped("script without a path", "true =", "the path of 'true' must be absolute"),
    skipped("script with a relative path", "true = bin/true", "the path of 'true' must be absolute"),
    skipped("script with a path over 4000 bytes", "true = /" + "a" * 4000, "the path of 'true' is too long"),
    skipped("script with a NUL in its path", "true = /bin/\0true", "NUL byte"),
    kept("certificate that is cut off", AGENT_CERT, cut(AGENT_CERT), f"<{AGENT_CERT}>: broken PEM block"),
    Reload("certificate that is gone", AGENT_CERT, remove(AGENT_CERT),
           rf"^ACTION=config-warn TEXT=\"?reload failed.*<{AGENT_CERT}> does not exist"),
    kept("key of another certificate", AGENT_KEY, both(same(AGENT_KEY, KEY), mode(AGENT_KEY, 0o600)),
         f"<{AGENT_CERT}> does not belong to <{AGENT_KEY}>"),
    kept("key that everybody may read", AGENT_KEY, mode(AGENT_KEY, 0o644), f"<{AGENT_KEY}>: everybody.*chmod 600"),
    kept("CA that is no certificate", AGENT_CA, write(AGENT_CA, "CA\n"), f"<{AGENT_CA}>: not PEM text"),
    kept("CA that is no CA", AGENT_CA, same(AGENT_CA, AGENT_CERT), f"<{AGENT_CA}> is not a CA certificate"),
    kept("CA that did not sign our certificate", AGENT_CA, AGENT_OTHER_CA, ".*signed by another CA"),
    kept("trusted serial that is no number", SERIAL, write(SERIAL, "0x12\n"), f"<{SERIAL}>: not a certificate serial"),
    kept("directory as trusted serial", SERIAL, directory(SERIAL), f".*<{SERIAL}>: not a regular file"),
    Reload("trusted serial that is empty", SERIAL, write(SERIAL, "\n"),
           '^ACTION=config-warn TEXT="no dispatcher is trusted: every request will be refused', answer=REFUSED),
    kept("directory as revocation list", REVOKED, directory(REVOKED), f".*<{REVOKED}>: not a regular file"),
    kept("revocation list over 1 MiB", REVOKED, write(REVOKED, "7\n" * (1 << 20)), f".*<{REVOKED}>: larger than"),
    kept("revocation list that links to itself", REVOKED, loop(REVOKED), f".*<{REVOKED}>: Too many levels of symbolic"),
    Reload("revocation list of nonsense", REVOKED, write(REVOKED, "everybody\n"),
           f"<{REVOKED}>:1: 'everybody' is no certificate serial; nothing is revoked by this line"),
    Reload("revoked serial of a thousand digits", REVOKED, write(REVOKED, "7" * 1000),
           f"<{REVOKED}>:1: '7+' is no certificate serial"),
    Reload("a hundred signals at once", ALLOWLIST, nothing, "^ACTION=reload SCRIPTS=2$", signals=100),
]

# --- files that break while the listener waits -------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Waiting:
    """Files of the queue are broken while an agent waits; then the operator says no."""

    name: str
    broken: object  # broken(place, id)
    denied: bool  # whether the agent hears of it
    said: str  # pattern of what `deny` says


def answer_file(name, make):
    """An answer that is none: the agent goes on waiting, and hears the operator's true answer."""
    return Waiting(name, lambda place, reqid: make(f"{QUEUE}/{reqid}.approved")(place), True, "^Denied: web-01")


def request_file(name, make, said):
    """The request's own file is spoiled: it cannot be answered, and goes when its agent hangs up."""
    return Waiting(name, lambda place, reqid: make(f"{QUEUE}/{reqid}.json")(place), False, said)


WAITING_AGENTS = [
    answer_file("answer that is cut off", lambda name: write(name, '{"status":"appr')),
    answer_file("answer that is empty", lambda name: write(name, "")),
    answer_file("answer that is an array", lambda name: write(name, '["approved"]')),
    answer_file("answer without a status", lambda name: write(name, '{"cert":"x"}')),
    answer_file("answer with a number as status", lambda name: write(name, '{"status":200}')),
    answer_file("answer with two", lambda name: write(name, '{"status":"approved","status":"denied"}')),
    answer_file("answer over 256 KiB", lambda name: write(name, '{"status":"approved"}'.ljust((256 << 10) + 1))),
    answer_file("directory as answer", directory),
    answer_file("pipe as answer", fifo),
    answer_file("answer that links to itself", loop),
    request_file("request that is gone", remove, "no pairing request '<ID>' is waiting; see list-requests"),
    request_file("request that is overwritten", lambda name: write(name, "{"), "no pairing request '<ID>' is waiting"),
    request_file("pipe as request", fifo, "no pairing request '<ID>' is waiting"),
    request_file("directory as request", directory, f"<{QUEUE}/<ID>.json>: not a regular file"),
]


@dataclasses.dataclass(frozen=True)
class Unqueued:
    """The queue itself is broken: an agent that asks now is refused, and the log says why."""

    name: str
    file: str
    make: object
    log: str


QUEUES = [
    Unqueued("directory as lock", f"{QUEUE}/.lock", directory, f"cannot open lock <{QUEUE}/.lock>: Is a directory"),
    Unqueued("lock that links to itself", f"{QUEUE}/.lock", loop, f"cannot open lock <{QUEUE}/.lock>: Too many levels"),
    Unqueued("file as queue", QUEUE, lambda name: write(name, ""), f"cannot use directory <{QUEUE}>: Not a directory"),
    Unqueued("queue that links nowhere", QUEUE, lambda name: instead(name, lambda path: path.symlink_to("nowhere")),
             f"cannot use directory <{QUEUE}>: No such file or directory"),
]

ROWS = [*COMMANDS, *PROGRAMS, *HOOKS, *RELOADS, *WAITING_AGENTS, *QUEUES]
