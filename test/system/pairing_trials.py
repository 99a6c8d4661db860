"""Our agent asks to be paired, in each way in which it can come to trust a dispatcher, and what it then has stored.

tofu: a program asks, nobody looks. terminal: a person asks, and says whether the check codes are the same. staged:
`pair_trust = sas` without a terminal. pin, token: it knows the CA, or a secret, before.
"""

import itertools
import re

from pairing_v2 import JoinToken, der_of, key_digest, pin_text
from processes import poll
from terminal import Terminal

MODES = ("tofu", "terminal", "staged", "pin", "token")
STAGED = 4  # exit code
_numbers = itertools.count(1)


class Trial:
    """`ca`: DER of the CA that the agent is told to trust, in the modes in which it is told one; `token`: its text."""

    def __init__(self, deployment, mode, address, ca=None, token=None, name=None, **settings):
        self.deployment, self.mode = deployment, mode
        ca = ca or der_of((deployment.ca / "ca.crt").read_text())
        if mode == "staged":
            settings["pair_trust"] = "sas"
        number = next(_numbers)
        self.agent = deployment.agent(name or f"web-{number:03}", **settings)
        self.name = self.agent.name
        words = ["request-pairing", "--dispatcher", address]
        if mode == "pin":
            words += ["--ca-pin", pin_text(ca)]
        if mode == "token":
            self.token_file = self.agent.directory / "token"
            self.token_file.write_text((token or JoinToken.invented(ca).text) + "\n")
            self.token_file.chmod(0o600)
            words += ["--join-token-file", self.token_file]
        self.words = words
        self.start()

    def start(self):
        """Once more, when it has ended."""
        argv = self.agent.argv(*self.words)
        if self.mode == "terminal":
            self.terminal = Terminal(argv, self.deployment.environment(log="stderr"), columns=200)
            self.process = self.terminal.process
        else:
            self.daemon = self.deployment.start(argv, f"request-{self.name}")
            self.process = self.daemon.process
        return self

    @property
    def text(self):
        """What it has said to people, and logged."""
        return self.terminal.text if self.mode == "terminal" else self.daemon.output + self.daemon.log

    def wait_text(self, pattern):
        return poll(f"{self.mode}: {pattern!r}", lambda: re.search(pattern, self.text, re.M) or self._has_ended(pattern))

    def _has_ended(self, pattern):
        if self.process.poll() is not None and not re.search(pattern, self.text, re.M):
            raise AssertionError(f"{self.mode}: ended with {self.process.returncode} before {pattern!r}: {self.text}")

    @property
    def sas(self):
        """The check code that it shows."""
        return self.wait_text(r"\b\d{4}-\d{4}\b")[0]

    def answer(self, word):
        """To the question that a person at the terminal is asked."""
        self.terminal.expect(r"check code \d{4}-\d{4}\? \[y/N\]")
        self.terminal.type(f"{word}\n")

    def end(self):
        """Its exit code."""
        return self.terminal.wait_end() if self.mode == "terminal" else self.daemon.wait_exit()

    @property
    def stored(self):
        """Which of the files that make an agent trust somebody are there."""
        agent = self.agent
        return [path.name for path in (agent.certificate, agent.key, agent.ca, agent.serial) if path.exists()]

    @property
    def trusts(self):
        """The pin of the CA that it has stored."""
        return key_digest(der_of(self.agent.ca.read_text()))

    def close(self):
        if self.mode == "terminal":
            self.terminal.__exit__()
        else:
            self.daemon.kill()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
