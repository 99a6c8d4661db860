"""Certificates as OpenSSL reads them: a CA that signs leaves only, leaves for both roles, long random serials."""

import calendar
import re
import subprocess
import time
import unittest

from deployment import Deployment


def openssl(*words, data=None):
    return subprocess.run(["openssl", *[str(word) for word in words]], input=data, check=True, capture_output=True,
                          timeout=30).stdout.decode()


class Facts:
    """A certificate as `openssl x509 -text` shows it."""

    def __init__(self, path):
        self.text = openssl("x509", "-in", path, "-noout", "-text")
        self.subject, self.issuer, self.serial, start, end = re.findall(
            r"=\s*(.+)", openssl("x509", "-in", path, "-noout", "-subject", "-issuer", "-serial", "-startdate",
                                 "-enddate", "-nameopt", "RFC2253"))
        self.not_before, self.not_after = seconds(start), seconds(end)

    def extension(self, title):
        """(is critical, the lines of its value)."""
        found = re.search(rf"^ {{12}}X509v3 {title}:( critical)? *\n((?: {{16}}.*\n)+)", self.text, re.M)
        return (bool(found[1]), [line.strip() for line in found[2].splitlines()]) if found else None


def seconds(text):
    return calendar.timegm(time.strptime(text, "%b %d %H:%M:%S %Y GMT"))


class Certificates(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.before = int(time.time())
        cls.deployment = cls.enterClassContext(Deployment(cert_days=200))
        cls.agent = cls.deployment.paired_agent("web-01.example.net")
        cls.after = int(time.time())
        cls.last_serial = (cls.deployment.ca / "ca.serial").read_text().strip()
        folder = cls.deployment.ca
        cls.paths = {"ca": folder / "ca.crt", "dispatcher": folder / "ctrl-exec.crt", "agent": cls.agent.certificate}
        cls.facts = {name: Facts(path) for name, path in cls.paths.items()}

    def test_version_3_and_ecdsa_p256(self):
        for name, facts in self.facts.items():
            with self.subTest(name):
                self.assertIn("Version: 3 (0x2)", facts.text)
                self.assertIn("ASN1 OID: prime256v1", facts.text)
                self.assertIn("Signature Algorithm: ecdsa-with-SHA256", facts.text)

    def test_names(self):
        self.assertEqual({name: (facts.subject, facts.issuer) for name, facts in self.facts.items()},
                         {"ca": ("CN=ctrl-exec CA", "CN=ctrl-exec CA"),
                          "dispatcher": ("CN=ctrl-exec", "CN=ctrl-exec CA"),
                          "agent": ("CN=web-01.example.net", "CN=ctrl-exec CA")})

    def test_serials_have_128_random_bits(self):
        serials = [facts.serial for facts in self.facts.values()]
        for serial in serials:
            self.assertRegex(serial, r"^[1-7][0-9A-F]{31}$")
        self.assertEqual(len(set(serials)), 3)
        self.assertEqual(self.last_serial, self.facts["agent"].serial.lower())

    def test_validity(self):
        for name, days in (("ca", 3650), ("dispatcher", 825), ("agent", 200)):
            with self.subTest(name):
                made = self.facts[name].not_before + 600  # clocks of agents may be 10 minutes behind
                self.assertTrue(self.before <= made <= self.after, made)
                self.assertEqual(self.facts[name].not_after, made + days * 86400)

    def test_ca_signs_leaves_and_nothing_else(self):
        ca = self.facts["ca"]
        self.assertEqual(ca.extension("Basic Constraints"), (True, ["CA:TRUE, pathlen:0"]))
        critical, [usage] = ca.extension("Key Usage")
        self.assertTrue(critical)
        self.assertIn("Certificate Sign", usage.split(", "))
        self.assertNotIn("Digital Signature", usage.split(", "))

    def test_leaves_serve_and_call_and_sign_no_certificates(self):
        for name in ("dispatcher", "agent"):
            with self.subTest(name):
                facts = self.facts[name]
                self.assertEqual(facts.extension("Basic Constraints"), (True, ["CA:FALSE"]))
                self.assertEqual(facts.extension("Key Usage"), (True, ["Digital Signature"]))
                usages = facts.extension("Extended Key Usage")[1][0].split(", ")
                self.assertEqual(sorted(usages), ["TLS Web Client Authentication", "TLS Web Server Authentication"])

    def test_name_is_an_alternative_name(self):
        self.assertEqual(self.facts["agent"].extension("Subject Alternative Name"), (False, ["DNS:web-01.example.net"]))
        self.assertEqual(self.facts["dispatcher"].extension("Subject Alternative Name"), (False, ["DNS:ctrl-exec"]))

    def test_openssl_verifies_them_strictly_for_both_purposes(self):
        for name in ("dispatcher", "agent"):
            for purpose in ("sslserver", "sslclient"):
                with self.subTest(name=name, purpose=purpose):
                    said = openssl("verify", "-x509_strict", "-purpose", purpose, "-CAfile", self.paths["ca"],
                                   self.paths[name])
                    self.assertTrue(said.endswith(": OK\n"), said)

    def test_stored_dispatcher_serial_is_in_the_form_that_old_agents_compare(self):
        self.assertEqual(self.agent.serial.read_text().rstrip("\n"), self.facts["dispatcher"].serial.lower())

    def test_request_holds_the_name_and_is_signed_by_its_key(self):
        agent = self.deployment.agent("web-02")
        with self.deployment.pairing_mode() as listener, agent.request_pairing(listener) as asking:
            csr = self.deployment.wait_request("web-02")["csr"].encode()
            asking.kill()
        text = openssl("req", "-noout", "-text", "-verify", "-nameopt", "RFC2253", data=csr)
        self.assertIn("Subject: CN=web-02\n", text)
        self.assertTrue(csr.startswith(b"-----BEGIN CERTIFICATE REQUEST-----\n") and csr.endswith(b"-----\n"))

    def test_address_as_name_becomes_an_address(self):
        agent = self.deployment.paired_agent("192.0.2.7")
        self.assertEqual(Facts(agent.certificate).extension("Subject Alternative Name"),
                         (False, ["IP Address:192.0.2.7"]))

    def test_leaf_does_not_outlive_its_ca(self):
        with Deployment(cert_days=36500) as deployment:
            agent = deployment.paired_agent("web-01")
            self.assertEqual(Facts(agent.certificate).not_after, Facts(deployment.ca / "ca.crt").not_after)


if __name__ == "__main__":
    unittest.main()
