"""What the container tests have in common: containers, volumes and networks that vanish with the test."""

import contextlib
import io
import itertools
import json
import re
import subprocess
import tarfile
import time
import unittest

from docker_engine import engine as the_engine
from processes import poll
from terminal import Terminal

DISPATCHER, AGENT, SCRATCH, ALPINE = "ctrl-exec-dispatcher", "ctrl-exec-agent", "ctrl-exec:latest", "ctrl-exec:alpine"
HARDENED = ("--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges")
NUMBERS = itertools.count(1)


class Container:
    """A container by its name; it need not exist yet."""

    def __init__(self, engine, name):
        self.engine, self.name = engine, name

    def inspect(self):
        return json.loads(self.engine.docker("inspect", self.name).stdout)[0]

    @property
    def state(self):
        return self.inspect()["State"]

    @property
    def logs(self):
        done = self.engine.docker("logs", self.name)
        return done.stdout + done.stderr

    @property
    def address(self):
        [network] = self.inspect()["NetworkSettings"]["Networks"].values()
        return network["IPAddress"]

    def describe(self):
        return f"{self.name}: {self.state}\n{self.logs[-4000:]}"

    def wait_created(self):
        poll(f"{self.name} is there", lambda: self.engine.docker("inspect", self.name, check=False).returncode == 0, 120)

    def wait_log(self, pattern, count=1):
        """Waits until the pattern stands so many times in the log; fails at once when the container ends without."""

        def find():
            ended = not self.state["Running"]
            found = re.findall(pattern, self.logs, re.M)
            if len(found) < count and ended:
                raise AssertionError(f"ended before it appeared {count} times: {pattern}")
            return found if len(found) >= count else None

        return self.wait_for(pattern, find)

    def wait_for(self, what, probe):
        """poll() that shows the log when it was in vain."""
        try:
            return poll(what, probe)
        except AssertionError as problem:
            raise AssertionError(f"{problem}\n{self.describe()}") from None

    def wait_exit(self):
        """Waits for the end, and returns the exit code."""
        try:
            return int(self.engine.docker("wait", self.name, timeout=40).stdout)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"does not end: {self.describe()}") from None

    def wait_health(self, status):
        self.wait_for(f"{self.name} is {status}", lambda: self.state["Health"]["Status"] == status)

    def exec(self, *words, options=(), **more):
        return self.engine.docker("exec", *options, self.name, *words, **more)

    def dispatcher(self, *words, **more):
        return self.exec("ctrl-exec-dispatcher", *words, **more)

    def json(self, *words, check=True):
        """What a dispatcher command prints with --json."""
        return json.loads(self.dispatcher("--json", *words, check=check).stdout)

    def run_result(self, *words):
        [result] = self.json("run", *words, check=False)["results"]
        return result

    def registered(self):
        return sorted(agent["hostname"] for agent in self.json("list-agents")["agents"])

    def listen_for_pairing(self):
        """pairing-mode in the background, which ends with the container."""
        self.exec("ctrl-exec-dispatcher", "pairing-mode", options=["-d"])

    def wait_request(self, hostname):
        return poll(f"a request of {hostname}", lambda: next(
            (request for request in self.json("list-requests")["requests"] if request["hostname"] == hostname), None))

    def wait_request_of_any(self):
        return poll("a request", lambda: next(iter(self.json("list-requests")["requests"]), None))

    def approve(self, hostname):
        request = self.wait_request(hostname)
        self.dispatcher("approve", request["id"], "--replace")
        return request

    def pairing_terminal(self):
        return Terminal(["docker", "exec", "-it", self.name, "ctrl-exec-dispatcher", "pairing-mode"],
                        self.engine.environment)

    def stop(self, *options):
        """`docker stop`: (seconds it took, exit code)."""
        started = time.monotonic()
        self.engine.docker("stop", *options, self.name)
        return time.monotonic() - started, self.state["ExitCode"]

    def freeze(self, signal):
        """STOP or CONT for what serves, the child of PID 1; in an image with a shell."""
        self.exec("sh", "-c", f"for pid in $(pidof ctrl-exec); do [ $pid = 1 ] || kill -{signal} $pid; done")

    def processes(self):
        """(state, command line) of each process, as `docker top` shows them."""
        lines = self.engine.docker("top", self.name, "-eo", "pid,stat,args").stdout.splitlines()[1:]
        return [tuple(line.split(None, 2)[1:]) for line in lines]

    def copy_in(self, path, text, permissions=0o755):
        """`docker cp` of a file, made anew with this content."""
        name = path.rpartition("/")[2]
        self.engine.run(["docker", "cp", "-", f"{self.name}:{path.rpartition('/')[0]}/"],
                        input=archive({name: (text, permissions, 0, 0)}))


