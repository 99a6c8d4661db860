"""A disk that is full while something is stored: a clear error, nothing half written, the earlier state untouched."""

import contextlib
import pathlib
import subprocess
import tempfile
import unittest

from deployment import Deployment

PAGE = 4096  # what a file on a tmpfs takes at least


@contextlib.contextmanager
def small_disk(kibibytes=256):
    """A file system of that size."""
    with tempfile.TemporaryDirectory(prefix="ctrl-exec-disk.") as folder:
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={kibibytes}k", "tmpfs", folder], check=True, timeout=30)
        try:
            yield pathlib.Path(folder)
        finally:
            subprocess.run(["umount", "--lazy", folder], check=True, timeout=30)


def fill(disk, pages_left):
    """Leaves room for that many pages."""
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(PAGE))
    with filler.open("r+b") as file:
        file.truncate(filler.stat().st_size - pages_left * PAGE)


def snapshot(directory):
    """Every file but the filler, locks and what is kept of a request, temporary ones included."""
    return {str(path): path.read_bytes() for path in sorted(directory.rglob("*"))
            if path.is_file() and path.name not in ("filler", ".pairing-request.json")
            and "lock" not in path.name}


class AgentsDisk(unittest.TestCase):
    def test_pairing_again_keeps_the_earlier_pairing_until_there_is_room_for_the_whole_new_one(self):
        with small_disk() as disk, Deployment() as deployment, deployment.pairing_mode() as listener:
            files = {key: disk / name for key, name in
                     (("cert", "agent.crt"), ("key", "agent.key"), ("ca", "ca.crt"),
                      ("dispatcher_serial_path", "ctrl-exec-serial"))}
            agent = deployment.agent("web-01", **files)
            agent.pair(listener)
            before = snapshot(disk)
            self.assertEqual(len(before), 5)
            for pages in range(5):
                with self.subTest(pages_left=pages), agent.request_pairing(listener) as asking:
                    request_id = deployment.wait_request("web-01")["id"]
                    fill(disk, pages)
                    deployment.dispatcher("approve", request_id, "--replace")
                    self.assertEqual(asking.wait_exit(), 1, asking.describe())
                    self.assertIn(str(disk), asking.log)
                    self.assertIn("No space left on device", asking.log)
                    self.assertIn("free some space", asking.log)
                    self.assertEqual(snapshot(disk), before)
                    agent.command("pairing-status")
                (disk / "filler").unlink()
            agent.pair(listener)
            self.assertNotEqual(snapshot(disk), before)
            agent.command("pairing-status")


class DispatchersDisk(unittest.TestCase):
    def test_setup_ca_leaves_no_half_ca(self):
        for pages in range(3):
            with self.subTest(pages_left=pages), small_disk() as disk, \
                    Deployment(set_up=False, ca_dir=disk / "ca") as deployment:
                (disk / "ca").mkdir()
                fill(disk, pages)
                done = deployment.dispatcher("setup-ca", check=1)
                self.assertIn(b"No space left on device; free some space", done.stderr)
                left = {path.name for path in (disk / "ca").iterdir()}
                self.assertLessEqual(left, {".setup.lock", "ca.key", "ca.serial", "ca.serial.lock"},
                                     "no half CA, nothing temporary")
                (disk / "filler").unlink()
                deployment.dispatcher("setup-ca")

    def test_setup_ctrl_exec_keeps_the_earlier_certificate(self):
        with small_disk() as disk, Deployment(cert=disk / "ctrl-exec.crt", key=disk / "ctrl-exec.key") as deployment:
            before = snapshot(disk)
            for pages in range(2):
                fill(disk, pages)
                done = deployment.dispatcher("setup-ctrl-exec", check=1)
                self.assertIn(b"free some space", done.stderr)
                self.assertEqual(snapshot(disk), before)

    def test_approval_that_cannot_be_stored_does_not_happen(self):
        with small_disk() as disk, Deployment(state_dir=disk / "state") as deployment:
            agent = deployment.agent("web-01")
            with deployment.pairing_mode() as listener, agent.request_pairing(listener) as asking:
                request_id = deployment.wait_request("web-01")["id"]
                for pages in range(2):
                    fill(disk, pages)
                    done = deployment.dispatcher("approve", request_id, check=1)
                    self.assertIn(b"free some space", done.stderr)
                    self.assertTrue(asking.running())
                    self.assertEqual([r["id"] for r in deployment.requests()], [request_id], "it waits on")
                    self.assertEqual(deployment.json("list-agents")["agents"], [], f"{pages} pages left")
                (disk / "filler").unlink()
                deployment.dispatcher("approve", request_id)
                self.assertEqual(asking.wait_exit(), 0, asking.describe())

    def test_request_that_cannot_be_queued_is_refused(self):
        with small_disk() as disk, Deployment(state_dir=disk / "state") as deployment:
            with deployment.pairing_mode() as listener:
                fill(disk, 0)
                agent = deployment.agent("web-01")
                done = agent.command("request-pairing", "--dispatcher", listener.address, check=1)
                self.assertIn(b"the dispatcher refused the request", done.stderr)
                listener.wait_log("ACTION=pair-reject .*free some space")
                (disk / "filler").unlink()
                agent.pair(listener)
                self.assertEqual([path for path in snapshot(disk) if path.endswith(".tmp")], [])


if __name__ == "__main__":
    unittest.main()
