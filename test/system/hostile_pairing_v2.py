"""What a broken or hostile peer of pairing version 2 sends: to the dispatcher, row by row, and to the agent."""

import json

from hostile_pairing import INVALID, rejected
from hostile_tables import Row, Slow
from pairing_v2 import V2Agent, commitment, der_of, sha256
from wire import request

COMMIT = "0" * 64
JOIN = {"kid": "0" * 16, "mac": "0" * 64}
ABSENT = object()


def asked(port, **changes):
    body = port.body(**{"pair_v": 2, "sas_commit": COMMIT, **changes})
    return {name: value for name, value in body.items() if value is not ABSENT}


def bad(name, reason, **changes):
    """A request of version 2 in which some members are others."""
    return Row(name, lambda port: port.ask(request("POST", "/pair", asked(port, **changes), version="1.0")),
               (200, INVALID), rejected(reason))


VERSION, COMMITMENT, JOINS = "pair_v", "sas_commit", "join"

REQUESTS = [
    *(bad(f"pair_v that is {name}", VERSION, pair_v=value) for name, value in {
        "a text": "2", "a fraction": 2.5, "nothing": 0, "negative": -1, "null": None, "an array": [2], "true": True,
        "an object": {"pair_v": 2}, "an empty text": ""}.items()),
    *(bad(f"commitment that is {name}", COMMITMENT, sas_commit=value) for name, value in {
        "missing": ABSENT, "null": None, "short": "0" * 63, "long": "0" * 65, "in capitals": "ABCDEF" + "0" * 58,
        "a number": 1, "no hex": "g" * 64, "empty": "", "an array": [COMMIT], "with a NUL": "0" * 63 + "\0",
        "of 60,000 digits": "0" * 60_000}.items()),
    *(bad(f"join that is {name}", JOINS, join=value) for name, value in {
        "null": None, "a text": "cej2_", "an array": [JOIN], "empty": {}, "without a mac": {"kid": JOIN["kid"]},
        "without a kid": {"mac": JOIN["mac"]}, "of a path": {**JOIN, "kid": "../../../../etc"},
        "of a kid with a slash": {**JOIN, "kid": "0123456/01234567"}, "of a kid in capitals": {**JOIN, "kid": "A" * 16},
        "of a long kid": {**JOIN, "kid": "0" * 17}, "of a kid that is a number": {**JOIN, "kid": 1234567890123456},
        "of a kid with a line end": {**JOIN, "kid": "0" * 15 + "\n"}, "of a short mac": {**JOIN, "mac": "0" * 63},
        "of a mac that is null": {**JOIN, "mac": None}, "of a mac in capitals": {**JOIN, "mac": "A" * 64},
        "of a mac that is an object": {**JOIN, "mac": {}}}.items()),
    bad("join of version 1", JOINS, pair_v=1, sas_commit=ABSENT, join=JOIN),
    bad("join without a version", JOINS, pair_v=ABSENT, join=JOIN),
    bad("name of dispatchers", "ctrl-exec", hostname="ctrl-exec"),
    bad("name of dispatchers in capitals", "CTRL-EXEC", hostname="CTRL-EXEC"),
]


# --- reveals -----------------------------------------------------------------------------------------------------


def revealing(port, data, end=False):
    """The last answer to an agent that says `data(agent)` instead of its reveal; None when there is none."""
    with V2Agent(port.address, "web-01") as agent:
        agent.ask()
        agent.client.send(data(agent))
        if end:
            agent.client.end()
            said = agent.client.read_to_end()
            return json.loads(said.partition(b"\r\n\r\n")[2]) if said else None
        return agent.read_last()


def reveal(name, data, said="commitment mismatch", end=False, log="^ACTION=pair-commit-mismatch .*HOST=web-01"):
    answer = {"status": "denied", "reason": said, "pair_v": 2} if said else None
    return Row(name, lambda port: revealing(port, data, end), answer, log)


def body(**changes):
    def data(agent):
        members = {"reqid": agent.first["reqid"], "sas_nonce": agent.agent_nonce.hex(), **changes}
        members = {name: value(agent) if callable(value) else value for name, value in members.items()
                   if value is not ABSENT}
        return request("POST", "/pair/reveal", members, version="1.0")

    return data


def raw(method="POST", target="/pair/reveal", edit=lambda data: data):
    def data(agent):
        members = {"reqid": agent.first["reqid"], "sas_nonce": agent.agent_nonce.hex()}
        return request(method, target, edit(json.dumps(members).encode()), version="1.0")

    return data


