"""An agent takes a new certificate for its key over the live connection, and nothing that is not better than the old one."""

import os
import random
import threading
import time
import unittest

from deployment import Deployment, mode
from dispatcher_client import Caller, Signer, facts
from wire import make_csr, request


class Case(unittest.TestCase):
    def setUp(self):
        self.deployment = self.enterContext(Deployment())
        self.agent = self.deployment.paired_agent("web-01", rate_limit_disable="yes")
        self.signer = Signer(self.deployment.directory / "signer", self.deployment.ca / "ca.crt",
                             self.deployment.ca / "ca.key")
        self.caller = Caller.of(self.deployment)
        self.ca = (self.deployment.ca / "ca.crt").read_text()
        self.agent.serve()

    def csr(self):
        answer = self.caller.ask(self.agent, "/renew", {"reqid": "1"})
        self.assertEqual((answer.status, answer.headers.get("x-ctrl-exec")), (200, "1"))
        self.assertEqual(list(answer.json), ["status", "csr", "reqid"])
        return answer.json["csr"]

    def complete(self, certificate, ca=None, caller=None):
        answer = (caller or self.caller).ask(self.agent, "/renew-complete",
                                             {"cert": certificate, "ca": self.ca if ca is None else ca, "reqid": "2"})
        self.assertEqual((answer.status, answer.json["reqid"]), (200, "2"))
        return answer.json

    def shown_serial(self):
        """The serial of the certificate that a new connection sees."""
        with self.caller.connect(self.agent) as client:
            der = client._tls.getpeercert(True)  # pylint: disable=protected-access
        path = self.deployment.directory / "shown.der"
        path.write_bytes(der)
        done = self.deployment.execute(["openssl", "x509", "-inform", "DER", "-in", path, "-noout", "-serial"])
        return done.stdout.decode().partition("=")[2].strip().lower()

    def assert_refused(self, said, answer):
        before = facts(self.agent.certificate)["serial"]
        self.assertEqual(answer["status"], "error", answer)
        self.assertRegex(answer["error"], said)
        self.assertEqual(facts(self.agent.certificate)["serial"], before)


