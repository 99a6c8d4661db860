"""The HTTP API under more than it can take: it says so, bounds what it holds, and is as before when it is over."""

import contextlib
import os
import pathlib
import resource
import signal
import socket
import subprocess
import threading
import time
import unittest

from api import Client, api_certificate, call_once, serve_api
from deployment import BUILD, Deployment
from hostile_api import PlainClient, get, no, parse_all, post
from hostile_tables import footprint, wait_footprint, wait_without_peers
from processes import DEADLINE, open_gate_until, poll, state_of
from test_full_disk import fill, small_disk
from wire import TlsClient, split_address

MIB = 1 << 20


def resident(pid):
    """Bytes, without the program's own pages: those come and go."""
    _, all_pages, of_files, *_ = map(int, pathlib.Path(f"/proc/{pid}/statm").read_text().split())
    return (all_pages - of_files) * os.sysconf("SC_PAGE_SIZE")


def connect(api, source="127.0.0.1"):
    return socket.create_connection(split_address(api.address), DEADLINE, source_address=(source, 0))


def one_answer(connection):
    """(status, headers, body) of the only answer, after which the server closes."""
    [answer] = parse_all(PlainClient(connection).read_to_end(), False)
    return answer


class IdleConnections(unittest.TestCase):
    # With sanitizers ten thousand take longer to open than the first of them may stay silent (30 s).
    COUNT = 10_000 if BUILD == "release" else 2_000

    def setUp(self):
        limits = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (limits[1], limits[1]))
        self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, limits)
        self.deployment = self.enterContext(
            Deployment(api_port=0, api_auth_default="allow", api_max_connections=self.COUNT + 1))
        self.api = serve_api(self.deployment)
        self.quiet = wait_without_peers(self.api)

    def test_idle_connections_cost_little_and_hold_up_nobody(self):
        call_once(self.api, "GET", "/livez")
        before = resident(self.api.pid)
        with contextlib.ExitStack() as stack:
            # From several addresses: one alone may not have so many free ports.
            idle = [stack.enter_context(connect(self.api, f"127.0.0.{2 + i % 8}")) for i in range(self.COUNT)]
            for connection in idle:
                connection.sendall(get("/livez"))
            for connection in idle:
                self.assertTrue(connection.recv(4096).endswith(b"\r\n\r\nlive\n"))
            if BUILD == "release":
                self.assertLess((resident(self.api.pid) - before) / self.COUNT, 8 * 1024, "bytes for each")
            with Client(self.api.address) as other:
                started = time.monotonic()
                for _ in range(100):
                    self.assertEqual(other.call("GET", "/health")[0], 200)
                self.assertLess(time.monotonic() - started, 10 if BUILD == "release" else 30)
                with connect(self.api) as more:
                    self.assertEqual(one_answer(more)[0], 503, "one more is above the limit")
                idle[0].sendall(get("/livez"))
                self.assertTrue(idle[0].recv(4096).endswith(b"live\n"), "they are all still there")
        poll("the server has seen their ends", lambda: footprint(self.api.pid)[0] < 100)
        wait_footprint(self.api, self.quiet)

    def test_what_a_large_request_took_is_given_back_while_the_connection_is_idle(self):
        def ask_all():
            for connection in idle:
                connection.sendall(post("/ping", b"{}".ljust(15_000)))
            for connection in idle:
                self.assertIn(b"hosts must be", connection.recv(4096))

        with contextlib.ExitStack() as stack:
            idle = [stack.enter_context(connect(self.api)) for _ in range(1000)]
            before = resident(self.api.pid)
            ask_all()
            if BUILD == "release":
                self.assertLess((resident(self.api.pid) - before) / 1000, 8 * 1024, "bytes for each")
        wait_footprint(self.api, self.quiet)