def archive(files):
    """A tar archive of {name: (content, permissions, uid, gid)}; content None makes a directory."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, (content, permissions, uid, gid) in files.items():
            entry = tarfile.TarInfo(name)
            entry.mode, entry.uid, entry.gid, entry.mtime = permissions, uid, gid, int(time.time())
            data = content.encode() if isinstance(content, str) else content
            if data is None:
                entry.type = tarfile.DIRTYPE
            else:
                entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data or b""))
    return buffer.getvalue()


class ContainerCase(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.engine = the_engine()

    # --- things that are removed with the test ---------------------------------------------------------------------

    def volume(self, *options):
        name = f"volume-{next(NUMBERS)}"
        self.engine.docker("volume", "create", *options, name)
        self.addCleanup(self.engine.docker, "volume", "rm", "-f", name, check=False)
        return name

    def network(self, *options):
        name = f"network-{next(NUMBERS)}"
        self.engine.docker("network", "create", *options, name)
        self.addCleanup(self.engine.docker, "network", "rm", name)
        return name

    def container(self, image, *command, name=None, options=(), environment=None, volumes=None):
        """Starts a container in the background. `volumes`: {name: mount point}."""
        name = name or f"container-{next(NUMBERS)}"
        words = ["run", "-d", "--name", name, *options]
        for key, value in (environment or {}).items():
            words += ["-e", f"{key}={value}"]
        for volume, place in (volumes or {}).items():
            words += ["-v", f"{volume}:{place}"]
        container = Container(self.engine, name)
        self.addCleanup(self.engine.docker, "rm", "-fv", name, check=False)
        self.engine.docker(*words, image, *command)
        return container

    def shell(self, script, volumes=None, input=None, check=True):
        """A script as root in busybox, on these volumes."""
        mounts = [word for volume, place in (volumes or {}).items() for word in ("-v", f"{volume}:{place}")]
        return self.engine.docker("run", "--rm", "-i", *mounts, "alpine:3.21", "sh", "-ec", script, check=check,
                                  input=input).stdout

    def fill(self, volume, files):
        """Puts {name: (content, permissions, uid, gid)} on a volume."""
        self.shell("tar -x -C /volume", {volume: "/volume"}, input=archive(files))

    def read(self, volume, name):
        return self.shell(f"cat /volume/{name}", {volume: "/volume"})

    # --- the two roles -----------------------------------------------------------------------------------------------

    def start_dispatcher(self, image=DISPATCHER, options=(), environment=None, volumes=None, wait=True, network=None,
                         name=None):
        volumes = volumes or {self.volume(): "/etc/ctrl-exec", self.volume(): "/var/lib/ctrl-exec"}
        container = self.container(image, options=[*(["--network", network] if network else []), *options],
                                   environment={"ROLE": "dispatcher", **(environment or {})}, volumes=volumes,
                                   name=name)
        container.volumes = list(volumes)
        if wait:
            container.wait_log(r"listening on ")
        return container

    def start_agent(self, hostname, dispatcher, image=AGENT, options=(), environment=None, volumes=None, network=None):
        volumes = volumes or {self.volume(): "/etc/ctrl-exec-agent", self.volume(): "/opt/ctrl-exec-scripts"}
        container = self.container(
            image, options=["--hostname", hostname, *(["--network", network] if network else []), *options],
            environment={"ROLE": "agent", "DISPATCHER_HOST": dispatcher, **(environment or {})}, volumes=volumes,
            name=hostname)
        container.volumes = list(volumes)
        return container

    def pair(self, dispatcher, *agents):
        dispatcher.listen_for_pairing()
        for agent in agents:
            dispatcher.approve(agent.name)
        for agent in agents:
            agent.wait_log(r"listening on ")

    def paired(self, hostname="agent", **options):
        """A dispatcher and an agent on a network of their own."""
        network = self.network()
        dispatcher = self.start_dispatcher(network=network)
        agent = self.start_agent(hostname, dispatcher.name, network=network, **options)
        self.pair(dispatcher, agent)
        return dispatcher, agent

    def add_script(self, agent, name, text):
        """In an image with a shell."""
        path = f"/opt/ctrl-exec-scripts/{name}.sh"
        agent.copy_in(path, text)
        agent.exec("ctrl-exec-agent", "allow", name, path)


class ComposeCase(ContainerCase):
    """The compose files of the repository, as they are."""

    files = ("compose.yml",)
    project = "stack"

    def setUp(self):
        for service, image in self.images().items():
            self.engine.docker("tag", image, f"{self.project}_{service}")  # built already, see docker_engine
        self.addCleanup(self.compose, "down", "-v", "--remove-orphans")
        self.dispatcher = Container(self.engine, "dispatcher")
        self.agent = Container(self.engine, "agent")

    def images(self):
        return {"dispatcher": DISPATCHER, "agent": AGENT}

    def compose_words(self, *words):
        chosen = [word for name in self.files for word in ("-f", self.engine.context / name)]
        return ["docker-compose", "-p", self.project, "--project-directory", self.engine.context, *chosen, *words]

    def compose(self, *words, timeout=300):
        return self.engine.run(self.compose_words(*words), timeout=timeout)

    def up_with(self, *words, **variables):
        """`up` with other variables for the agent, by a second compose file as an operator would write it."""
        lines = "".join(f"      {name}: {json.dumps(value)}\n" for name, value in variables.items())
        override = self.engine.directory / "override.yml"
        override.write_text("services:\n  agent:\n    environment:\n" + lines)
        self.files = (*type(self).files, override)
        return self.compose("up", *words)

    @contextlib.contextmanager
    def foreground(self, *words):
        """A compose command as a terminal shows it; ended with the block."""
        with Terminal(self.compose_words(*words), self.engine.environment) as terminal:
            yield terminal
