"""An API in every state that its document has answers for, and the requests that bring these answers about.

There is no list of routes here. What the document says an operation answers must come in one of these states; where a
new status is documented, the way to it belongs into this file.
"""

import contextlib
import json
import os
import pathlib
import signal
import subprocess
import threading

from api import serve_api
from deployment import BIN, Deployment, write_settings
from openapi_exchange import Connection, send_bytes, send_once
from processes import open_gate_until, poll

PERMITTED = "https://console.example.net"
HOOKS = 128  # that may run at the same time

# Requests that are refused before anybody looks at what they ask for: what follows the request line, and its version.
REFUSED = {
    "a header line without a colon": ("1.1", "nonsense\r\n"),
    "33 header lines": ("1.1", "A: b\r\n" * 33),
    "a header line of 9 KB": ("1.1", f"A: {'b' * 9000}\r\n"),
    "a body of 2 MiB": ("1.1", f"Content-Length: {2 << 20}\r\n"),
    "a transfer coding that is not spoken": ("1.1", "Transfer-Encoding: gzip\r\n"),
    "HTTP/2": ("2.0", ""),
}
# Requests that are understood, but not with these headers.
UNWELCOME = {
    "XML": {"Content-Type": "application/xml"},
    "a compressed body": {"Content-Encoding": "gzip"},
    "a page of another site": {"Origin": "https://evil.example"},
}


class ApiStates(Deployment):
    """The registered agents are web-01, which answers, and db-01, where nothing listens."""

    def __init__(self):
        super().__init__(api_port=0, api_auth_default="allow", api_cors_origins=PERMITTED, shutdown_grace=30,
                         connect_timeout=5)

    def __enter__(self):
        super().__enter__()
        self.hold, self.started = self.directory / "hold", self.directory / "started"
        self.gate = self.directory / "gate"
        os.mkfifo(self.gate)
        agent = self.paired_agent("web-01", state_dir=self.directory / "agent-state")
        agent.script("check-disk", f"#!/bin/sh\necho ok\n[ ! -e {self.hold} ] || {{ : >{self.started}; read x <{self.gate}; }}\n")
        agent.serve()
        self._register("web-01", agent.daemon.port)
        self._register("db-01", 1)
        return self

    def _register(self, name, port):
        agents = self.state / "agents"
        record = json.loads((agents / "web-01.json").read_text())
        record.update(hostname=name, ip="127.0.0.1", agent_port=port, lookup_by="ip")
        (agents / f"{name}.json").write_text(json.dumps(record))

    def open(self):
        """Everything is permitted and works."""
        return serve_api(self)

    def _serve_other(self, name, **settings):
        config = self.directory / f"{name}.conf"
        write_settings(config, {**self.settings, **settings})
        return self.start([BIN / "ctrl-exec-api", "--config", config], f"api-{name}").wait_listening()

    @contextlib.contextmanager
    def denying(self):
        with self._serve_other("denying", api_auth_default="deny") as api:
            yield api

    @contextlib.contextmanager
    def guarded(self):
        """Only who has a token may ask."""
        with self._serve_other("guarded", auth_policy=self._policy()) as api:
            yield api

    @contextlib.contextmanager
    def limited(self):
        """This address has been refused too often."""
        with self._serve_other("limited", auth_policy=self._policy(), api_rate_limit="2/600/600") as api:
            while send_once(api.address, "GET", "/").status != 429:
                pass
            yield api

    def _policy(self):
        policy = self.directory / "policy"
        policy.write_text(f"sha256:{'0' * 64} * * *\n")
        policy.chmod(0o600)
        return policy

    @contextlib.contextmanager
    def broken(self, document):
        """No directory of the state is one, and what is stored is not what it should be."""
        state = self.directory / "broken"
        runs = state / "runs"
        runs.mkdir(parents=True)
        for name in ("agents", "locks"):
            (state / name).write_text("in the way")
        for operation in document.operations():
            for parameter in operation.parameters:
                if parameter["in"] != "path":
                    continue
                (runs / f"{parameter['example']}.json").write_text("nonsense")
        with self._serve_other("broken", state_dir=state) as api:
            yield api

    @contextlib.contextmanager
    def busy(self):
        """As many auth checks are under way as there may be."""
        gate = self.directory / "hooks"
        os.mkfifo(gate)
        hook = self.directory / "hook"
        hook.write_text(f"#!/bin/sh\nexec <{gate}\n")  # until somebody writes
        hook.chmod(0o755)
        with contextlib.ExitStack() as ends, self._serve_other("busy", auth_hook=hook, auth_hook_timeout=60) as api:
            children = pathlib.Path(f"/proc/{api.pid}/task/{api.pid}/children")
            waiting = [threading.Thread(target=send_once, args=(api.address, "GET", "/")) for _ in range(HOOKS)]
            for each in waiting:
                each.start()
                ends.callback(each.join)
            poll("all hooks run", lambda: len(children.read_text().split()) == HOOKS)
            yield api

            open_gate_until(gate, lambda: not any(each.is_alive() for each in waiting))

    @contextlib.contextmanager
    def running(self, api, document):
        """While a script runs."""
        run = document.operation("run")
        body = run.body_examples()[0]
        self.started.unlink(missing_ok=True)
        self.hold.touch()
        answers = []
        thread = threading.Thread(target=lambda: answers.append(
            send_once(api.address, run.method, run.example_target(), body)))
        thread.start()
        try:
            poll("the script runs", self.started.exists)
            yield
        finally:
            self.hold.unlink()
            self.gate.write_text("\n")
            thread.join()
        run.check_answer(answers[0])

    @contextlib.contextmanager
    def stopping(self, document):
        """SIGTERM has come, and a run is still under way."""
        api = self._serve_other("stopping")
        with self.running(api, document):
            api.signal(signal.SIGTERM)
            readyz = document.operation("readyz")
            poll("it is stopping", lambda: send_once(api.address, readyz.method, readyz.path).status == 503)
            yield api
        if api.wait_exit() != 0:
            raise AssertionError(api.describe())


