"""A fleet of many agents on this machine: their certificates and registry records made at once, as real pairings
leave them, and served by real `ctrl-exec-agent` processes (up to about a thousand) or by one program that is all of
them (test/fleet/: the agent's own TLS, HTTP and routes).

    python3 test/system/fleet.py --agents 1000 --latency 100 --dead 1     (or ./dev fleet …)

prints how to use it as JSON, and serves until Control-C.
"""

import argparse
import json
import os
import pathlib
import random
import select
import signal
import socket
import subprocess
import sys
import time

if __name__ == "__main__":
    BUILT = pathlib.Path(__file__).resolve().parent.parent.parent / "build/release"
    os.environ.setdefault("CTRL_EXEC_BIN_DIR", str(BUILT))
    os.environ.setdefault("CTRL_EXEC_BUILD", "release")

from deployment import BIN, Deployment  # noqa: E402
from processes import DEADLINE  # noqa: E402

MAKE_SECONDS = 300  # for ten thousand agents, on a busy machine and with sanitizers


def program():
    """ctrl-exec-fleet, which lies below the build directory, not beside the program."""
    for directory in (BIN, BIN.parent):
        path = directory / "test/fleet/ctrl-exec-fleet"
        if path.exists():
            return path
    raise FileNotFoundError(f"there is no test/fleet/ctrl-exec-fleet below {BIN}: build that target")


def reserve_port():
    """A socket that holds a port on every address without listening; below those that clients get by themselves, since
    any of them could be taken at one address of ours."""
    for _ in range(1000):
        holder = socket.socket()
        try:
            holder.bind(("0.0.0.0", random.randrange(10000, 32000)))
            return holder
        except OSError:
            holder.close()
    raise OSError("no free port between 10000 and 32000")