REVEAL = b"POST /pair/reveal HTTP/1.1\r\n"
GONE = "^ACTION=pair-end HOST=web-01 OUTCOME="

REVEALS = [
    *(reveal(f"nonce that is {name}", body(sas_nonce=value)) for name, value in {
        "missing": ABSENT, "null": None, "empty": "", "a number": 7, "short": "00", "no hex": "x" * 64, "long": "0" * 66,
        "another": "0" * 64, "in capitals": lambda agent: agent.agent_nonce.hex().upper(),
        "the commitment": lambda agent: commitment(agent.agent_nonce, sha256(der_of(agent.csr)))}.items()),
    *(reveal(f"id that is {name}", body(reqid=value)) for name, value in {
        "missing": ABSENT, "null": None, "another": "0" * 16, "a number": 17, "a path": "../../x", "empty": "",
        "in capitals": lambda agent: agent.first["reqid"].upper() + "A"}.items()),
    reveal("truncated JSON", raw(edit=lambda data: data[:-1])),
    reveal("array around the object", raw(edit=lambda data: b"[" + data + b"]")),
    reveal("two objects", raw(edit=lambda data: data + data)),
    reveal("nonce twice", raw(edit=lambda data: data[:-1] + b',"sas_nonce":"00"}')),
    reveal("invalid UTF-8", raw(edit=lambda data: data[:-1] + b',"x":"\xff"}')),
    reveal("no body", lambda _: REVEAL + b"\r\n"),
    reveal("body over 64 KiB", lambda _: REVEAL + b"Content-Length: 65537\r\n\r\n"),
    reveal("endless header line", lambda _: REVEAL + b"A: " + b"b" * 100_000),
    reveal("no HTTP", lambda _: b"\0\1\2\3\r\n\r\n"),
    reveal("another path", raw(target="/pair")),
    reveal("another request", lambda agent: request("POST", "/pair", agent.body(), version="1.0")),
    reveal("end before it is whole", lambda agent: raw()(agent)[:-1], None, True, GONE),
    reveal("end in its place", lambda _: b"", None, True, GONE),
]

SLOW = [
    Slow("no reveal", lambda port: asked_only(port, b""), 22),
    Slow("reveal in drops", lambda port: asked_only(port, REVEAL + b"Content-Length: 1000\r\n\r\n"), 22, b" "),
]


def asked_only(port, data):
    client = port.tls()
    client.send(request("POST", "/pair", asked(port), version="1.0"))
    client.read_answer()
    if data:
        client.send(data)
    return client


# --- answers -----------------------------------------------------------------------------------------------------

LARGE = b"HTTP/1.0 200 OK\r\nContent-Length: 300000\r\n\r\n" + b" " * 300_000
HALF = b"HTTP/1.0 200 OK\r\nContent-Length: 1000\r\n\r\n{"


def changed(**changes):
    """An answer in which some members are others, or are missing."""

    def answer(_, honest):
        members = {**honest, **changes}
        return {name: value for name, value in members.items() if value is not ABSENT}

    return answer


def bytes_of(data):
    return lambda *_: data


# name -> (answer, what the agent must say: a regular expression for the end of its line)
NO_MESSAGE = r"the dispatcher's answer is not one of the pairing protocol; is this its pairing port\?"
ESCAPED = r"\\x1b\[2J\\x1b\]0;x\\x07"
IN_THE_PATH = ".*; somebody may be in the path: nothing was stored"