class TooManyConnections(unittest.TestCase):
    FULL = no("too many connections", "see api_max_connections")

    def start(self):
        deployment = self.enterContext(Deployment(api_port=0, api_auth_default="allow", api_max_connections=4))
        with deployment.config.open("a") as config:
            config.writelines(f"{key} = {value}\n" for key, value in self.more(deployment).items())
        self.api = serve_api(deployment)
        self.quiet = wait_without_peers(self.api)

    def more(self, _):
        return {}

    def test_more_are_told_so_until_another_goes(self):
        self.start()
        served = [Client(self.api.address) for _ in range(4)]
        for client in served:
            self.addCleanup(client.close)
            self.assertEqual(client.call("GET", "/livez")[0], 200)
        with connect(self.api) as more:
            more.sendall(post("/run", b"{}".ljust(MIB)))
            status, headers, body = one_answer(more)
        self.assertEqual((status, body), (503, self.FULL))
        self.assertEqual((headers["retry-after"], headers["connection"]), ("1", "close"))
        self.api.wait_log('^ACTION=accept-fail ERROR="4 connections are open, the limit"$')
        served.pop().close()
        poll("one more is served", lambda: call_once(self.api, "GET", "/livez")[0] == 200)
        for client in served:
            self.assertEqual(client.call("GET", "/livez")[0], 200)
            client.close()
        wait_footprint(self.api, self.quiet)

    def test_only_a_few_are_told_at_a_time_and_not_for_long(self):
        self.start()
        served = [Client(self.api.address) for _ in range(4)]
        for client in served:
            self.addCleanup(client.close)
            client.call("GET", "/livez")
        self.api.signal(signal.SIGSTOP)  # so that all of them come at the same moment
        more = [self.enterContext(connect(self.api)) for _ in range(50)]
        self.api.signal(signal.SIGCONT)
        told = [PlainClient(each).read_to_end() for each in more]
        self.assertEqual([bool(each) for each in told], [True] * 16 + [False] * 34)
        # Nobody has closed, so the server does after its two seconds: it has what it had with four connections.
        wait_footprint(self.api, (self.quiet[0] + 4, self.quiet[1]))
        self.assertLessEqual(self.api.log.count("ACTION=accept-fail"), 3, "nobody fills the log with it")
        self.assertEqual(one_answer(self.enterContext(connect(self.api)))[0], 503)

    def test_shutdown_does_not_wait_for_them(self):
        self.start()
        clients = [self.enterContext(connect(self.api)) for _ in range(5)]
        self.assertEqual(one_answer(clients[-1])[0], 503)
        self.api.stop()


class TooManyTlsConnections(TooManyConnections):
    def more(self, deployment):
        return api_certificate(deployment.directory)

    def test_more_are_told_so_until_another_goes(self):
        self.start()
        served = [TlsClient(self.api.address) for _ in range(4)]
        for client in served:
            self.addCleanup(client.close)
        with TlsClient(self.api.address) as more:
            more.send(get("/livez"))
            answer = more.only_answer()
        self.assertEqual((answer.status, answer.body, answer.headers["retry-after"]), (503, self.FULL, "1"))
        served.pop().close()

        def is_served():
            with TlsClient(self.api.address) as client:
                client.send(get("/livez"))
                return client.read_answer().status == 200

        poll("one more is served", is_served)

    def test_only_a_few_are_told_at_a_time_and_not_for_long(self):
        """Who does not even shake hands is let go after two seconds."""
        self.start()
        for _ in range(4):
            self.enterContext(TlsClient(self.api.address))
        self.api.signal(signal.SIGSTOP)
        more = [self.enterContext(connect(self.api)) for _ in range(20)]
        self.api.signal(signal.SIGCONT)
        for each in more:
            self.assertEqual(PlainClient(each).read_to_end(), b"")
        wait_footprint(self.api, (self.quiet[0] + 4, self.quiet[1]))

    def test_shutdown_does_not_wait_for_them(self):
        self.start()
        for _ in range(4):
            self.enterContext(TlsClient(self.api.address))
        self.enterContext(connect(self.api))
        self.api.wait_log("^ACTION=accept-fail")
        self.api.stop()


