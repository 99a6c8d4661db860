"""No bytes on the agent's port, however broken, get more than their answer: it serves on, and has lost nothing."""

import re
import subprocess
import unittest

import hostile_agent
from deployment import BIN, Deployment
from dispatcher_client import CA_CONFIGURATION, facts, openssl
from hostile_agent import post
from hostile_tables import (Port, PortTable, SlowCallers, SlowTable, filled, footprint, parse, tests_of, wait_footprint,
                            wait_without_peers)
from processes import poll

EXTENSIONS = """
[server_only]
extendedKeyUsage = serverAuth
[encipherment_only]
keyUsage = keyEncipherment
"""


class Certificates:
    """Certificates with one key, (certificate, key) by name; signed by the deployment's CA unless said otherwise."""

    def __init__(self, deployment):
        self.directory = deployment.directory / "identities"
        self.directory.mkdir()
        self._authority = (deployment.ca / "ca.crt", deployment.ca / "ca.key")
        self.key = self.directory / "key"
        openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", self.key)
        self._config = self.directory / "config"
        self._config.write_text(CA_CONFIGURATION.format(self.directory) + EXTENSIONS)
        (self.directory / "index").write_text("")
        trusted = (deployment.ca / "ctrl-exec.crt", deployment.ca / "ctrl-exec.key")
        serial = facts(trusted[0])["serial"]
        sibling = self.issue("sibling", subject="/CN=web-02")
        impostor = self._self_signed("/CN=ctrl-exec CA", "impostor", "-addext", "keyUsage=critical,keyCertSign")
        self.identities = {
            "trusted": trusted,
            "sibling": sibling,
            "authority": self._authority,
            "revoked": self.issue("revoked", serial="0x0badcafe"),
            "self-signed": self._self_signed("/CN=ctrl-exec", "self-signed"),
            "forged": self.issue("forged", authority=impostor, serial=f"0x{serial}"),
            "signed by a leaf": self.issue("signed by a leaf", authority=sibling),
            "expired": self._issue_for("expired", "200101000000Z", "210101000000Z"),
            "future": self._issue_for("future", "480101000000Z", "490101000000Z"),
            "server only": self.issue("server only", extensions="server_only"),
            "encipherment only": self.issue("encipherment only", extensions="encipherment_only"),
            "two names": self.issue("two names", subject="/CN=ctrl-exec/CN=web-01"),
            "negative serial": self.issue("negative serial", serial="-5"),
            "long serial": self.issue("long serial", serial="0x" + "7f" * 30),
        }

    def _self_signed(self, subject, name, *options):
        path = self.directory / name
        openssl("req", "-x509", "-key", self.key, "-subj", subject, "-out", path, *options)
        return path, self.key

    def _request(self, name, subject="/CN=ctrl-exec"):
        path = self.directory / f"{name}.csr"
        openssl("req", "-new", "-key", self.key, "-subj", subject, "-out", path)
        return path

    def issue(self, name, subject="/CN=ctrl-exec", authority=None, serial="0x1234", extensions="both"):
        path = self.directory / name
        ca, ca_key = authority or self._authority
        openssl("x509", "-req", "-in", self._request(name, subject), "-CA", ca, "-CAkey", ca_key, "-set_serial",
                serial, "-days", "10", "-extfile", self._config, "-extensions", extensions, "-out", path)
        return path, self.key

    def _issue_for(self, name, start, end):
        path = self.directory / name
        openssl("ca", "-config", self._config, "-batch", "-notext", "-in", self._request(name), "-out", path,
                "-cert", self._authority[0], "-keyfile", self._authority[1], "-extensions", "both",
                "-startdate", start, "-enddate", end)
        return path, self.key


def make_agent(deployment, **settings):
    agent = deployment.paired_agent("web-01", rate_limit_disable="yes", **settings)
    agent.script("true", "#!/bin/sh\n")
    agent.script("slow", "#!/bin/sh\nsleep 0.3\necho done\n")
    agent.script("big", "#!/bin/sh\nhead -c 8388608 /dev/zero | tr '\\0' o\n")
    return agent


