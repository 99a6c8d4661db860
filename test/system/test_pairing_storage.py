"""What pairing stores: each file is written beside the old one, flushed, and put into its place."""

import contextlib
import ctypes
import os
import struct
import unittest

from deployment import Deployment, mode
from old_peers import OLD, OldListener, OldVolumes, old_answer

PENDING = old_answer({"status": "pending", "reqid": "4e78d832532b8fb5"})
FSYNC = {"x86_64": 74, "aarch64": 82}
PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 38, 22, 2
LOAD, EQUAL, RETURN = 0x20, 0x15, 0x06  # of the kernel's packet filter
ALLOW, ERRNO = 0x7fff0000, 0x00050000
EIO = 5


def cannot_flush():
    """To be called in a child: from now on fsync(2) fails with EIO, as on a disk that is broken."""
    program = b"".join(struct.pack("<HBBI", *instruction) for instruction in (
        (LOAD, 0, 0, 0), (EQUAL, 0, 1, FSYNC[os.uname().machine]), (RETURN, 0, 0, ERRNO | EIO), (RETURN, 0, 0, ALLOW)))
    code = ctypes.create_string_buffer(program, len(program))
    argument = struct.pack("HxxxxxxP", len(program) // 8, ctypes.addressof(code))
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    if prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) or prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, argument, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl")


class Storage(unittest.TestCase):
    def setUp(self):
        self.deployment = self.enterContext(OldVolumes())
        self.agent = self.deployment.agent("web-01")
        self.files = [self.agent.key, self.agent.certificate, self.agent.ca, self.agent.serial,
                      self.agent.directory / "dispatchers.json"]

    def pair(self, check=0, **options):
        """With a listener that approves at once."""
        listener = self.enterContext(OldListener(lambda asked: [PENDING, self.approval(asked)]))
        return self.agent.command("request-pairing", "--dispatcher", listener.address, check=check, **options)

    def approval(self, asked):
        return old_answer({"cert": self.deployment.sign(asked["csr"], "05"), "nonce": asked["nonce"],
                           "status": "approved", "ca": (OLD / "ca.crt").read_text(), "dispatcher_serial": "02"})

    def test_modes_whatever_the_umask(self):
        for umask in (0o077, 0o000):
            with self.subTest(umask=f"{umask:03o}"):
                self.pair(umask=umask)
                self.assertEqual([mode(path) for path in self.files], ["0640", "0640", "0644", "0644", "0644"])

    def test_pairing_again_puts_new_files_in_the_place_of_the_old_ones(self):
        self.pair()
        with contextlib.ExitStack() as stack:
            before = [(stack.enter_context(path.open("rb")), path.read_bytes()) for path in self.files]
            self.pair()
            for path, (file, data) in zip(self.files, before):
                with self.subTest(path.name):
                    self.assertEqual(file.read(), data, "whoever has it open reads what it was")
                    self.assertNotEqual(os.fstat(file.fileno()).st_ino, path.stat().st_ino)
        self.assertEqual(sorted(path.name for path in self.agent.directory.iterdir()),
                         sorted(["agent.conf", "scripts.conf", *[path.name for path in self.files]]))
        self.agent.command("pairing-status")

    def test_what_cannot_be_flushed_is_not_stored(self):
        done = self.pair(check=1, preexec_fn=cannot_flush)
        self.assertRegex(done.stderr.decode(), rf"{self.agent.directory}.*Input/output error")
        self.assertEqual(sorted(path.name for path in self.agent.directory.iterdir()), ["agent.conf", "scripts.conf"])


class Record(unittest.TestCase):
    def test_of_the_registry_is_replaced_and_not_written_over(self):
        deployment = self.enterContext(Deployment())
        agent = deployment.paired_agent("web-01")
        path = deployment.state / "agents" / "web-01.json"
        with path.open("rb") as file, deployment.pairing_mode() as listener:
            data = path.read_bytes()
            agent.pair(listener)
            self.assertEqual(file.read(), data)
            self.assertNotEqual(path.read_bytes(), data)
        self.assertEqual([path.name for path in path.parent.glob("[!.]*")], ["web-01.json"])


if __name__ == "__main__":
    unittest.main()
