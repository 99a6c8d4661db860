"""Volumes of containers that have never been started, for system tests: directories in a deployment's own."""

import os
import pathlib
import shutil
import socket

from deployment import BIN

OLD = pathlib.Path(__file__).resolve().parent.parent / "data" / "old"
NOBODY = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]


class Volume:
    """What a role's container has mounted: its configuration directory, and its state directory."""

    def __init__(self, deployment, role, name="volume"):
        self.deployment, self.role = deployment, role
        self.directory = deployment.directory / f"{name}-{role}"
        self.directory.mkdir()
        self.state = deployment.directory / f"{name}-{role}-state"
        self.config = self.directory / ("agent.conf" if role == "agent" else "ctrl-exec.conf")

    def argv(self, *words, prefix=(), **variables):
        variables = {name: value for name, value in variables.items() if value is not None}
        return [*prefix, "env", *[f"{name}={value}" for name, value in variables.items()], BIN / "ctrl-exec",
                "entrypoint", self.role, "--config", self.config, "--state-dir", self.state, *words]

    def configure(self, check=0, **options):
        return self.deployment.execute(self.argv("--configure", **options), check)

    def start(self, **options):
        return self.deployment.start(self.argv(**options), self.role)

    def configure_with(self, *lines, **options):
        """As the marked place of the entrypoint scripts is used: first --configure, then lines of one's own."""
        self.configure(**options)
        with self.config.open("a") as config:
            config.write("".join(f"{line}\n" for line in lines))

    def snapshot(self):
        """The files that hold something; locks are made when they are needed."""
        return {path.name: path.read_bytes() for path in self.directory.iterdir() if not path.name.endswith("lock")}

    def put_old(self, *names, permissions=0o644):
        for name in names:
            shutil.copy(OLD / name, self.directory / name)
            (self.directory / name).chmod(permissions)

    def give_to(self, uid):
        for path in [self.directory, *self.directory.iterdir()]:
            os.chown(path, uid, uid)


def entrypoint_lines(output):
    return [line for line in output.splitlines() if line.startswith("[entrypoint]")]


def free_port():
    """For a listener that starts late, or again: nobody else gets it soon."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]