def either(name, undecided):
    """Rows of both answers. The agent calls this one `name`, and says `undecided` of a status that it does not know."""
    return {
        "no HTTP": (bytes_of(b"hello\r\n\r\n"), f"{name} did not come: malformed status line"),
        "no JSON": (bytes_of(b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n{,"), NO_MESSAGE),
        "an array": (bytes_of(b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n[]"), NO_MESSAGE),
        "300,000 bytes": (bytes_of(LARGE), f"{name} did not come: answer too large"),
        "a header without end": (bytes_of(b"HTTP/1.0 200 OK\r\nA: " + b"b" * 100_000),
                                 rf"{name} did not come: too many headers \(a line is over 8192 bytes\)"),
        "a status that is unknown": (changed(status="granted"), undecided),
        "a status that is a number": (changed(status=1), NO_MESSAGE),
    }


RUBBISH = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
PEMS = {  # what stands for a certificate -> what is wrong with it
    "missing": (ABSENT, " is missing"), "null": (None, " is missing"), "empty": ("", " is missing"), "a number": (7, " is missing"),
    "an array": ([], " is missing"), "no PEM": ("ca", ": not PEM text"),
    "100,000 bytes": ("x" * 100_000, ": larger than 65536 bytes"),
    "a PEM of rubbish": (RUBBISH, r": not a valid X\.509 certificate"),
}
NO_REQID = "the dispatcher's receipt has no valid request id"
FIRST_CA = "the CA in the dispatcher's answer"

FIRST = {
    **either("the dispatcher's receipt", "the dispatcher did not queue the request"),
    "a refusal that would write to the terminal": (changed(status="error", reason="\x1b[2J\x1b]0;x\x07"),
                                                   f"the dispatcher refused the request: {ESCAPED}"),
    "a decision": (changed(status="approved"), "the dispatcher did not queue the request"),
    **{f"pair_v that is {name}": (changed(pair_v=value),
                                  r"the dispatcher's answer has a pair_v that is no version: is this its pairing port\?")
       for name, value in {"a text": "2", "a fraction": 2.5, "nothing": 0, "negative": -2, "null": None,
                           "an array": [2]}.items()},
    **{f"reqid that is {name}": (changed(reqid=value), NO_REQID) for name, value in {
        "missing": ABSENT, "a command": "$(id)", "an escape": "\x1b[2J", "long": "0" * 1000, "null": None}.items()},
    **{f"ca that is {name}": (changed(ca=value), f"{FIRST_CA}{wrong}{IN_THE_PATH}")
       for name, (value, wrong) in PEMS.items()},
    "ca that is no CA": (lambda session, honest: {**honest, "ca": leaf_pem(session)},
                         f"{FIRST_CA} is not a CA certificate{IN_THE_PATH}"),
    "ca twice": (lambda _, honest: {**honest, "ca": honest["ca"] * 2},
                 f"{FIRST_CA}: holds more than one PEM block{IN_THE_PATH}"),
    **{f"serial that is {name}": (changed(dispatcher_serial=value),
                                  f"the dispatcher serial in the answer is no hex number{IN_THE_PATH}")
       for name, value in {"missing": ABSENT, "null": None, "empty": "", "no hex": "xyz", "a number": 2,
                           "long": "1" * 100}.items()},
    **{f"id that is {name}": (changed(dispatcher_id=value),
                              f"the dispatcher's id in the answer is not valid{IN_THE_PATH}")
       for name, value in {"missing": ABSENT, "null": None, "empty": "", "a path": "../../x", "with a line end": "0\n",
                           "long": "0" * 65, "an escape": "\x1b[2J"}.items()},
    **{f"nonce that is {name}": (changed(sas_nonce=value),
                                 f"the answer has no sas_nonce of 64 hex digits{IN_THE_PATH}")
       for name, value in {"missing": ABSENT, "null": None, "empty": "", "short": "0" * 62, "long": "0" * 66,
                           "no hex": "z" * 64, "a number": 7}.items()},
}

NOT_OURS = "the certificate in the answer is not for our key"
CHANGED = {  # member of the last answer -> what is said when it is not as it was
    "nonce": "the answer has another nonce than our request: somebody may be in the path",
    "dispatcher_serial": f"the last answer has another dispatcher serial than the first{IN_THE_PATH}",
    "dispatcher_id": f"the last answer has another dispatcher id than the first{IN_THE_PATH}",
    "pair_v": f"the last answer is not of pairing version 2{IN_THE_PATH}",
}

LAST = {
    **either("the operator's answer", "the dispatcher neither approved nor denied"),
    "a refusal that would write to the terminal": (changed(status="denied", reason="\x1b[2J\x1b]0;x\x07"),
                                                   f"pairing denied: {ESCAPED}"),
    **{f"{member} that is {name}": (changed(**{member: value}), f"{called}{wrong}.*{IN_THE_PATH}")
       for member, called in (("cert", "the certificate in the answer"), ("ca", "the CA in the answer"))
       for name, (value, wrong) in PEMS.items()},
    "cert that is the CA": (lambda _, honest: {**honest, "cert": honest["ca"]}, NOT_OURS),
    "cert of the dispatcher": (lambda session, honest: {**honest, "cert": leaf_pem(session)}, NOT_OURS),
    **{f"{member} that is {name}": (changed(**{member: value}), said) for member, said in CHANGED.items()
       for name, value in {"missing": ABSENT, "null": None, "empty": "", "an array": []}.items()},
}


def leaf_pem(session):
    return session.dispatcher.identity[0].read_text()