@tests_of(hostile_agent.ROWS)
class AgentPort(PortTable, unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.deployment = cls.enterClassContext(Deployment())
        cls.agent = make_agent(cls.deployment)
        (cls.agent.directory / "revoked-serials").write_text("0x0badcafe\n")
        identities = Certificates(cls.deployment).identities
        cls.agent.serve()
        cls.daemon, cls.facts = cls.agent.daemon, cls.facts_of(cls.agent)
        cls.port = Port(cls.agent.address, cls.good_request, cls.deployment.ca / "ca.crt", identities)
        cls.good_request()
        cls.quiet = wait_without_peers(cls.daemon)

    @classmethod
    def good_request(cls):
        status, body = cls.port.ask(post("/ping", b'{"reqid":"good"}'))
        if (status, body) != (200, filled(hostile_agent.pong(b"good"), cls.facts)):
            raise AssertionError(f"a good request got {status} {body!r}")

    @classmethod
    def facts_of(cls, agent):
        version = subprocess.run([BIN / "ctrl-exec-agent", "--version"], capture_output=True, check=True).stdout
        expiry = openssl("x509", "-in", agent.certificate, "-noout", "-enddate").decode()
        return {b"<DIR>": bytes(agent.directory), b"<VERSION>": version.split()[-1],
                b"<EXPIRY>": expiry.partition("=")[2].strip().encode()}

    def check(self, row):
        ran = re.search("^ACTION=run ", super().check(row), re.M)
        self.assertEqual(bool(ran), row.runs, "did a script run?")

    def test_refused_caller_that_hangs_up_is_let_go_at_once(self):
        with self.port.tls() as client:
            client.send(b"nonsense\r\n\r\n")
            self.assertEqual(parse(client.read_to_end()), (400, hostile_agent.BAD_LINE))
            self.good_request()  # meanwhile the agent waits for the refused caller's goodbye
        poll("no connection", lambda: footprint(self.daemon.pid) == self.quiet, seconds=1.5)


@tests_of(hostile_agent.SLOW)
class SlowDispatchers(SlowTable, unittest.TestCase):
    """All of them at the same time, each for as long as the agent lets it."""

    @classmethod
    def setUpClass(cls):
        deployment = cls.enterClassContext(Deployment())
        agent = make_agent(deployment).serve()
        port = Port(agent.address, None, deployment.ca / "ca.crt",
                    {"trusted": (deployment.ca / "ctrl-exec.crt", deployment.ca / "ctrl-exec.key")})
        port.ask(post("/ping", b"{}"))
        quiet = wait_without_peers(agent.daemon)
        callers = SlowCallers(port, hostile_agent.SLOW)
        status, _ = port.ask(post("/ping", b"{}"))  # others are served meanwhile
        callers.watch()
        cls.ends, cls.served = callers.ends, (status, port.ask(post("/ping", b"{}"))[0])
        wait_footprint(agent.daemon, quiet)

    def test_others_are_served_meanwhile_and_afterwards(self):
        self.assertEqual(self.served, (200, 200))


class TooManyConnections(unittest.TestCase):
    def test_one_over_the_limit_is_closed_at_once_until_another_goes(self):
        with Deployment() as deployment:
            agent = make_agent(deployment, max_connections=8).serve()
            port = Port(agent.address, None, deployment.ca / "ca.crt",
                        {"trusted": (deployment.ca / "ctrl-exec.crt", deployment.ca / "ctrl-exec.key")})
            quiet = footprint(agent.daemon.pid)
            connections = [port.tcp() for _ in range(8)]
            self.assertEqual(port.ask_raw(b"", end=False), b"")
            agent.daemon.wait_log('^ACTION=accept-fail ERROR="8 connections are open, the limit"')
            connections.pop().close()
            agent.daemon.wait_log("^ACTION=tls-failure PEER=127.0.0.1")
            self.assertEqual(port.ask(post("/ping", b"{}"))[0], 200)
            for connection in connections:
                connection.close()
            wait_footprint(agent.daemon, quiet)


if __name__ == "__main__":
    unittest.main()
