#!/usr/bin/python3
"""How fast the HTTP API is, compared with yardsticks of the same machine in the same minutes.

    GET /health     nginx with one worker, serving a file of the same size; wrk is the client of both. Both log each
                    request into a file: nginx as Debian configures it, ours as in a container.
    POST /run       of /bin/true on an agent of this machine, for 32 keep-alive clients; the yardstick is one process
                    that starts and reaps /bin/true, one after the other (posix_spawn).
    idle memory     the API's resident set when it has just begun to listen.

A round measures each figure directly before or after its yardstick; what counts is the median of the rounds' ratios,
so that other work on the machine disturbs both alike. Started by `./dev bench`, which builds first.
"""

import argparse
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
os.environ.setdefault("CTRL_EXEC_BIN_DIR", str(ROOT / "build/release"))
os.environ.setdefault("CTRL_EXEC_BUILD", "release")
sys.path.insert(0, str(ROOT / "test/system"))

from api import call_once, serve_api  # noqa: E402
from deployment import Deployment  # noqa: E402
from processes import DEADLINE, Daemon, poll  # noqa: E402

SPAWN_RATE = ROOT / "build/release/test/bench/spawn-rate"
CLIENTS = 32
SCRIPTS = 1024  # far more than are under way at once, so that no run meets a lock

HEALTH_RATIO, RUN_RATIO, IDLE_MEGABYTES = 0.5, 0.4, 8.0

# What Debian's nginx.conf says, except for the number of workers, and places of our own.
NGINX = """\
daemon off;
worker_processes 1;
pid {directory}/nginx.pid;
error_log {directory}/error.log;
events {{ worker_connections 768; }}
http {{
    sendfile on;
    tcp_nopush on;
    types_hash_max_size 2048;
    default_type application/json;
    access_log {directory}/access.log;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    server {{
        listen 127.0.0.1:{port};
        root {directory}/html;
    }}
}}
"""


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as chosen:
        return chosen.getsockname()[1]


class Nginx:
    def __init__(self, body):
        self._body = body

    def __enter__(self):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="ctrl-exec-bench."))
        self.directory.chmod(0o755)  # its worker is another user
        (self.directory / "html").mkdir()
        (self.directory / "html/health").write_bytes(self._body)
        self.port = free_port()
        config = self.directory / "nginx.conf"
        config.write_text(NGINX.format(directory=self.directory, port=self.port))
        self._daemon = Daemon(["nginx", "-e", self.directory / "error.log", "-c", config], os.environ,
                              self.directory / "out", self.directory / "log")
        self.url = f"http://127.0.0.1:{self.port}/health"
        poll("nginx listens", self._listens)
        return self

    def _listens(self):
        if not self._daemon.running():
            raise AssertionError(f"nginx has ended: {self._daemon.describe()}")
        try:
            socket.create_connection(("127.0.0.1", self.port), DEADLINE).close()
            return True
        except ConnectionRefusedError:
            return False

    def __exit__(self, *_):
        try:
            self._daemon.stop()
        finally:
            self._daemon.kill()
            shutil.rmtree(self.directory)


def wrk(url, seconds, *options):
    """(requests a second, what wrk printed). Fails when an answer was not 2xx or a connection broke."""
    argv = ["wrk", "--threads", "1", "--connections", CLIENTS, "--duration", f"{seconds}s", "--timeout", "20s"]
    done = subprocess.run([str(word) for word in [*argv, *options[:2], url, *options[2:]]], capture_output=True,
                          text=True, timeout=seconds + DEADLINE, check=True)
    bad = re.search(r"^ *(Non-2xx.*|Socket errors.*)$", done.stdout, re.M)
    if bad:
        raise AssertionError(f"{url}: {bad[1]}\n{done.stdout}")
    return float(re.search(r"^Requests/sec: +([\d.]+)$", done.stdout, re.M)[1]), done.stdout


def health_rate(url, seconds):
    return wrk(url, seconds)[0]


def run_rate(api, host, seconds):
    script = pathlib.Path(__file__).with_name("run.lua")
    rate, output = wrk(f"http://{api.address}/run", seconds, "--script", script, "--", host, SCRIPTS)
    if not re.search(r"^Wrong answers: 0$", output, re.M):
        raise AssertionError(output)
    return rate


def spawn_rate(seconds):
    return float(subprocess.run([SPAWN_RATE, str(seconds)], capture_output=True, text=True, check=True,
                                timeout=seconds + DEADLINE).stdout)


def resident_megabytes(pid):
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"^VmRSS:\s+(\d+) kB$", status, re.M)[1]) * 1024 / 1e6


