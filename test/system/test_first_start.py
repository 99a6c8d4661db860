"""The first start of a dispatcher's container makes what is missing, once, whatever happens meanwhile."""

import os
import random
import subprocess
import time
import unittest

from deployment import BIN, Deployment, mode
from first_start import NOBODY, OLD, Volume, entrypoint_lines, free_port
from processes import poll

MADE = ["[entrypoint] Generating ctrl-exec.conf...", "[entrypoint] ctrl-exec.conf written.",
        "[entrypoint] First start: initialising CA...", "[entrypoint] CA and ctrl-exec cert created."]
STARTING = "[entrypoint] Starting ctrl-exec-api..."


class FirstStart(unittest.TestCase):
    def setUp(self):
        self.deployment = self.enterContext(Deployment(set_up=False))
        self.deployment.directory.chmod(0o755)
        self.volume = Volume(self.deployment, "dispatcher")

    def assert_complete(self, volume):
        """Everything is there, belongs together, and nothing temporary is left."""
        names = sorted(path.name for path in volume.directory.iterdir())
        self.assertEqual(names, [".setup.lock", "ca.crt", "ca.key", "ca.serial", "ca.serial.lock", "ctrl-exec.conf",
                                 "ctrl-exec.crt", "ctrl-exec.key"])
        for name in ("ca.key", "ctrl-exec.key"):
            self.assertEqual(mode(volume.directory / name), "0600")
        subprocess.run(["openssl", "verify", "-CAfile", volume.directory / "ca.crt", volume.directory / "ctrl-exec.crt"],
                       check=True, capture_output=True)
        kept = self.deployment.execute([BIN / "ctrl-exec-dispatcher", "setup-ctrl-exec", "--if-missing", "--config",
                                        volume.config])  # checks that the key is the certificate's
        self.assertIn(b"exists, kept.\n", kept.stdout)

    def test_start_and_restart(self):
        with self.volume.start(API_PORT=0) as first:
            first.wait_listening()
        self.assertEqual(entrypoint_lines(first.output), [*MADE, STARTING])
        self.assert_complete(self.volume)
        before = self.volume.snapshot()
        with self.volume.start(API_PORT="garbage that nobody reads any more") as second:
            second.wait_listening()
        self.assertEqual(entrypoint_lines(second.output), [STARTING])
        self.assertEqual(self.volume.snapshot(), before)

    def test_configure_then_start_says_each_line_once(self):
        done = self.volume.configure(API_PORT=0)
        self.assertEqual(entrypoint_lines(done.stdout.decode()), MADE)
        with self.volume.start() as daemon:
            daemon.wait_listening()
        self.assertEqual(entrypoint_lines(daemon.output), [STARTING])

    def test_many_starts_at_the_same_time_make_one_ca(self):
        starts = [self.deployment.start(self.volume.argv("--configure"), "configure") for _ in range(8)]
        self.assertEqual([start.wait_exit() for start in starts], [0] * 8, [start.describe() for start in starts])
        said = "".join(start.output for start in starts)
        for line in ("CA created:", "Dispatcher certificate created:", *MADE[:2]):
            self.assertEqual(said.count(line), 1, said)
        self.assert_complete(self.volume)

    def test_two_starts_on_one_port_one_serves_the_other_says_why_not(self):
        port = free_port()
        starts = [self.volume.start(API_PORT=port) for _ in range(2)]
        poll("one has given up", lambda: any(not start.running() for start in starts))
        [loser], [winner] = ([start for start in starts if start.running() is running] for running in (False, True))
        winner.wait_listening()
        self.assertNotEqual(loser.wait_exit(), 0)
        self.assertIn("in use", loser.log)
        self.assert_complete(self.volume)

    def test_kill_at_any_moment_and_the_next_start_completes_it(self):
        chance = random.Random(20)
        begin = time.monotonic()
        Volume(self.deployment, "dispatcher", "whole").configure()
        whole = time.monotonic() - begin
        for i in range(20):
            volume = Volume(self.deployment, "dispatcher", f"killed-{i}")
            for _ in range(2):
                start = self.deployment.start(volume.argv("--configure"), "killed")
                time.sleep(chance.uniform(0, whole))  # the moment is what is tried, nothing is waited for
                start.kill()
            volume.configure()
            self.assert_complete(volume)

    def test_kill_between_key_and_certificate(self):
        self.volume.configure()
        key = (self.volume.directory / "ctrl-exec.key").read_bytes()
        (self.volume.directory / "ctrl-exec.crt").unlink()
        self.volume.configure()
        self.assertEqual((self.volume.directory / "ctrl-exec.key").read_bytes(), key)
        self.assert_complete(self.volume)

    def test_ca_key_that_somebody_put_there_is_used(self):
        self.volume.put_old("ca.key", permissions=0o600)
        self.volume.configure()
        self.assertEqual((self.volume.directory / "ca.key").read_bytes(), (OLD / "ca.key").read_bytes())
        self.assert_complete(self.volume)

    def test_ca_whose_key_is_kept_elsewhere(self):
        self.volume.configure(API_PORT=0)
        (self.volume.directory / "ca.key").unlink()
        with self.volume.start() as daemon:
            daemon.wait_listening()
        self.assertFalse((self.volume.directory / "ca.key").exists())

    def test_volume_that_may_only_be_read(self):
        self.volume.configure()
        read_only = ["unshare", "--mount", "sh", "-c", 'mount --bind -o ro "$0" "$0" && exec "$@"',
                     self.volume.directory]
        self.volume.configure(prefix=read_only)
        (self.volume.directory / "ctrl-exec.crt").unlink()
        done = self.volume.configure(1, prefix=read_only)
        self.assertIn(b"Read-only file system; the file system is read-only; mount a writable volume", done.stderr)

    def test_old_volumes_are_taken_over_as_they_are(self):
        self.volume.put_old("ca.crt", "ctrl-exec.crt")
        self.volume.put_old("ca.key", "ca.serial", "ctrl-exec.key", permissions=0o600)
        agents = self.volume.state / "agents"
        agents.mkdir(parents=True)
        (agents / "agent1.json").write_bytes((OLD / "agent1.json").read_bytes())
        text = (OLD / "ctrl-exec.conf").read_text().replace("/etc/ctrl-exec/", f"{self.volume.directory}/")
        self.volume.config.write_text(f"{text}state_dir = {self.volume.state}\napi_port = 0\n")
        before = self.volume.snapshot()
        with self.volume.start() as daemon:
            daemon.wait_listening()
        self.assertEqual(entrypoint_lines(daemon.output), [STARTING])
        self.assertEqual(self.volume.snapshot(), before)
        self.assertEqual([path.name for path in agents.iterdir()], ["agent1.json"])