class Fleet:
    """Agents agent-00001 … of a deployment's dispatcher. Percentages: `dead` ones are not there (their port refuses),
    `stalled` ones take connections and never answer (half of them, `silent`, not even in the handshake), `failing`
    ones' script `true` exits 1. `plan` names them. Use it as a context manager: it serves in between."""

    def __init__(self, deployment, agents, processes=False, seed=1, dead=0, stalled=0, failing=0, shares=1,
                 canned=False, latency=0, connect_latency=0, network="", directory=None):
        self.deployment = deployment
        self.directory = pathlib.Path(directory or deployment.directory / "fleet")
        self.directory.mkdir(exist_ok=True)
        self.processes = processes
        self._dead = reserve_port()
        holders = [reserve_port() for _ in range(1 if processes else shares)]
        wanted = {"mode": "processes" if processes else "simulated", "agents": agents, "seed": seed,
                  "failing_percent": failing, "stalled_percent": 0 if processes else stalled, "dead_percent": dead,
                  "ports": [holder.getsockname()[1] for holder in holders],
                  "dead_port": self._dead.getsockname()[1], "network": network}
        if processes and stalled:
            raise ValueError("real processes do not stall")
        made = subprocess.run([program(), "make", deployment.config, self.directory, json.dumps(wanted)],
                              stdout=subprocess.PIPE, timeout=MAKE_SECONDS, check=True,
                              env=deployment.environment())
        self.plan = json.loads(made.stdout)
        for holder in holders:
            holder.close()
        self.names = [f"agent-{number:05}" for number in range(1, agents + 1)]
        self._options = [*(["--canned"] if canned else []), "--latency", latency, "--connect-latency", connect_latency]
        self._served = []

    def of(self, conduct):
        return self.plan[conduct]

    @property
    def healthy(self):
        others = {name for conduct in ("failing", "silent", "stalled", "dead") for name in self.plan[conduct]}
        return [name for name in self.names if name not in others]

    @property
    def pids(self):
        return [process.pid for process in self._served]

    def __enter__(self):
        try:
            if self.processes:
                dead = set(self.plan["dead"])
                argvs = [[*self.prefix(name), BIN / "ctrl-exec-agent", "--config", self.directory / name / "agent.conf", "serve"]
                         for name in self.names if name not in dead]
            else:
                argvs = [[program(), "simulate", self.directory, "--share", share, *self._options]
                         for share in range(len(self.plan["ports"]))]
            self._start(argvs)
        except BaseException:
            self.stop(signal.SIGKILL)
            raise
        return self

    def prefix(self, _):
        """What starts this agent's process."""
        return []

    def _start(self, argvs):
        """All of them write their readiness line into one pipe."""
        log = self.directory / "fleet.log"
        reader, writer = os.pipe()
        try:
            with open(log, "ab") as errors:
                for argv in argvs:
                    self._served.append(subprocess.Popen(
                        [str(word) for word in argv], stdin=subprocess.DEVNULL, stdout=writer, stderr=errors,
                        env=self.deployment.environment(log="none")))
            os.close(writer)
            writer = -1
            self._wait_ready(reader, len(argvs), log)
        finally:
            if writer >= 0:
                os.close(writer)
            self._reader = reader  # kept: without a reader a later line would be an error

    def _wait_ready(self, reader, count, log):
        end = time.monotonic() + max(DEADLINE, count * 0.2)
        text = b""
        while text.count(b"listening on ") < count:
            ready, _, _ = select.select([reader], [], [], max(0, end - time.monotonic()))
            piece = os.read(reader, 65536) if ready else b""
            if not piece:
                raise AssertionError(f"not all {count} have begun to listen: {text[-500:]} "
                                     f"{log.read_text(errors='replace')[-2000:]}")
            text += piece

    def stop(self, number=signal.SIGTERM):
        """The exit codes that are not 0."""
        for process in self._served:
            if process.poll() is None:
                process.send_signal(number)
        end = time.monotonic() + DEADLINE
        bad = []
        for process in self._served:
            try:
                status = process.wait(max(0.1, end - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                status = process.wait()
            if status != 0:
                bad.append(status)
        self._served = []
        return bad

    def __exit__(self, kind, *_):
        bad = self.stop()
        os.close(self._reader)
        self._dead.close()
        if kind is None and bad:
            raise AssertionError(f"ended with {bad} on SIGTERM: "
                                 f"{(self.directory / 'fleet.log').read_text(errors='replace')[-2000:]}")


class NetworkedFleet(Fleet):
    """A few agents as processes, each in a network namespace of its own, behind a link that can be cut."""

    def __init__(self, deployment, agents, **options):
        self._mark = f"ce{os.getpid()}"
        self._made = 0
        network = self._free_network()
        super().__init__(deployment, agents, processes=True, network=network, **options)
        self._network = network

    @staticmethod
    def _free_network():
        taken = ip("-o", "-4", "address") + ip("-4", "route")
        return next(network for number in random.sample(range(128, 250), 100)
                    if f" {(network := f'10.{number}')}." not in taken)

    def _link(self, name):
        return f"{self._mark}-{int(name.rpartition('-')[2])}"

    def prefix(self, name):
        return ["ip", "netns", "exec", self._link(name)]

    def cut(self, name):
        """From now on nothing gets there or comes from there, and nobody is told."""
        ip("-n", self._link(name), "address", "flush", "dev", "eth0")  # cutting its carrier would tell us

    def __enter__(self):
        try:
            for number, name in enumerate(self.names, 1):
                link = self._link(name)
                ip("netns", "add", link)
                self._made = number
                ip("link", "add", link, "type", "veth", "peer", "name", "eth0", "netns", link)
                ip("-n", link, "address", "add", f"{self._network}.{number}.2/30", "dev", "eth0")
                for device in ("lo", "eth0"):
                    ip("-n", link, "link", "set", device, "up")
                ip("address", "add", f"{self._network}.{number}.1/30", "dev", link)
                ip("link", "set", link, "up")
            return super().__enter__()
        except BaseException:
            self._remove_links()
            raise

    def _remove_links(self):
        for name in self.names[:self._made]:
            ip("netns", "delete", self._link(name))  # its end of the link goes with it, and so does ours
        self._made = 0

    def __exit__(self, *words):
        try:
            super().__exit__(*words)
        finally:
            self._remove_links()


def ip(*words):
    done = subprocess.run(["ip", *words], capture_output=True, text=True, timeout=DEADLINE, check=False)
    if done.returncode != 0:
        raise AssertionError(f"ip {' '.join(words)}: {done.stderr}")
    return done.stdout


def main():
    parser = argparse.ArgumentParser(prog="./dev fleet", description="Serves many agents until Control-C.")
    parser.add_argument("--agents", type=int, default=100, metavar="N", help="default: 100")
    parser.add_argument("--processes", action="store_true", help="a process for each; at most about 1000")
    parser.add_argument("--canned", action="store_true", help="`run` is answered without running anything")
    parser.add_argument("--shares", type=int, default=1, metavar="N", help="simulating processes; default: 1")
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="the same one, the same fleet; default: 1")
    for option, unit, text in (("--latency", "MS", "before each answer"),
                               ("--connect-latency", "MS", "before each handshake"),
                               ("--dead", "P", "percent whose port refuses"),
                               ("--stalled", "P", "percent that never answer, half of them not even in the handshake"),
                               ("--failing", "P", "percent whose script `true` exits 1")):
        parser.add_argument(option, type=int if unit == "MS" else float, default=0, metavar=unit, help=text)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="in the dispatcher's ctrl-exec.conf")
    options = vars(parser.parse_args())
    settings = dict(setting.split("=", 1) for setting in options.pop("set"))
    with Deployment(**settings) as deployment, Fleet(deployment, **options) as fleet:
        command = f"{BIN}/ctrl-exec-dispatcher --config {deployment.config} run agent-00001 true"
        print(json.dumps({"config": str(deployment.config), "command": command, "pids": fleet.pids[:8],
                          "agents": options["agents"],
                          **{conduct: fleet.of(conduct) for conduct in ("failing", "silent", "stalled", "dead")}}),
              flush=True)
        try:
            signal.pause()
        except KeyboardInterrupt:
            pass


if __name__ == "__main__":
    for number in (signal.SIGTERM, signal.SIGINT):  # also where a shell without jobs has it ignored
        signal.signal(number, signal.default_int_handler)
    sys.exit(main())
