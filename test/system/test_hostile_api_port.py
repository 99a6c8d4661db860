"""No bytes on the port of the HTTP API, however broken, get more than their answer: it serves on, and has lost nothing."""

import contextlib
import os
import re
import select
import socket
import subprocess
import time
import unittest

import fast_forward
import hostile_api
from api import api_certificate
from deployment import BIN, Deployment
from hostile_api import LIVE, ApiPort, get
from hostile_tables import PortTable, footprint, tests_of, wait_footprint, wait_without_peers
from processes import poll

ESTABLISHED = 1  # of the states of a TCP connection


class Served(PortTable, unittest.TestCase):
    """An API of its own for each table."""

    tls = False

    @classmethod
    def setUpClass(cls):
        cls.deployment = cls.enterClassContext(Deployment(api_port=0))
        with cls.deployment.config.open("a") as config:
            config.writelines(f"{key} = {value}\n" for key, value in cls.settings().items())
        cls.daemon = cls.deployment.start([BIN / "ctrl-exec-api", "--config", cls.deployment.config], "api").wait_listening()
        version = subprocess.run([BIN / "ctrl-exec-api", "--version"], capture_output=True, check=True).stdout.split()[-1]
        cls.facts = {b"<VERSION>": version, b"<HOST>": cls.daemon.address.encode(),
                     b"<DIR>": bytes(cls.deployment.directory)}
        cls.port = ApiPort(cls.daemon, cls.good_request, cls.tls, cls.facts)
        cls.good_request()
        cls.quiet = wait_without_peers(cls.daemon)

    @classmethod
    def settings(cls):
        return {"api_auth_default": "allow"}

    @classmethod
    def good_request(cls):
        heard = cls.port.answers(get("/livez"))
        if [(status, body) for status, _, body in heard] != [LIVE]:
            raise AssertionError(f"a good request got {heard}")

    def check(self, row):
        log = super().check(row)
        self.assertNotIn("ACTION=dispatch", log, "something was run")
        self.assertEqual(re.findall("[^ -~\n…]", log), [], "what clients send is escaped in the log")


@tests_of(hostile_api.PLAIN)
class PlainPort(Served):
    pass


@tests_of(hostile_api.AUTHORIZATION)
class PortWithHook(Served):
    @classmethod
    def settings(cls):
        hook = cls.deployment.directory / "hook"
        hook.write_text("#!/bin/sh\n[ \"$ENVEXEC_TOKEN\" = good ] || exit 1\n")
        hook.chmod(0o755)
        return {"auth_hook": hook}

    def check(self, row):
        super().check(row)
        self.assertFalse((self.deployment.directory / "ran").exists())


class WithTls(Served):
    tls = True

    @classmethod
    def settings(cls):
        return {"api_auth_default": "allow", **api_certificate(cls.deployment.directory)}


@tests_of(hostile_api.TLS)
class TlsPort(WithTls):
    pass


class Slow(Served):
    """All of them at the same time; the server's clock is moved on to before and to just after each limit."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.open = {row: row.open(cls.port) for row in cls.rows}
        cls.started = time.monotonic()
        cls.ends = {}  # by name: that of the moments at which it was first found closed
        limits = {row.limit for row in cls.rows}
        # Not shortly before a limit: on a machine that is busy the test itself takes time.
        for moment in sorted({limit * 2 // 3 for limit in limits} | {limit + 1 for limit in limits}):
            cls.pass_time(moment)
            cls.look(moment)
        cls.good_request()
        fast_forward.put_ahead(cls.daemon.pid, 0)
        wait_footprint(cls.daemon, cls.quiet)

    @classmethod
    def pass_time(cls, moment):
        """Until so many seconds after the start, as the server sees it.

        It looks at its clock when a timer of its own has run out: here those two seconds that it gives a client to end
        the connection, too.
        """
        before = footprint(cls.daemon.pid)
        with cls.port.connect() as lingering:
            lingering.send(get("/livez", "Connection: close"))
            poll("it is answered", lambda: select.select([lingering], [], [], 0)[0])
            fast_forward.put_ahead(cls.daemon.pid, max(0, int(moment - (time.monotonic() - cls.started))))
            poll("the server has looked at its clock", lambda: footprint(cls.daemon.pid) <= before)

    @classmethod
    def look(cls, moment):
        for row, connection in list(cls.open.items()):
            if row.drip:
                cls.drip(row, connection)
            if row.limit < moment:
                # Its time is over: the server closes one after the other, and has only begun when pass_time ends.
                with contextlib.suppress(AssertionError):
                    poll(f"{row.name} is ended", lambda end=connection: is_ended(end), seconds=10)
            if is_ended(connection):
                cls.ends[row.name] = moment
                connection.close()
                del cls.open[row]

    @staticmethod
    def drip(row, connection):
        try:
            getattr(connection, "send_raw", connection.send)(row.drip)
        except OSError:
            pass  # it was just cut off: then that is readable

    def check(self, row):
        self.assertEqual(self.ends.get(row.name), row.limit + 1)


def is_ended(connection):
    """Whether the server has closed it. Nothing is read: to some rows that would be what the server waits for."""
    with socket.socket(fileno=os.dup(connection.fileno())) as same:
        return same.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] != ESTABLISHED


@tests_of(hostile_api.SLOW)
class SlowClients(Slow):
    rows = hostile_api.SLOW


@tests_of(hostile_api.SLOW_HANDSHAKES)
class SlowHandshakes(Slow, WithTls):
    rows = hostile_api.SLOW_HANDSHAKES


del Served, Slow, WithTls  # they have no tests of their own

if __name__ == "__main__":
    unittest.main()