class Ownership(unittest.TestCase):
    """One line names the path, its owner, our uid and the remedy; nothing is written."""

    def setUp(self):
        self.deployment = self.enterContext(Deployment(set_up=False))
        self.deployment.directory.chmod(0o755)
        self.volume = Volume(self.deployment, "dispatcher")

    def refused(self, path, check=1):
        done = self.volume.configure(check, prefix=NOBODY)
        lines = done.stderr.decode().splitlines()
        self.assertEqual(len(lines), 1, lines)
        self.assertIn(f"{path} belongs to uid 0, we run as uid 65534; chown it, or run as its owner", lines[0])

    def test_configuration_volume_of_somebody_else(self):
        self.refused(self.volume.directory)
        self.assertEqual(list(self.volume.directory.iterdir()), [])

    def test_state_volume_of_somebody_else(self):
        self.volume.give_to(65534)
        self.volume.state.mkdir()
        self.refused(self.volume.state)

    def test_files_of_somebody_else(self):
        self.volume.configure()
        os.chown(self.volume.directory, 65534, 65534)
        os.chown(self.volume.state, 65534, 65534)
        (self.volume.directory / "ctrl-exec.crt").unlink()
        self.refused(self.volume.directory / "ca.key")
        os.chown(self.volume.directory / "ca.key", 65534, 65534)
        self.refused(self.volume.directory / ".setup.lock")
        self.volume.config.chmod(0o600)
        self.refused(self.volume.config, 78)

    def test_key_that_is_missed_only_when_serving(self):
        self.volume.configure(API_PORT=0)
        self.volume.give_to(65534)
        os.chown(self.volume.state, 65534, 65534)
        os.chown(self.volume.directory / "ctrl-exec.key", 0, 0)
        start = self.volume.start(prefix=NOBODY)
        self.assertNotEqual(start.wait_exit(), 0)
        self.assertIn(f"{self.volume.directory}/ctrl-exec.key belongs to uid 0, we run as uid 65534", start.log)

    def test_volumes_that_are_ours_need_no_root(self):
        self.volume.give_to(65534)
        self.volume.state.mkdir()
        os.chown(self.volume.state, 65534, 65534)
        with self.volume.start(prefix=NOBODY, API_PORT=0) as daemon:
            daemon.wait_listening()
        self.assertEqual(entrypoint_lines(daemon.output), [*MADE, STARTING])


class DocumentedPlaces(unittest.TestCase):
    """`ctrl-exec` alone with ROLE, where everything lies where the image has it."""

    MOUNT = 'for d in etc opt; do mount --bind "$0/$d" /$d; done; mount --bind "$0/lib" /var/lib; exec "$@"'

    def test_dispatcher(self):
        deployment = self.enterContext(Deployment(set_up=False))
        root = deployment.directory / "root"
        for name in ("etc/ctrl-exec", "lib", "opt/ctrl-exec/etc"):
            (root / name).mkdir(parents=True)
        example = root / "opt/ctrl-exec/etc/auth-hook.example"
        example.write_text("#!/bin/sh\nexit 0\n")
        example.chmod(0o755)
        inside = ["unshare", "--mount", "sh", "-ec", self.MOUNT, root, "env", "ROLE=dispatcher", "API_PORT=0",
                  BIN / "ctrl-exec"]
        with deployment.start(inside, "role") as daemon:
            daemon.wait_listening()
        copied = "[entrypoint] Example auth hook copied to /etc/ctrl-exec/auth-hook.example"
        self.assertEqual(entrypoint_lines(daemon.output), [*MADE, copied, STARTING])
        copy = root / "etc/ctrl-exec/auth-hook.example"
        self.assertEqual((copy.read_text(), mode(copy)), (example.read_text(), "0755"))
        self.assertTrue((root / "lib/ctrl-exec").is_dir())
        self.assertNotIn("state_dir", (root / "etc/ctrl-exec/ctrl-exec.conf").read_text())


if __name__ == "__main__":
    unittest.main()
