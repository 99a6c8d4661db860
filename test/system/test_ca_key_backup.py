"""The CA key leaves the machine only encrypted, in a form that openssl reads, and comes back only where it belongs."""

import os
import pty
import re
import subprocess
import unittest

from deployment import Deployment, mode
from processes import DEADLINE

PASSPHRASE = "correct horse battery"


class CaKeyBackup(unittest.TestCase):
    def setUp(self):
        self.deployment = self.enterContext(Deployment())
        self.key = self.deployment.ca / "ca.key"
        self.backup = self.deployment.directory / "backup.pem"
        self.passphrase = self.deployment.directory / "passphrase"
        self.passphrase.write_text(PASSPHRASE + "\nsecond line\n")

    def export(self, *words, **options):
        return self.deployment.dispatcher("export-ca-key", "--passphrase-file", self.passphrase, *words, **options)

    def bring(self, path, *words, **options):
        return self.deployment.dispatcher("import-ca-key", path, "--passphrase-file", self.passphrase, *words, **options)

    def public(self, path, *words):
        done = subprocess.run(["openssl", "pkey", "-pubout", "-in", path, *words], capture_output=True, check=True,
                              timeout=DEADLINE)
        return done.stdout

    def test_openssl_reads_the_backup(self):
        self.export("--out", self.backup)
        self.assertEqual(mode(self.backup), "0600")
        self.assertTrue(self.backup.read_text().startswith("-----BEGIN ENCRYPTED PRIVATE KEY-----\n"))
        self.assertEqual(self.public(self.backup, "-passin", f"pass:{PASSPHRASE}"), self.public(self.key))

    def test_backup_on_standard_output_and_passphrase_from_standard_input(self):
        done = self.deployment.dispatcher("export-ca-key", "--passphrase-file", "-", input=PASSPHRASE.encode())
        self.backup.write_bytes(done.stdout)
        self.assertEqual(self.public(self.backup, "-passin", f"pass:{PASSPHRASE}"), self.public(self.key))

    def test_an_existing_file_is_kept(self):
        self.backup.write_text("mine\n")
        self.export("--out", self.backup, check=1)
        self.assertEqual(self.backup.read_text(), "mine\n")

    def test_a_lost_key_comes_back(self):
        before = self.public(self.key)
        self.export("--out", self.backup)
        self.key.unlink()
        self.bring(self.backup)
        self.assertEqual((self.public(self.key), mode(self.key)), (before, "0600"))
        self.deployment.paired_agent("web-01")  # it signs again
        self.assertIn(b"there already", self.bring(self.backup).stdout)

    def test_what_openssl_wrote_comes_back(self):
        before = self.key.read_bytes()
        for how in (["-topk8", "-v2", "aes-128-cbc", "-passout", f"pass:{PASSPHRASE}"],
                    ["-topk8", "-v2", "aes-256-cbc", "-v2prf", "hmacWithSHA256", "-passout", f"pass:{PASSPHRASE}"],
                    ["-topk8", "-nocrypt"]):
            with self.subTest(how[2:4]):
                self.backup.unlink(missing_ok=True)
                subprocess.run(["openssl", "pkcs8", *how, "-in", self.key, "-out", self.backup], check=True,
                               capture_output=True, timeout=DEADLINE)
                self.key.unlink()
                self.bring(self.backup)
                self.assertEqual(self.key.read_bytes(), before)

    def test_wrong_passphrase_changes_nothing(self):
        self.export("--out", self.backup)
        self.key.unlink()
        self.passphrase.write_text("something else\n")
        refused = self.bring(self.backup, check=1)
        self.assertIn(b"wrong passphrase", refused.stderr)
        self.assertFalse(self.key.exists())

    def test_another_ca_s_key_is_refused(self):
        other = self.enterContext(Deployment())
        other.dispatcher("export-ca-key", "--passphrase-file", self.passphrase, "--out", self.backup)
        whole = self.key.read_bytes()
        self.assertIn(b"not the key of", self.bring(self.backup, check=1).stderr)
        self.key.unlink()
        self.assertIn(b"not the key of", self.bring(self.backup, check=1).stderr)
        self.key.touch(0o600)
        self.key.write_bytes(whole)
        (self.deployment.ca / "ca.crt").unlink()
        self.assertIn(b"holds another key", self.bring(self.backup, check=1).stderr)
        self.assertEqual(self.key.read_bytes(), whole)

    def test_a_new_directory_takes_the_key_and_makes_the_same_ca_from_it(self):
        self.export("--out", self.backup)
        fresh = self.enterContext(Deployment(set_up=False))
        fresh.dispatcher("import-ca-key", self.backup, "--passphrase-file", self.passphrase)
        fresh.dispatcher("setup-ca")
        self.assertEqual(self.public(fresh.ca / "ca.key"), self.public(self.key))

    def test_bad_passphrases_and_files(self):
        for text, why in (("short\n", b"8 to 1024"), ("", b"8 to 1024"), ("x" * 2000 + "\n", b"8 to 1024")):
            self.passphrase.write_text(text)
            self.assertIn(why, self.export(check=2).stderr)
        for content in ("", "no pem\n", "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMAA=\n-----END ENCRYPTED PRIVATE KEY-----\n"):
            self.backup.write_text(content)
            self.passphrase.write_text(PASSPHRASE)
            self.assertRegex(self.bring(self.backup, check=1).stderr.decode(), re.escape(str(self.backup)))
        self.deployment.dispatcher("import-ca-key", "-", "--passphrase-file", "-", check=2)
        done = self.deployment.dispatcher("export-ca-key", check=2, start_new_session=True)
        self.assertIn(b"use --passphrase-file", done.stderr)

    def type_on_terminal(self, *lines):
        """Runs export-ca-key on a terminal of its own; returns what it showed and its exit code."""
        pid, terminal = pty.fork()
        if pid == 0:
            argv = [str(word) for word in self.deployment.argv("export-ca-key", "--out", self.backup)]
            os.execve(argv[0], argv, self.deployment.environment())
        shown = b""
        pending = list(lines)
        while True:
            try:
                piece = os.read(terminal, 4096)
            except OSError:  # EIO: it has ended
                piece = b""
            if not piece:
                break
            shown += piece
            if pending and shown.endswith(b": "):
                os.write(terminal, pending.pop(0).encode())
        os.close(terminal)
        return shown.decode(), os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

    def test_on_a_terminal_it_is_asked_twice_and_not_shown(self):
        shown, code = self.type_on_terminal(PASSPHRASE + "\n", PASSPHRASE + "\n")
        self.assertEqual(code, 0, shown)
        self.assertNotIn(PASSPHRASE, shown)
        self.assertEqual(self.public(self.backup, "-passin", f"pass:{PASSPHRASE}"), self.public(self.key))

    def test_on_a_terminal_two_different_ones_and_control_c_change_nothing(self):
        shown, code = self.type_on_terminal(PASSPHRASE + "\n", "something else\n")
        self.assertEqual((code, self.backup.exists()), (2, False), shown)
        shown, code = self.type_on_terminal("abc\x03\n")
        self.assertEqual((code, self.backup.exists()), (1, False), shown)


if __name__ == "__main__":
    unittest.main()