def compare(rounds, figure, yardstick):
    """Both of each round, the one that begins taking turns."""
    pairs = []
    for number in range(rounds):
        if number % 2:
            second = yardstick()
            pairs.append((figure(), second))
        else:
            first = figure()
            pairs.append((first, yardstick()))
    return pairs


def row(name, pairs, required):
    figures, yardsticks = zip(*pairs)
    ratio = statistics.median(figure / yardstick for figure, yardstick in pairs)
    return {"name": name, "figure": statistics.median(figures), "yardstick": statistics.median(yardsticks),
            "ratio": ratio, "required": required, "met": ratio >= required, "rounds": pairs}


def serve_agent(deployment):
    """One with a script `true-N` for each request that may be under way."""
    # By its name, as clients do; a name that needs no name server.
    agent = deployment.paired_agent("localhost", port=free_port()).serve()
    for number in range(SCRIPTS):
        agent.allow(f"true-{number}", "/bin/true")
    agent.daemon.signal(signal.SIGHUP)
    agent.daemon.wait_log("ACTION=reload")
    return agent


def measure(rounds, seconds):
    # Beside the build: /tmp may be in memory, where it costs nothing to make a file durable.
    tempfile.tempdir = str(ROOT / "build/bench")
    pathlib.Path(tempfile.tempdir).mkdir(parents=True, exist_ok=True)
    with Deployment(api_port=0, api_auth_default="allow") as deployment:
        agent = serve_agent(deployment)
        api = serve_api(deployment)
        idle = resident_megabytes(api.pid)
        status, body = call_once(api, "GET", "/health")
        if status != 200:
            raise AssertionError(f"GET /health: {status} {body}")
        with Nginx(json.dumps(body, separators=(",", ":")).encode()) as nginx:
            url = f"http://{api.address}/health"
            health = compare(rounds, lambda: health_rate(url, seconds), lambda: health_rate(nginx.url, seconds))
        runs = compare(rounds, lambda: run_rate(api, agent.name, seconds), lambda: spawn_rate(seconds))
        used = resident_megabytes(api.pid)
        agent_used = resident_megabytes(agent.daemon.pid)
    return {"load": os.getloadavg(), "health": row("GET /health, requests/s (nginx)", health, HEALTH_RATIO),
            "run": row("POST /run, runs/s (/bin/true)", runs, RUN_RATIO),
            "memory": {"name": "idle memory, MB", "figure": idle, "required": IDLE_MEGABYTES,
                       "met": idle < IDLE_MEGABYTES, "after_load": used, "agent_after_load": agent_used}}


def table(results):
    lines = [("", "figure", "yardstick", "ratio", "required", "")]
    for each in (results["health"], results["run"]):
        lines.append((each["name"], f"{each['figure']:.0f}", f"{each['yardstick']:.0f}", f"{each['ratio']:.2f}",
                      f">= {each['required']:.2f}", "" if each["met"] else "MISSED"))
    memory = results["memory"]
    lines.append((memory["name"], f"{memory['figure']:.1f}", "", "", f"< {memory['required']:.1f}",
                  "" if memory["met"] else "MISSED"))
    lines.append(("memory after the load, MB", f"{memory['after_load']:.1f}", "", "", "", ""))
    widths = [max(len(line[column]) for line in lines) for column in range(6)]
    for line in lines:
        cells = [line[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(line[1:5], widths[1:5])), line[5]]
        print("  ".join(cells).rstrip())


def main():
    parser = argparse.ArgumentParser(prog="./dev bench", description=__doc__.split("\n")[0])
    parser.add_argument("--json", metavar="FILE", help="write all raw numbers there")
    parser.add_argument("--rounds", type=int, default=5, choices=range(1, 101), metavar="N", help="default: 5")
    parser.add_argument("--seconds", type=int, default=3, choices=range(1, 61), metavar="N",
                        help="of each measurement; default: 3")
    options = parser.parse_args()
    busy = os.getloadavg()[0]
    if busy > 1:
        print(f"The machine is busy (load {busy:.1f}): the ratios vary more, and that of /run is too good, since several "
              "processes get more of a busy machine than the one of its yardstick.", file=sys.stderr)
    results = measure(options.rounds, options.seconds)
    table(results)
    if options.json:
        pathlib.Path(options.json).write_text(json.dumps(results, indent=2) + "\n")
    return 0 if all(results[name]["met"] for name in ("health", "run", "memory")) else 1


if __name__ == "__main__":
    sys.exit(main())
