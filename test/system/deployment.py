"""A deployment for system tests: a dispatcher, its pairing listener and agents, as real processes on loopback.

Everything lives in one temporary directory. When a Deployment ends it kills what is left of its processes, and fails
the test when a daemon did not end with 0 on SIGTERM, when a process was left behind, or when a sanitizer reported.
"""

import json
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import time

from processes import DEADLINE, Daemon, poll, processes_naming

BIN = pathlib.Path(os.environ["CTRL_EXEC_BIN_DIR"])
BUILD = os.environ["CTRL_EXEC_BUILD"]
FAILED, REFUSED, BUSY, TIMED_OUT, MISSING = 1, 3, 4, 5, 6  # exit codes of `run`, when that is all that went wrong
TIME = r"[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d \d{4} GMT"  # OpenSSL's text


def exit_code(words, code):
    """What a command ends with where `run` ends with `code`."""
    return code if "run" in words else FAILED


def write_settings(path, settings):
    path.write_text("".join(f"{key} = {value}\n" for key, value in settings.items()))


def mode(path):
    return f"{path.stat().st_mode & 0o7777:04o}"


def is_report(text):
    """Whether a sanitizer found something. One that was killed while it looked, with its process, leaves less."""
    return "ERROR: " in text or "runtime error: " in text


class Deployment:
    """A dispatcher with CA and certificate (unless set_up is False). Settings go into its ctrl-exec.conf."""

    def __init__(self, set_up=True, **settings):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="ctrl-exec-system."))
        self.daemons = []
        self.ca = self.directory / "dispatcher"
        self.state = self.ca / "state"
        self.config = self.directory / "ctrl-exec.conf"
        for name in ("dispatcher", "logs", "reports", "scripts"):
            (self.directory / name).mkdir()
        (self.directory / "reports").chmod(0o1777)
        self.settings = {"cert": self.ca / "ctrl-exec.crt", "key": self.ca / "ctrl-exec.key",
                         "ca": self.ca / "ca.crt", "state_dir": self.state, "pairing_bind": "127.0.0.1",
                         "pairing_port": 0, **settings}
        write_settings(self.config, self.settings)
        self._set_up = set_up

    def __enter__(self):
        try:
            if self._set_up:
                self.dispatcher("setup-ca")
                self.dispatcher("setup-ctrl-exec")
        except BaseException:
            self._remove()
            raise
        return self

    def __exit__(self, kind, *_):
        problems = []
        try:
            for daemon in self.daemons:
                try:
                    if kind is None and daemon.running():
                        daemon.stop()
                except AssertionError as problem:
                    problems.append(str(problem))
            problems += self._left_behind()
            problems += filter(is_report, (path.read_text(errors="replace")
                                           for path in (self.directory / "reports").iterdir()))
        finally:
            self._remove()
        if kind is None and problems:
            raise AssertionError("\n".join(problems))

    def _left_behind(self):
        mine = {daemon.pid for daemon in self.daemons}
        end = time.monotonic() + 5  # a command in the background may just be ending
        while (left := set(processes_naming(self.directory)) - mine) and time.monotonic() < end:
            time.sleep(0.01)
        return [f"process {pid} was left behind" for pid in left]

    def _remove(self):
        for daemon in self.daemons:
            daemon.kill()
        for pid in processes_naming(self.directory):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        shutil.rmtree(self.directory)

    def environment(self, log="none", **changes):
        environment = dict(os.environ, CTRL_EXEC_LOG=log, USER="operator", **changes)
        if BUILD == "debug":
            common = f"halt_on_error=1:log_path={self.directory}/reports/report"
            environment["ASAN_OPTIONS"] = f"detect_leaks=1:handle_sigill=1:exitcode=99:{common}"
            environment["UBSAN_OPTIONS"] = f"print_stacktrace=1:{common}"
        return environment

    def execute(self, argv, check=0, environment=None, **options):
        """Runs a command to its end. `check` is its expected exit code, None for any. stdout and stderr: bytes."""
        if "input" not in options:
            options.setdefault("stdin", subprocess.DEVNULL)
        options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
        done = subprocess.run([word if isinstance(word, bytes) else str(word) for word in argv],
                              env=environment or self.environment(), timeout=DEADLINE, check=False, **options)
        if check is not None and done.returncode != check:
            raise AssertionError(f"{done.args}: exit {done.returncode}, expected {check}\n"
                                 f"stdout: {(done.stdout or b'')[-2000:]}\nstderr: {(done.stderr or b'')[-2000:]}")
        return done

    def argv(self, *words):
        return [BIN / "ctrl-exec-dispatcher", "--config", self.config, *words]

    def dispatcher(self, *words, check=0, **options):
        return self.execute(self.argv(*words), check, **options)

    def json(self, *words, check=0):
        """What a dispatcher command prints with --json, which must be one line."""
        output = self.dispatcher("--json", *words, check=check).stdout
        if output.count(b"\n") != 1 or not output.endswith(b"\n"):
            raise AssertionError(f"not one line: {output[-2000:]}")
        return json.loads(output)

    def start(self, argv, name, **options):
        base = self.directory / "logs" / f"{len(self.daemons)}-{name}"
        daemon = Daemon(argv, self.environment(log="stderr"), base.with_suffix(".out"), base.with_suffix(".log"),
                        **options)
        self.daemons.append(daemon)
        return daemon

    def pairing_mode(self):
        """The listener, when it listens; use it as a context manager."""
        daemon = self.start(self.argv("pairing-mode"), "pairing-mode")
        return daemon.wait_listening()

    def requests(self):
        return self.json("list-requests")["requests"]

    def wait_request(self, hostname):
        """The pairing request of that host, once it is in the queue."""
        return poll(f"a request of {hostname}",
                    lambda: next((r for r in self.requests() if r["hostname"] == hostname), None))

    def agent(self, name, **settings):
        return Agent(self, name, settings)

    def paired_agents(self, *names, **settings):
        agents = [self.agent(name, **settings) for name in names]
        with self.pairing_mode() as listener:
            for agent in agents:
                agent.pair(listener)
        return agents

    def paired_agent(self, name, **settings):
        return self.paired_agents(name, **settings)[0]


