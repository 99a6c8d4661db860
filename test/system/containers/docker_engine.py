"""A Docker engine of the tests' own, and the images of this repository in it.

The engine has its own network, process and mount namespace: published ports, bridges and firewall rules collide
with nothing on this machine, and when the tests end or are killed, the kernel removes all of it with the namespaces.
Only while images are built it runs in the machine's network, since the build stage fetches packages.

No registry is asked for anything. `debian:12-slim` is made with debootstrap and kept in the cache directory,
`alpine:3.21` from Debian's static busybox. With CTRL_EXEC_PREBUILT=1 the build stage is replaced by a copy of the
release build: for the hours of writing tests; `./dev test` never sets it.
"""

import atexit
import contextlib
import ctypes
import functools
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile

from processes import poll

ROOT = pathlib.Path(__file__).resolve().parents[3]
RELEASE = ROOT / "build/release"
CACHE = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "ctrl-exec"
TARGETS = {"scratch": "ctrl-exec:latest", "alpine": "ctrl-exec:alpine", "dispatcher": "ctrl-exec-dispatcher",
           "agent": "ctrl-exec-agent"}
BUILD_TIMEOUT = 2400  # seconds; about four minutes of two idle processors


class DockerError(AssertionError):
    """A docker command that failed, with all it said."""


@functools.cache
def engine():
    """The one engine of a test run, with all images built."""
    started = Engine()
    atexit.register(started.close)
    started.start(network="host")
    started.build_images()
    started.stop()
    started.start(network="private")
    return started


class Engine:
    def __init__(self):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="cexd-"))  # short: a socket's path has 107 characters
        self.socket = self.directory / "docker.sock"
        self.environment = {**os.environ, "DOCKER_HOST": f"unix://{self.socket}", "DOCKER_BUILDKIT": "0",
                            "COMPOSE_DOCKER_CLI_BUILD": "0", "DOCKER_CONFIG": str(self.directory / "client")}
        self.context = ROOT  # what compose files and builds are relative to
        self._process = None

    # --- the daemon ----------------------------------------------------------------------------------------------

    def start(self, network):
        daemon = ["dockerd", "--data-root", self.directory / "data", "--exec-root", self.directory / "exec",
                  "-H", f"unix://{self.socket}", "--pidfile", self.directory / "pid", "--bridge", "none"]
        namespaces = ["unshare", "--mount", "--propagation", "private", "--pid", "--fork", "--kill-child",
                      "--mount-proc"]
        # Shims and networks have their sockets in fixed places, which another engine on this machine may use.
        prepare = "for place in docker containerd; do mkdir -p /run/$place; mount -t tmpfs tmpfs /run/$place; done"
        if network == "host":
            daemon += ["--iptables=false", "--ip6tables=false", "--ip-forward=false"]
        else:
            namespaces.append("--net")
            prepare += "; ip link set lo up"
        daemon = ["sh", "-ec", f'{prepare}; exec "$@"', "sh", *daemon]
        self.socket.unlink(missing_ok=True)
        (self.directory / "pid").unlink(missing_ok=True)
        with open(self.directory / "dockerd.log", "ab") as log:
            self._process = subprocess.Popen([str(word) for word in namespaces + daemon], stdin=subprocess.DEVNULL,
                                             stdout=log, stderr=log, preexec_fn=_die_with_parent)
        poll("dockerd answers", self._answers)

    def _answers(self):
        if self._process.poll() is not None:
            raise DockerError("dockerd ended:\n" + (self.directory / "dockerd.log").read_text(errors="replace")[-4000:])
        return self.socket.exists() and self.docker("version", check=False).returncode == 0

    def pid(self):
        """Process id of dockerd, as it is seen from here."""
        [child] = pathlib.Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text().split()
        return int(child)

    def stop(self):
        """Ends dockerd, and with it, as the first process of its namespace, every other one in there."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid(), signal.SIGTERM)
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.kill()  # --kill-child takes the namespace along
            self._process.wait()

    def close(self):
        if self._process and self._process.poll() is None:
            left = self.docker("ps", "-aq", check=False).stdout.split()
            if left:
                self.docker("rm", "-fv", *left, check=False)
            self.stop()
        shutil.rmtree(self.directory, ignore_errors=True)

    # --- commands ------------------------------------------------------------------------------------------------

    def run(self, words, check=True, input=None, timeout=120):
        """Runs a client program to its end; stdout and stderr of the result are text."""
        words = [str(word) for word in words]
        done = subprocess.run(words, env=self.environment, timeout=timeout, capture_output=True,
                              input=input.encode() if isinstance(input, str) else input or b"")
        done.stdout, done.stderr = (part.decode(errors="replace") for part in (done.stdout, done.stderr))
        if check and done.returncode != 0:
            raise DockerError(f"{' '.join(words)}: exit {done.returncode}\n{done.stdout}{done.stderr}")
        return done

    def docker(self, *words, **options):
        return self.run(["docker", *words], **options)

    def inside(self, *words, **options):
        """A program of this machine in the engine's network, where published ports are."""
        return self.run(["nsenter", f"--net=/proc/{self.pid()}/ns/net", "--", *words], **options)

    # --- images --------------------------------------------------------------------------------------------------

    def build_images(self):
        self._import("alpine:3.21", _busybox_tree)
        if os.environ.get("CTRL_EXEC_PREBUILT"):
            self.context = _prebuilt_context(self.directory / "context")
        else:
            self._import_archive("debian:12-slim", debian_archive())
        proxies = [word for name in ("http_proxy", "https_proxy", "no_proxy") if os.environ.get(name)
                   for word in ("--build-arg", name)]
        for target, image in TARGETS.items():
            chosen = [] if target == "scratch" else ["--target", target]
            self.docker("build", "--network", "host", *chosen, "-t", image, *proxies, self.context,
                        timeout=BUILD_TIMEOUT)

    def _import(self, name, fill):
        with tempfile.TemporaryDirectory(prefix="cexd-tree-") as folder:
            fill(pathlib.Path(folder))
            archive = pathlib.Path(folder) / ".archive"
            subprocess.run(["tar", "-C", folder, "--exclude=./.archive", "-cf", archive, "."], check=True)
            self._import_archive(name, archive)

    def _import_archive(self, name, archive):
        self.docker("import", archive, name, timeout=300)


