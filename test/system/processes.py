"""Processes of system tests: waiting for a condition, finding what is left, daemons that are always ended."""

import contextlib
import os
import pathlib
import re
import signal
import subprocess
import time

DEADLINE = 40  # seconds; only something that hangs comes near it


def poll(what, probe, seconds=DEADLINE):
    """The first true value of probe(); fails when there is none in time."""
    end = time.monotonic() + seconds
    while True:
        value = probe()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"waited {seconds} s in vain: {what}")
        time.sleep(0.01)


def open_gate_until(gate, have_ended):
    """Lets go whoever waits to read the FIFO, again and again, until have_ended()."""

    def all_have_ended():
        with contextlib.suppress(OSError):  # ENXIO: none waits at this moment
            os.close(os.open(gate, os.O_WRONLY | os.O_NONBLOCK))
        return have_ended()

    poll("all who wait at the gate have ended", all_have_ended)


def state_of(pid):
    """One letter of proc(5), such as Z for a zombie."""
    return pathlib.Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()[0]


def processes_naming(directory):
    """Ids of the processes that have the directory in their command line."""
    found = []
    for entry in pathlib.Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            if state_of(entry.name) != "Z" and os.fsencode(f"{directory}/") in (entry / "cmdline").read_bytes():
                found.append(int(entry.name))
        except OSError:
            pass  # it has ended meanwhile
    return found


class Daemon:
    """A process in the background. `stop` expects it to end with 0 on SIGTERM."""

    def __init__(self, argv, environment, output, log, cwd=None):
        self.output_path, self.log_path = output, log
        with open(output, "wb") as out, open(log, "wb") as err:
            self.process = subprocess.Popen([str(word) for word in argv], env=environment, cwd=cwd,
                                            stdin=subprocess.DEVNULL, stdout=out, stderr=err)
        self.pid = self.process.pid

    @property
    def output(self):
        return self.output_path.read_text(errors="replace")

    @property
    def log(self):
        return self.log_path.read_text(errors="replace")

    def describe(self):
        return f"{self.process.args}\nstdout: {self.output}\nstderr: {self.log}"

    def wait_output(self, pattern):
        """Waits for a line of stdout that matches, and returns the match."""

        def find():
            ended = self.process.poll() is not None
            found = re.search(pattern, self.output, re.M)
            if not found and ended:
                raise AssertionError(f"ended before {pattern!r} appeared: {self.describe()}")
            return found

        return poll(pattern, find)

    def wait_log(self, pattern, count=1):
        return poll(f"log: {pattern}", lambda: len(re.findall(pattern, self.log, re.M)) >= count)

    def wait_listening(self):
        self.address = self.wait_output(r"listening on (\S+:\d+)$")[1]
        self.port = int(self.address.rpartition(":")[2])
        return self

    def wait_exit(self):
        try:
            return self.process.wait(DEADLINE)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"did not end within {DEADLINE} s: {self.describe()}") from None

    def running(self):
        return self.process.poll() is None

    def signal(self, number):
        self.process.send_signal(number)

    def stop(self):
        self.signal(signal.SIGTERM)
        status = self.wait_exit()
        if status != 0:
            raise AssertionError(f"ended with {status} on SIGTERM: {self.describe()}")

    def kill(self):
        if self.running():
            self.process.kill()
        self.process.wait()

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if kind is None and self.running():
            self.stop()
        self.kill()


def children_of(pid):
    return [int(child) for child in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def as_process_one(argv):
    """In a PID namespace of its own, as the first process of a container."""
    # --kill-child: what is left of the namespace goes with the test.
    return ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child", *argv]
