"""The CA: what it is, a key under a passphrase, and new dates for the same key that no agent notices."""

import pathlib
import re
import subprocess
import unittest

from deployment import Deployment, mode


def openssl(*words):
    return subprocess.run(["openssl", *[str(word) for word in words]], check=True, capture_output=True,
                          timeout=30).stdout.decode()


class CaInfo(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.deployment = cls.enterClassContext(Deployment())

    def test_says_what_openssl_says(self):
        certificate = self.deployment.ca / "ca.crt"
        info = self.deployment.json("ca-info")
        self.assertEqual(info["serial"], openssl("x509", "-in", certificate, "-noout", "-serial")
                         .strip().partition("=")[2].lower())
        self.assertIn(info["fingerprint"], openssl("x509", "-in", certificate, "-noout", "-fingerprint", "-sha256"))
        spki = subprocess.run(f"openssl x509 -in {certificate} -noout -pubkey | openssl pkey -pubin -outform DER |"
                              " openssl dgst -sha256 -binary | base64", shell=True, check=True, capture_output=True)
        self.assertEqual(info["spki_pin"], "sha256//" + spki.stdout.decode().strip())
        self.assertEqual((info["name"], info["key_type"], info["key"], info["status"]),
                         ("ctrl-exec CA", "ECDSA P-256", "plain", "valid"))
        self.assertIn(info["days_left"], (3649, 3650))


class KeyTypeAndDays(unittest.TestCase):
    def test_options_of_setup_ca(self):
        with Deployment(set_up=False) as deployment:
            deployment.dispatcher("setup-ca", "--key-type", "rsa", "--days", "30")
            info = deployment.json("ca-info")
            self.assertEqual(info["key_type"], "RSA 4096")
            self.assertIn(info["days_left"], (29, 30))


class Passphrase(unittest.TestCase):
    def setUp(self):
        self.deployment = self.enterContext(Deployment(set_up=False))
        self.passphrase = self.deployment.directory / "passphrase"
        self.passphrase.write_text("correct horse battery\nnot this line\n")
        self.passphrase.chmod(0o600)
        with self.deployment.config.open("a") as config:
            config.write(f"ca_passphrase_file = {self.passphrase}\n")

    def set_up(self):
        self.deployment.dispatcher("setup-ca")
        self.deployment.dispatcher("setup-ctrl-exec")

    def test_key_is_encrypted_and_works(self):
        self.set_up()
        key = self.deployment.ca / "ca.key"
        self.assertIn("BEGIN ENCRYPTED PRIVATE KEY", key.read_text())
        self.assertEqual(mode(key), "0600")
        openssl("pkey", "-in", key, "-passin", "pass:correct horse battery", "-noout")
        self.assertEqual(self.deployment.json("ca-info")["key"], "encrypted")
        agent = self.deployment.paired_agent("web-01")
        agent.serve()
        self.deployment.dispatcher("ping", agent.target)
        self.deployment.dispatcher("renew-ca", "--days", "4000")

    def test_without_or_with_a_wrong_passphrase_it_says_so(self):
        self.set_up()
        for text, said in (("wrong passphrase\n", b"wrong passphrase, or the file is damaged; see ca_passphrase_file"),
                           ("\n", b"the first line of")):
            self.passphrase.write_text(text)
            done = self.deployment.dispatcher("renew-ca", check=78)
            self.assertIn(said, done.stderr)
        self.passphrase.unlink()
        self.assertIn(b"ca_passphrase_file: ", self.deployment.dispatcher("renew-ca", check=78).stderr)

    def test_a_file_that_everybody_may_read_is_refused(self):
        self.passphrase.chmod(0o644)
        done = self.deployment.dispatcher("setup-ca", check=78)
        self.assertIn(b"everybody on this machine may access this passphrase", done.stderr)
        self.assertFalse((self.deployment.ca / "ca.key").exists())

    def test_without_the_key_in_the_configuration(self):
        self.set_up()
        environment = self.deployment.environment(CTRL_EXEC_CA_PASSPHRASE_FILE="")
        config = self.deployment.config
        config.write_text(re.sub("ca_passphrase_file.*\n", "", config.read_text()))
        done = self.deployment.dispatcher("renew-ca", check=78, environment=environment)
        self.assertIn(b"encrypted; write its passphrase into a file and name that in ca_passphrase_file", done.stderr)

    def test_export_and_import(self):
        self.set_up()
        for name in ("out", "again"):
            (self.deployment.directory / name).write_text("another passphrase\n")
        deployment, out = self.deployment, self.deployment.directory / "backup.pem"
        deployment.dispatcher("export-ca-key", "--out", out, "--passphrase-file", deployment.directory / "out")
        (deployment.ca / "ca.key").unlink()
        deployment.dispatcher("import-ca-key", out, "--passphrase-file", deployment.directory / "out")
        openssl("pkey", "-in", deployment.ca / "ca.key", "-passin", "pass:correct horse battery", "-noout")
        deployment.dispatcher("renew-ca", "--days", "4000")


class Renewal(unittest.TestCase):
    def test_same_key_and_name_new_dates_and_no_agent_notices(self):
        with Deployment() as deployment:
            agent = deployment.paired_agent("web-01")
            agent.serve()
            before = deployment.json("ca-info")
            old = (deployment.ca / "ca.crt").read_bytes()
            deployment.dispatcher("renew-ca", "--days", "5000")
            after = deployment.json("ca-info")
            same = ("name", "spki_pin", "key_type")
            self.assertEqual([before[key] for key in same], [after[key] for key in same])
            self.assertNotEqual(before["serial"], after["serial"])
            self.assertGreater(after["days_left"], before["days_left"])
            deployment.dispatcher("ping", agent.target)  # it still has the old one
            for authority in ("ca.crt", "old.crt"):
                (deployment.ca / "old.crt").write_bytes(old)
                for certificate in (agent.certificate, deployment.ca / "ctrl-exec.crt"):
                    openssl("verify", "-x509_strict", "-CAfile", deployment.ca / authority, certificate)
            new = deployment.paired_agent("web-02")
            new.serve()
            self.assertEqual(new.ca.read_bytes(), (deployment.ca / "ca.crt").read_bytes())
            deployment.dispatcher("ping", new.target, agent.target)

    def test_an_end_that_is_not_later_is_refused(self):
        with Deployment() as deployment:
            before = (deployment.ca / "ca.crt").read_bytes()
            done = deployment.dispatcher("renew-ca", "--days", "10", check=78)
            self.assertIn(b"use --days with a larger number", done.stderr)
            self.assertEqual((deployment.ca / "ca.crt").read_bytes(), before)

    def test_the_file_that_ca_names_follows(self):
        with Deployment() as deployment:
            copy = deployment.directory / "trusted.crt"
            copy.write_bytes((deployment.ca / "ca.crt").read_bytes())
            with deployment.config.open("a") as config:
                config.write(f"ca = {copy}\nca_dir = {deployment.ca}\n")
            deployment.dispatcher("renew-ca", "--days", "5000")
            self.assertEqual(copy.read_bytes(), (deployment.ca / "ca.crt").read_bytes())

    def test_a_ca_of_another_ca_is_refused(self):
        with Deployment() as deployment:
            folder = pathlib.Path(deployment.directory)
            openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout",
                    folder / "root.key", "-out", folder / "root.crt", "-subj", "/CN=root")
            openssl("req", "-new", "-key", deployment.ca / "ca.key", "-subj", "/CN=ctrl-exec CA", "-out",
                    folder / "ca.csr")
            (folder / "extensions").write_text("basicConstraints=critical,CA:TRUE\n")
            openssl("x509", "-req", "-in", folder / "ca.csr", "-CA", folder / "root.crt", "-CAkey",
                    folder / "root.key", "-set_serial", "7", "-extfile", folder / "extensions", "-out",
                    deployment.ca / "ca.crt")
            done = deployment.dispatcher("renew-ca", check=78)
            self.assertIn(b"is signed by another CA", done.stderr)


if __name__ == "__main__":
    unittest.main()