def _die_with_parent():
    """After a suite that was killed no engine stays: PR_SET_PDEATHSIG."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


# --- base images -------------------------------------------------------------------------------------------------


def debian_archive():
    """A minimal Debian 12 as a tar file; debootstrap makes it once, where the machine keeps its cache."""
    archive = CACHE / "debian-12-minbase.tar"
    if archive.exists():
        return archive
    CACHE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="debootstrap-", dir=CACHE) as folder:
        tree = pathlib.Path(folder) / "tree"
        done = subprocess.run(["debootstrap", "--variant=minbase", "bookworm", tree, *debian_mirror()],
                              capture_output=True, text=True, timeout=900)
        if done.returncode:
            raise DockerError(f"debootstrap: {done.stdout[-3000:]}{done.stderr}")
        for package in (tree / "var/cache/apt/archives").glob("*.deb"):
            package.unlink()
        subprocess.run(["tar", "-C", tree, "-cf", f"{folder}/new.tar", "."], check=True)
        os.replace(f"{folder}/new.tar", archive)
    return archive


def debian_mirror():
    """Where this machine gets its Debian 12 from; nothing when it does not say, debootstrap has a default."""
    listed = subprocess.run(["apt-get", "indextargets", "--format", "$(CODENAME) $(COMPONENT) $(REPO_URI)",
                             "Created-By: Packages"], capture_output=True, text=True).stdout.splitlines()
    uris = [uri for codename, component, uri in (line.split(" ", 2) for line in listed)
            if (codename, component) == ("bookworm", "main") and re.match(r"https?://", uri)]
    return uris[:1]


def _busybox_tree(root):
    """What of Alpine Linux our images rely on: busybox, and files of users and groups."""
    for folder in ("bin", "dev", "etc", "opt", "proc", "root", "run", "sbin", "sys", "tmp", "usr/bin", "usr/sbin", "var"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    (root / "tmp").chmod(0o1777)
    shutil.copy("/bin/busybox", root / "bin/busybox")
    for applet in subprocess.run(["/bin/busybox", "--list-full"], check=True, capture_output=True,
                                 text=True).stdout.split():
        link = root / applet
        link.parent.mkdir(parents=True, exist_ok=True)
        if not link.exists():
            link.symlink_to("/bin/busybox")
    (root / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/sbin/nologin\n")
    (root / "etc/group").write_text("root:x:0:\nnobody:x:65534:\n")


def _prebuilt_context(folder):
    """The repository's Dockerfile with another build stage: it only takes the release build of this machine."""
    shutil.copytree(ROOT / "packaging", folder / "packaging")
    for compose in ROOT.glob("compose*.yml"):
        shutil.copy(compose, folder)
    binary = pathlib.Path(os.environ.get("CTRL_EXEC_BIN_DIR", RELEASE)) / "ctrl-exec"
    shutil.copy(binary.resolve(), folder / "ctrl-exec")
    text = (ROOT / "Dockerfile").read_text()
    text, count = re.subn(r"^FROM \$\{BUILD_IMAGE\} AS build\n.*?(?=^# ---)",
                          "FROM ${ALPINE_IMAGE} AS build\nWORKDIR /src\nCOPY ctrl-exec build/release/ctrl-exec\n\n",
                          text, flags=re.M | re.S)
    assert count == 1, "the Dockerfile has no build stage"
    (folder / "Dockerfile").write_text(text)
    return folder


if __name__ == "__main__":  # a shell with an engine, for trying things by hand
    sys.exit(subprocess.run(os.environ.get("SHELL", "sh"), env=engine().environment).returncode)