class Renewal(Case):
    def test_request_is_of_the_agents_own_key_and_name(self):
        path = self.deployment.directory / "csr"
        path.write_text(self.csr())
        done = self.deployment.execute(["openssl", "req", "-in", path, "-noout", "-verify", "-pubkey", "-subject"])
        text = done.stdout.decode()
        self.assertIn("\n".join(facts(self.agent.certificate)["key"]), text)
        self.assertRegex(text, r"subject=CN ?= ?web-01")

    def test_new_handshakes_use_the_new_certificate_at_once(self):
        key = self.agent.key.read_bytes()
        with self.caller.connect(self.agent) as kept:
            kept.send(request("POST", "/ping", {"reqid": "a"}, "X-Ctrl-Exec: 1"))
            self.assertEqual(kept.read_answer().status, 200)
            certificate = self.signer.sign(self.csr())
            self.assertEqual(self.complete(certificate), {"status": "ok", "reqid": "2"})
            kept.send(request("POST", "/ping", {"reqid": "b"}, "X-Ctrl-Exec: 1"))
            answer = kept.only_answer()
            self.assertEqual(answer.json["expiry"], facts(certificate)["end"], "the old connection is still served, once")
        self.assertEqual(self.shown_serial(), facts(certificate)["serial"])
        self.assertEqual(facts(self.agent.certificate)["serial"], facts(certificate)["serial"])
        self.assertEqual(mode(self.agent.certificate), "0640")
        self.assertEqual(self.agent.key.read_bytes(), key)
        self.agent.daemon.wait_log(rf"^ACTION=renew DISPATCHER=\S+ PEER=127\.0\.0\.1 REQID=1 RESULT=ok SERIAL=[0-9a-f]+$")
        self.agent.daemon.wait_log(r"^ACTION=renew-complete DISPATCHER=\S+ PEER=127\.0\.0\.1 REQID=2 RESULT=ok SERIAL="
                                   + facts(certificate)["serial"])
        self.agent.daemon.stop()
        self.agent.serve()
        self.assertEqual(self.shown_serial(), facts(certificate)["serial"])
        self.agent.command("pairing-status")

    def test_sent_again_it_is_no_error_and_an_older_one_is(self):
        csr = self.csr()
        older, newer = self.signer.sign(csr, days=500), self.signer.sign(csr, days=600)
        self.assertEqual(self.complete(older)["status"], "ok")
        self.assertEqual(self.complete(older)["status"], "ok")
        self.assertEqual(self.complete(newer)["status"], "ok")
        self.assert_refused("not newer than the present one", self.complete(older))
        self.assert_refused("not newer", self.complete(self.signer.sign(csr, days=600 - 1)))
        self.assertEqual(self.shown_serial(), facts(newer)["serial"])

    def test_what_is_not_acceptable(self):
        csr = self.csr()
        other = Signer.new(self.deployment.directory / "other")
        good = self.signer.sign(csr)
        for said, certificate, ca in (
                ("not for this agent's key", self.signer.sign(make_csr("web-01")), None),
                ("for another name", self.signer.sign(csr, subject="/CN=web-02"), None),
                ("has expired", self.signer.sign(csr, days=-1, start=-10), None),
                ("is not valid before", self.signer.sign(csr, start=1), None),
                ("CA has another key", other.sign(csr), other.certificate.read_text()),
                ("signed by another CA", other.sign(csr), None),
                ("CA has another key", good, other.certificate.read_text()),
                ("CA has another key", good, self.signer.renewed(5000, other.key)),
                ("the CA: ", good, ""), ("the CA: ", good, "nonsense"), ("the certificate: ", "", None),
                ("the certificate: ", "x" * 500_000, None), ("the certificate: ", good + good, None),
                ("the certificate: ", self.agent.key.read_text(), None)):
            with self.subTest(said, certificate=certificate[:40]):
                self.assert_refused(said, self.complete(certificate, ca))
        self.assertEqual(self.caller.ping(self.agent), 200)
        self.agent.daemon.wait_log(r"^ACTION=renew-complete DISPATCHER=\S+ PEER=\S+ REASON=.* REQID=2 RESULT=refused$", 14)

    def test_ca_that_was_renewed_with_its_key_is_taken_with_the_certificate(self):
        csr = self.csr()
        renewed = self.signer.renewed(9000)
        self.assertEqual(self.complete(self.signer.sign(csr, days=500), renewed)["status"], "ok")
        self.assertEqual(facts(self.agent.ca)["end"], facts(renewed)["end"])
        self.assertEqual(self.complete(self.signer.sign(csr, days=600), self.ca)["status"], "ok")
        self.assertEqual(facts(self.agent.ca)["end"], facts(renewed)["end"], "an older CA changes nothing")
        self.assertEqual(self.caller.ping(self.agent), 200)
        self.agent.command("pairing-status")

    def test_only_a_trusted_dispatcher_is_answered(self):
        stranger = Caller(self.signer, "stranger", "abcd")
        certificate = self.signer.sign(self.csr())
        for target in ("/renew", "/renew-complete", "/rotate-serial", "/revoke"):
            with self.subTest(target):
                answer = stranger.ask(self.agent, target, {"cert": certificate, "ca": self.ca, "serial": "abcd",
                                                           "serials": [self.caller.serial], "reqid": "x"})
                self.assertEqual((answer.status, answer.json), (403, {"error": "serial mismatch", "status": "forbidden"}))
                self.assertEqual(self.caller.ask(self.agent, target, method="GET", body=b"").status, 404)
        self.assertEqual(self.caller.ping(self.agent), 200)

    def test_bodies_that_are_none(self):
        deep = b"[" * 100_000
        for target in ("/renew-complete", "/rotate-serial", "/revoke"):
            for body in (b"", b"{", b"[]", b"null", b"7", b"\xff\xfe", deep, b'{"a":1,"a":2}', b'{"reqid":' + deep):
                with self.subTest(target, body=body[:20]):
                    answer = self.caller.ask(self.agent, target, body)
                    self.assertEqual((answer.status, answer.json),
                                     (200, {"status": "error", "error": "invalid JSON", "reqid": ""}))
            answer = self.caller.ask(self.agent, target, b'{"reqid":"%s"}' % (b"r" * 900_000))
            self.assertEqual(answer.json["status"], "error")
            self.assertLess(len(answer.body), 4096)
            for value in (None, 7, [], {}, True, ["x"]):
                answer = self.caller.ask(self.agent, target, {"cert": value, "ca": value, "serial": value,
                                                              "serials": value, "reqid": value})
                self.assertEqual(answer.json["status"], "error")
        self.assertEqual(self.caller.ask(self.agent, "/renew", b"{").json["status"], "ok", "as for a ping")
        with self.caller.connect(self.agent) as client:
            client.send(b"POST /renew-complete HTTP/1.1\r\nContent-Length: 1048577\r\n\r\n")
            self.assertEqual(client.read_answer().status, 413)
        self.assertEqual(self.caller.ping(self.agent), 200)

    def test_a_directory_that_cannot_be_written(self):
        certificate = self.signer.sign(self.csr())
        elsewhere = self.deployment.directory / "moved"
        os.rename(self.agent.directory, elsewhere)
        try:
            answer = self.complete(certificate)
            self.assertEqual(answer["status"], "error")
        finally:
            os.rename(elsewhere, self.agent.directory)
        self.assertEqual(self.complete(certificate)["status"], "ok")


