"""Somebody in the path of a pairing: ends TLS on both sides with a CA of his own, and changes what he likes.

To the agent he is a V2Dispatcher, with all that one has; to the real dispatcher, at `upstream`, a client. Each message
passes through a function of the attack: (session, message) -> what is sent on, None for nothing at all.
"""

import contextlib
import hashlib
import select

from pairing_v2 import V2Dispatcher, commitment, der_of, new_key_and_csr, openssl, pairing_code, sha256, version_of
from processes import DEADLINE
from wire import TlsClient, request


def unchanged(_, message):
    return message


class Mitm(V2Dispatcher):
    """`identity`: another TLS certificate than one by his own CA."""

    def __init__(self, directory, upstream, asks=unchanged, first=unchanged, reveals=unchanged, last=unchanged,
                 **options):
        super().__init__(directory, **options)
        self.upstream = upstream
        self._asks, self._to_agent, self._reveals, self._at_last = asks, first, reveals, last

    def converse(self, session):
        message = session.read()
        if not message:
            return
        session.asked = message[1]
        session.real_first = session.real_last = None
        with TlsClient(self.upstream) as session.client:
            self.sessions.append(session)
            self.changed()
            if not self._forward(session, "/pair", self._asks(session, session.asked)):
                return
            session.real_first = session.client.read_answer().json
            session.first = self._to_agent(session, session.real_first)
            session.send(session.first)
            self.changed()
            if version_of(session.first) >= 2 or version_of(session.real_first) >= 2:
                message = session.read() if version_of(session.first) >= 2 else ("", None)
                if not message:
                    return
                session.reveal = message[1]
                self.changed()
                if version_of(session.real_first) >= 2:
                    self._forward(session, "/pair/reveal", self._reveals(session, session.reveal))
            if session.real_first["status"] == "pending" and self._agent_waits(session):
                session.real_last = session.client.read_answer().json
                session.last = self._at_last(session, session.real_last)
                session.send(session.last)
                self.changed()
            with contextlib.suppress(OSError):
                session.connection.recv(1)

    @staticmethod
    def _agent_waits(session):
        """Until the dispatcher says something; False when the agent has hung up before."""
        readable, _, _ = select.select([session.connection, session.client], [], [], DEADLINE)
        return session.connection not in readable or session.client in readable

    @staticmethod
    def _forward(session, target, body):
        if body is not None:
            session.client.send(request("POST", target, body, version="1.0"))
        return body is not None


class TakesOver(Mitm):
    """Pairs the agent with himself, and at the same time pairs himself as that agent with the real dispatcher.

    What a man in the middle needs: to the real dispatcher he is an agent of that name with a key of his own.
    """

    def __init__(self, directory, upstream, csr_for=None, **options):
        """`csr_for(asked)`: (key, CSR) in the place of the agent's."""
        super().__init__(directory, upstream, asks=self._as_agent, first=self._as_dispatcher, reveals=self._own_reveal,
                         last=self._own_last, **options)
        self._csr_for = csr_for or (lambda asked: new_key_and_csr(asked["hostname"]))
        self.agent_nonce = bytes(range(32))

    def _as_agent(self, session, asked):
        session.stolen_key, session.csr = self._csr_for(asked)
        changed = {**asked, "csr": session.csr}
        if "pair_v" in asked:
            changed["sas_commit"] = commitment(self.agent_nonce, sha256(der_of(session.csr)))
        return changed

    @staticmethod
    def _as_dispatcher(session, real):
        return session.honest_first() if real["status"] == "pending" else real

    def _own_reveal(self, session, _):
        return {"reqid": session.real_first["reqid"], "sas_nonce": self.agent_nonce.hex()}

    @staticmethod
    def _own_last(session, real):
        """The agent gets what he promised, whatever the real dispatcher says."""
        return session.honest_last() if real["status"] == "approved" else real


def ground_csr(name, code):
    """(key, CSR) of a new key whose six digits are `code`: what a few seconds of computing buy.

    A CSR's text may end with blank lines, so each signature gives thousands of texts.
    """
    key, _ = new_key_and_csr(name)
    while True:
        csr = openssl("req", "-new", "-key", "/dev/stdin", "-subj", f"/CN={name}", data=key.encode())
        digest = hashlib.sha256(csr)
        for blank in range(9000):
            if f"{int.from_bytes(digest.digest()[:4], 'big') % 1_000_000:06}" == code:
                found = (csr + b"\n" * blank).decode()
                assert pairing_code(found) == code
                return key, found
            digest.update(b"\n")