class Memory(unittest.TestCase):
    """64 MiB for all large requests together, from their first bytes to their answers."""

    def test_large_requests_are_bounded_and_small_ones_go_on(self):
        deployment = self.enterContext(Deployment(api_port=0, auth_hook_timeout=60))
        gate = deployment.directory / "gate"
        subprocess.run(["mkfifo", gate], check=True)
        hook = deployment.directory / "hook"
        hook.write_text(f"#!/bin/sh\nexec <{gate}\n")  # waits for a writer
        hook.chmod(0o755)
        with deployment.config.open("a") as config:
            config.write(f"auth_hook = {hook}\n")
        api = serve_api(deployment)
        quiet = wait_without_peers(api)
        children = pathlib.Path(f"/proc/{api.pid}/task/{api.pid}/children")
        large = post("/ping", b"{}".ljust(MIB), "Connection: close")
        waiting = [self.enterContext(connect(api)) for _ in range(63)]
        for each in waiting:
            each.sendall(large)
        poll("all of them are there", lambda: len(children.read_text().split()) == 63)

        for target in ("/ping", "/livez"):
            with self.subTest(target), connect(api) as more:
                more.sendall(post(target, b"{}".ljust(MIB)))
                status, headers, body = one_answer(more)
                self.assertEqual((status, body), (503, no("too many large requests", "try again, or send a smaller one")))
                self.assertEqual((headers["retry-after"], headers["connection"]), ("1", "close"))
        with connect(api) as more:
            more.sendall(b"POST /livez HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1000\r\n%b\r\n" % bytes(4096) * 256)
            self.assertEqual(one_answer(more)[0], 503, "in chunks too")
        with Client(api.address) as client:
            for _ in range(20):
                self.assertEqual(client.call("GET", "/livez", b"{}".ljust(16_000))[0], 200)

        open_gate_until(gate, lambda: not children.read_text())
        for each in waiting:
            self.assertEqual(one_answer(each)[0], 400)
            each.close()
        with connect(api) as again:
            again.sendall(large.replace(b"POST /ping", b"GET /livez"))
            self.assertEqual(one_answer(again)[0], 200)
        wait_footprint(api, quiet)


def is_running(pid):
    try:
        return state_of(pid) != "Z"
    except FileNotFoundError:
        return False


class Hooks(unittest.TestCase):
    def test_hook_that_hangs_is_killed_with_all_it_started_and_others_go_on_meanwhile(self):
        deployment = self.enterContext(Deployment(api_port=0, auth_hook_timeout=2))
        started = deployment.directory / "started"
        hook = deployment.directory / "hook"
        hook.write_text("#!/bin/sh\n[ \"$ENVEXEC_TOKEN\" = good ] && exit\ntrap '' TERM\nsleep 1000 &\n"
                        f"echo $$ $! >{started}.new; mv {started}.new {started}\nwait; wait; sleep 1000\n")
        hook.chmod(0o755)
        with deployment.config.open("a") as config:
            config.write(f"auth_hook = {hook}\n")
        api = serve_api(deployment)
        answers = []
        thread = threading.Thread(target=lambda: answers.append(call_once(api, "GET", "/health")))
        thread.start()
        poll("the hook hangs", started.exists)
        with Client(api.address) as client:
            served = 0
            while thread.is_alive():
                self.assertEqual(client.call("GET", "/health", None, {"Authorization": "Bearer good"})[0], 200)
                served += 1
        self.assertGreater(served, 10)
        self.assertEqual(answers, [(403, {"ok": False, "error": "the auth hook took longer than 2 s", "code": 1})])
        for pid in started.read_text().split():
            poll("it was killed", lambda pid=int(pid): not is_running(pid))


class FullDisk(unittest.TestCase):
    def test_run_is_answered_although_it_cannot_be_stored(self):
        with small_disk() as disk, Deployment(api_port=0, api_auth_default="allow", state_dir=disk / "state") as deployment:
            agent = deployment.paired_agent("web-01")
            agent.script("talk", "#!/bin/sh\nhead -c 10000 /dev/zero | tr '\\0' x\n")
            agent.serve()
            api = serve_api(deployment)

            def run(client):
                status, body = client.call("POST", "/run", {"hosts": [agent.target], "script": "talk"})
                [result] = body["results"]
                self.assertEqual((status, result["exit"], result["stdout"]), (200, 0, "x" * 10_000))
                return body["reqid"]

            with Client(api.address) as client:
                self.assertEqual(client.call("GET", f"/status/{run(client)}")[0], 200)
                stored = set((disk / "state/runs").iterdir())
                for pages in (0, 1):
                    fill(disk, pages)
                    reqid = run(client)
                    api.wait_log(rf'^ACTION=run-store-fail ERROR=".*No space left on device; free some space.*" REQID={reqid}$')
                    self.assertEqual(client.call("GET", f"/status/{reqid}")[0], 404)
                    self.assertEqual(set((disk / "state/runs").iterdir()), stored, "nothing half written")
                    (disk / "filler").unlink()
                self.assertEqual(client.call("GET", f"/status/{run(client)}")[0], 200)


if __name__ == "__main__":
    unittest.main()