class Together(Case):
    def test_renewals_of_several_dispatchers_at_once_lose_nothing(self):
        csr = self.csr()
        certificates = [self.signer.sign(csr, days=500 + n) for n in range(12)]
        random.shuffle(certificates)
        answers = []
        threads = [threading.Thread(target=lambda c=c: answers.append(self.complete(c))) for c in certificates]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(len(answers), 12)
        self.assertIn("ok", [answer["status"] for answer in answers])
        newest = max(certificates, key=lambda c: time.mktime(time.strptime(facts(c)["end"], "%b %d %H:%M:%S %Y GMT")))
        self.assertEqual(facts(self.agent.certificate)["serial"], facts(newest)["serial"])
        self.assertEqual(self.shown_serial(), facts(newest)["serial"])

    def test_a_kill_at_any_moment_leaves_the_old_identity_or_the_new_one(self):
        csr = self.csr()
        for number in range(25):
            old = facts(self.agent.certificate)["serial"]
            certificate = self.signer.sign(csr, days=500 + number)
            body = {"cert": certificate, "ca": self.signer.renewed(5000 + number), "reqid": "2"}
            client = self.caller.connect(self.agent)
            client.send(request("POST", "/renew-complete", body, "X-Ctrl-Exec: 1"))
            time.sleep(random.random() * 0.012)  # not to wait for something, but to hit any moment
            self.agent.daemon.kill()
            client.close()
            self.agent.serve()
            now = self.shown_serial()
            self.assertIn(now, (old, facts(certificate)["serial"]))
            self.assertEqual(facts(self.agent.certificate)["serial"], now)
            self.assertEqual(self.caller.ping(self.agent), 200)
        self.assertEqual(self.complete(self.signer.sign(csr, days=900))["status"], "ok")

    def test_leftovers_of_a_killed_write_are_removed(self):
        left = self.agent.directory / ".agent.crt.0123456789ab.tmp"
        left.write_text("half")
        os.utime(left, (1, 1))
        self.assertEqual(self.complete(self.signer.sign(self.csr()))["status"], "ok")
        self.assertFalse(left.exists())


del Case  # it has no tests of its own

if __name__ == "__main__":
    unittest.main()