class Agent:
    """An agent's directory, configuration and scripts. Settings go into its agent.conf."""

    def __init__(self, deployment, name, settings):
        self.deployment, self.name = deployment, name
        self.directory = deployment.directory / f"agent-{name}"
        self.directory.mkdir()
        self.config, self.allowlist = self.directory / "agent.conf", self.directory / "scripts.conf"
        self.certificate, self.key = self.directory / "agent.crt", self.directory / "agent.key"
        self.ca, self.serial = self.directory / "ca.crt", self.directory / "ctrl-exec-serial"
        self.settings = {"hostname": name, "cert": self.certificate, "key": self.key, "ca": self.ca,
                         "config_dir": self.directory, "state_dir": self.directory / "state", "bind": "127.0.0.1", "port": 0, **settings}
        write_settings(self.config, self.settings)
        self.allowlist.write_text("")

    def script(self, name, text, permissions=0o755):
        """Makes an executable, and allows it."""
        path = self.directory / f"{name}.sh"
        path.write_text(text)
        path.chmod(permissions)
        self.allow(name, path)
        return path

    def allow(self, name, path):
        with self.allowlist.open("a") as allowlist:
            allowlist.write(f"{name} = {path}\n")

    def argv(self, *words):
        return [BIN / "ctrl-exec-agent", "--config", self.config, *words]

    def command(self, *words, check=0, **options):
        return self.deployment.execute(self.argv(*words), check, **options)

    def request_pairing(self, listener, *words):
        """The process that asks and waits."""
        return self.deployment.start(
            self.argv("request-pairing", "--dispatcher", "127.0.0.1", "--port", listener.port, *words),
            f"request-{self.name}")

    def pair(self, listener):
        """Also when an agent of that name is registered already."""
        with self.request_pairing(listener) as asking:
            self.deployment.dispatcher("approve", self.deployment.wait_request(self.name)["id"], "--replace")
            status = asking.wait_exit()
        if status != 0:
            raise AssertionError(f"exit {status}: {asking.describe()}")

    def serve(self):
        """Starts to serve; `target` is then what dispatcher commands take as the host."""
        self.daemon = self.deployment.start(self.argv("serve"), f"serve-{self.name}").wait_listening()
        self.address = self.target = self.daemon.address
        return self