class Walk:
    """Sends requests to an API, checks each answer, and remembers which of the documented ones came."""

    def __init__(self, document):
        self.document = document
        self.seen = set()  # (operation, status)

    def check(self, operation, answer, **options):
        operation.check_answer(answer, **options)
        self.seen.add((repr(operation), str(answer.status)))

    def missing(self):
        return sorted({(repr(each), status) for each in self.document.operations() + self.document.others()
                       for status in each.responses} - self.seen)

    def examples(self, api):
        """Each operation as its examples say, each path with methods it has not got, and an unknown path."""
        for operation in self.document.operations():
            for body in operation.body_examples() + [None] * (not operation.body.get("required")):
                self._send(api, operation, operation.method, operation.example_target(), body)
            if operation.method == "GET":
                self._send(api, operation, "HEAD", operation.example_target())
        for method, target in self.others():
            self._send(api, self.document.describing(method, target), method, target)

    def others(self):
        """(method, target) of requests that no operation describes."""
        for path in self.document.content["paths"]:
            operations = [each for each in self.document.operations() if each.path == path]
            known = {each.method for each in operations}
            target = operations[0].example_target()
            yield "OPTIONS", target
            for method in {"GET", "POST", "PUT", "DELETE", "PATCH", "TRACE", "BREW"} - known:
                yield method, target
        for method in ("GET", "POST", "DELETE", "OPTIONS"):
            yield method, "/no/such/path"

    def all_requests(self):
        """(operation, method, target, body) of one request for everything that has answers of its own."""
        for operation in self.document.operations():
            yield operation, operation.method, operation.example_target(), (operation.body_examples() or [None])[0]
        for method, target in self.others():
            yield self.document.describing(method, target), method, target, None

    def mistakes(self, api):
        """The same requests, made so that each is refused."""
        for operation, method, target, body in self.all_requests():
            for version, lines in REFUSED.values():
                data = f"{method} {target} HTTP/{version}\r\nHost: {api.address}\r\n{lines}\r\n".encode()
                self.check(operation, send_bytes(api.address, data, method))
            for headers in UNWELCOME.values():
                self._send(api, operation, method, target, body, headers)
            self._send(api, operation, method, target, b"\xff", {"Content-Type": "application/json"})

    def permitted_site(self, api):
        for operation, method, target, body in self.all_requests():
            answer = self._send(api, operation, method, target, body, {"Origin": PERMITTED})
            if answer.header("access-control-allow-origin") != PERMITTED:
                raise AssertionError(f"{method} {target}: no word for the pages of {PERMITTED}")

    def unknown_things(self, api):
        """Each operation with values of its path parameters that name nothing."""
        for operation in self.document.operations():
            names = [each["name"] for each in operation.parameters if each["in"] == "path"]
            for value in ("0123456789abcdef0123456789abcdef", "x", "..", "%2e%2e/etc", "é"):
                if names:
                    self._send(api, operation, operation.method, operation.target(dict.fromkeys(names, value)))

    def repeats(self, api):
        """Each operation that takes an Idempotency-Key, repeated, and with its key used for something else."""
        for operation in self.document.operations():
            if "Idempotency-Key" not in {each["name"] for each in operation.parameters}:
                continue
            key = {"Idempotency-Key": "openapi"}
            body = operation.body_examples()[0]
            for other in (body, body, {**body, "args": ["other"]}):
                answer = self._send(api, operation, operation.method, operation.example_target(), other, key)
            if (answer.status, answer.header("idempotency-replayed")) != (422, None):
                raise AssertionError(f"{operation}: {answer}")

    def _send(self, api, operation, method, target, body=None, headers=()):
        with Connection(api.address) as connection:
            answer = connection.send(method, target, body, headers)
        self.check(operation, answer, head_only=method == "HEAD")
        return answer
