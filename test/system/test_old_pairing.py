"""Pairing with version 0.8.4 on the other side: an old agent at our listener, and our agent at an old listener."""

import json
import re
import unittest

from deployment import Deployment, write_settings
from old_peers import CSR, KINDS, OLD, OldListener, OldPairingAgent, OldVolumes, old_answer, value_of
from wire import make_csr

INVALID = {"status": "error", "reason": "invalid request"}
PENDING = old_answer({"status": "pending", "reqid": "4e78d832532b8fb5"})


class Case(unittest.TestCase):
    settings = {}

    @classmethod
    def setUpClass(cls):
        cls.deployment = cls.enterClassContext(OldVolumes(**cls.settings))


class OldAgent(Case):
    settings = {"pairing_max_queue": 1}

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.listener = cls.enterClassContext(cls.deployment.pairing_mode())

    def agent(self, hostname="web-01", csr=None):
        return self.enterContext(OldPairingAgent(self.listener.address, hostname, csr or make_csr(hostname)))

    def approve(self, agent, receipt):
        self.deployment.dispatcher("approve", receipt.json["reqid"], "--replace")
        return agent.read_answer()

    def test_is_approved_by_two_answers_of_one_record_each(self):
        agent = self.agent()
        receipt = agent.ask()
        self.assertEqual(sorted(receipt.json), ["reqid", "status"])
        self.assertRegex(receipt.json["reqid"], r"^[0-9a-f]{16}$")
        self.assertEqual(self.deployment.wait_request("web-01")["code"], agent.code)
        approval = self.approve(agent, receipt)
        self.assertEqual(sorted(approval.json), ["ca", "cert", "dispatcher_id", "dispatcher_serial", "nonce", "status"])
        self.assertEqual((approval.json["status"], approval.json["nonce"], approval.json["dispatcher_serial"]),
                         ("approved", agent.nonce, "02"))
        for answer in (receipt, approval):
            self.assertEqual(answer.line, "HTTP/1.0 200 OK")
            self.assertEqual(value_of(answer.headers, "x-ctrl-exec"), "1")

    def test_is_denied(self):
        agent = self.agent()
        self.deployment.dispatcher("deny", agent.ask().json["reqid"])
        denial = agent.read_answer()
        self.assertEqual(denial.line, "HTTP/1.0 200 OK")
        self.assertEqual(denial.json, {"status": "denied", "reason": "rejected by operator"})

    def test_is_refused_with_200_whatever_is_wrong(self):
        for data in (b"POST /pair HTTP/1.0\r\nContent-Length: 1\r\n\r\n{",
                     b"POST /pair HTTP/1.0\r\n\r\n",
                     b"POST /pair HTTP/1.0\r\nContent-Length: 99999999\r\n\r\n",
                     b"POST /pair HTTP/1.0\r\n" + b"A: b\r\n" * 40 + b"\r\n",
                     b"POST /pair HTTP/1.0\r\nA: " + b"b" * 9000 + b"\r\n\r\n",
                     b"nonsense\r\n\r\n"):
            with self.subTest(data[:60]):
                agent = self.agent()
                agent.send(data)
                answer = agent.read_answer()
                self.assertEqual((answer.line, answer.json), ("HTTP/1.0 200 OK", INVALID))

    def test_is_told_with_200_that_the_queue_is_full(self):
        first = self.agent()
        reqid = first.ask().json["reqid"]
        answer = self.agent("web-02").ask()
        self.assertEqual((answer.line, answer.json),
                         ("HTTP/1.0 200 OK", {"status": "error", "reason": "pairing queue full"}))
        self.deployment.dispatcher("deny", reqid)
        first.read_answer()

    def test_request_may_be_split_anywhere(self):
        for name, split in (("before the body", lambda data, body: [data[:body], data[body:]]),
                            ("in the blank line", lambda data, body: [data[:body - 1], data[body - 1:]]),
                            ("in the middle of CRLFCRLF", lambda data, body: [data[:body - 2], data[body - 2:]]),
                            ("each byte of the head", lambda data, body: [*each(data[:body]), data[body:]]),
                            ("before the last byte", lambda data, body: [data[:-1], data[-1:]])):
            with self.subTest(name):
                agent = self.agent()
                agent.send(*split(agent.request, agent.request.index(b"\r\n\r\n") + 4))
                receipt = agent.read_answer()
                self.assertEqual(receipt.json["status"], "pending")
                self.deployment.dispatcher("deny", receipt.json["reqid"])
                agent.read_answer()

    def test_lines_may_end_with_line_feeds_from_others(self):
        agent = self.agent()
        head, _, body = agent.request.partition(b"\r\n\r\n")
        agent.send(head.replace(b"\r\n", b"\n").replace(b"Content-Length", b"cONTENT-lENGTH") + b"\n\n" + body)
        self.deployment.dispatcher("deny", agent.read_answer().json["reqid"])

    def test_certificate_request_of_10240_bytes_is_taken_and_no_longer_one(self):
        self.assertEqual(self.agent(csr=make_csr("web-01").ljust(CSR + 1, "\n")).ask().json, INVALID)
        agent = self.agent(csr=make_csr("web-01").ljust(CSR, "\n"))
        receipt = agent.ask()
        self.assertEqual(receipt.json["status"], "pending")
        self.assertEqual(self.deployment.wait_request("web-01")["code"], agent.code)
        self.assertEqual(self.approve(agent, receipt).json["status"], "approved")

    def test_keys_of_every_kind(self):
        for kind in KINDS:
            with self.subTest(kind):
                name = f"agent-{kind}"
                csr = self.deployment.make_request(self.deployment.make_key(kind, name), name)
                agent = self.agent(name, csr)
                self.assertEqual(self.approve(agent, agent.ask()).json["status"], "approved")

    def test_common_name_must_be_the_hostname(self):
        self.assertEqual(self.agent("web-01", make_csr("web-02")).ask().json, INVALID)


class OtherNames(Case):
    settings = {"pairing_allow_cn_mismatch": "yes"}

    def test_common_name_may_be_another_one_when_it_is_allowed(self):
        with self.deployment.pairing_mode() as listener, \
                OldPairingAgent(listener.address, "web-01", make_csr("web-02")) as agent:
            self.deployment.dispatcher("approve", agent.ask().json["reqid"], "--replace")
            certificate = agent.read_answer().json["cert"]
        said = self.deployment.execute(["openssl", "x509", "-noout", "-subject", "-nameopt", "RFC2253"],
                                       input=certificate.encode()).stdout
        self.assertEqual(said, b"subject=CN=web-01\n", "the name that the operator saw")
        self.assertEqual([agent["hostname"] for agent in self.deployment.json("list-agents")["agents"]], ["web-01"])


class Serials(Case):
    def pair(self, name, *words):
        with self.deployment.pairing_mode() as listener, \
                OldPairingAgent(listener.address, name, make_csr(name)) as agent:
            self.deployment.dispatcher("approve", agent.ask().json["reqid"], "--replace", *words)
            return agent.read_answer().json

    def test_dispatchers_serial_is_told_in_the_form_that_is_compared(self):
        original = self.deployment.config.read_text()
        self.addCleanup(self.deployment.config.write_text, original)
        for serial in ("02", "0a", "80", "ffee", "0123456789abcdef", "fe" * 16):
            with self.subTest(serial):
                identity = self.deployment.identity(f"dispatcher-{serial}", "ecdsa", serial)
                write_settings(self.deployment.config, {**self.deployment.settings, "cert": identity.certificate,
                                                        "key": identity.key})
                self.assertEqual(self.pair("web-01")["dispatcher_serial"], serial)
                records = {record["hostname"]: record for record in self.deployment.json("list-agents")["agents"]}
                self.assertEqual(records["web-01"]["dispatcher_serial"], serial)

    def test_ca_serial_holds_the_last_number_used(self):
        path = self.deployment.ca / "ca.serial"
        seen = {path.read_text()}
        for name in ("web-01", "web-02"):
            certificate = self.pair(name)["cert"]
            said = self.deployment.execute(["openssl", "x509", "-noout", "-serial"],
                                           input=certificate.encode()).stdout.decode()
            self.assertEqual(said.strip().lower(), f"serial={path.read_text().strip()}")
            seen.add(path.read_text())
        self.assertEqual(len(seen), 3, "another one each time")

    def test_nothing_is_signed_when_ca_serial_cannot_be_raised(self):
        path = self.deployment.ca / "ca.serial"
        number = path.read_bytes()
        with self.deployment.pairing_mode() as listener, \
                OldPairingAgent(listener.address, "web-03", make_csr("web-03")) as agent:
            reqid = agent.ask().json["reqid"]
            path.unlink()
            path.mkdir()
            done = self.deployment.dispatcher("approve", reqid, check=None)
            self.assertNotEqual(done.returncode, 0)
            self.assertIn(b"ca.serial", done.stderr)
            self.assertEqual(self.deployment.json("list-requests")["requests"][0]["id"], reqid)
            path.rmdir()
            path.write_bytes(number)
            self.deployment.dispatcher("approve", reqid)
            self.assertEqual(agent.read_answer().json["status"], "approved")
        self.assertNotEqual(path.read_bytes(), number)

    def test_ca_certificate_is_version_3_and_has_its_name(self):
        with Deployment() as ours:
            for folder in (OLD, ours.ca):
                text = self.deployment.execute(["openssl", "x509", "-in", folder / "ca.crt", "-noout", "-text",
                                                "-nameopt", "RFC2253"]).stdout.decode()
                self.assertIn("Version: 3 (0x2)", text)
                self.assertRegex(text, r"Subject: CN=ctrl-exec CA\n")
                self.assertRegex((folder / "ca.serial").read_text(), r"^([0-9a-f]{2})+\n$")


def each(data):
    return [bytes([byte]) for byte in data]


class OldDispatcher(Case):
    """The agent's side, with a listener that is not ours."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.other = cls.enterClassContext(Deployment())

    def request(self, agent, answers, timeout=20):
        """Asks a listener that gives answers(request) one after the other; returns it and the finished process."""
        listener = self.enterContext(OldListener(answers))
        return listener, agent.command("request-pairing", "--dispatcher", listener.address, "--timeout", timeout,
                                       check=None)

    def approval(self, asked, *without, **changes):
        members = {"cert": self.deployment.sign(asked["csr"], "05"), "nonce": asked["nonce"], "status": "approved",
                   "ca": (OLD / "ca.crt").read_text(), "dispatcher_serial": "02", **changes}
        return old_answer({name: value for name, value in members.items() if name not in without})

    def paired(self, name, *without, **changes):
        agent = self.deployment.agent(name)
        _, done = self.request(agent, lambda asked: [PENDING, self.approval(asked, *without, **changes)])
        self.assertEqual(done.returncode, 0, done.stderr)
        return agent

    def test_pairs_our_agent(self):
        agent = self.deployment.agent("web-01")
        listener, done = self.request(agent, lambda asked: [PENDING, self.approval(asked)])
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(agent.serial.read_text(), "02\n")
        agent.command("pairing-status")
        self.assertTrue(listener.head.startswith(b"POST /pair HTTP/1.0\r\n"), listener.head)
        self.assertIn(b"\r\nX-Ctrl-Exec: 1\r\n", listener.head)
        self.assertEqual(sorted(listener.asked), ["csr", "hostname", "nonce", "pair_v", "sas_commit"])
        self.assertEqual(listener.asked["hostname"], "web-01")
        self.assertRegex(listener.asked["nonce"], r"^[0-9a-f]{32}$")
        self.assertLessEqual(len(listener.asked["csr"]), CSR)
        reader = OldPairingAgent("", "web-01", listener.asked["csr"])
        self.assertIn(f"Pairing code: {reader.code}\n", done.stdout.decode())
        subject = self.deployment.execute(["openssl", "req", "-noout", "-subject", "-nameopt", "RFC2253", "-verify"],
                                          input=listener.asked["csr"].encode()).stdout
        self.assertIn(b"subject=CN=web-01\n", subject)

    def test_certificate_request_of_the_longest_key_fits(self):
        agent = self.deployment.agent("web-02", key_type="rsa")
        listener, done = self.request(agent, lambda asked: [PENDING, self.approval(asked)])
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertGreater(len(listener.asked["csr"]), 1000)

    def test_both_answers_at_once(self):
        agent = self.deployment.agent("web-03")
        _, done = self.request(agent, lambda asked: [PENDING + self.approval(asked)])
        self.assertEqual(done.returncode, 0, done.stderr)
        agent.command("pairing-status")

    def test_answers_in_single_bytes(self):
        agent = self.deployment.agent("web-04")
        _, done = self.request(agent, lambda asked: [*each(PENDING), *each(self.approval(asked))])
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_dispatchers_serial_is_stored_in_the_form_that_is_compared(self):
        for told, stored in (("02", "02"), ("2", "02"), ("0002", "02"), ("A", "0a"), ("0A", "0a"), ("FFEE", "ffee"),
                             ("00ffee", "ffee"), ("fee", "0fee"), ("80", "80")):
            with self.subTest(told):
                agent = self.paired(f"serial-{told}", dispatcher_serial=told)
                self.assertEqual(agent.serial.read_text(), f"{stored}\n")

    def test_without_a_dispatcher_serial_nothing_is_trusted(self):
        for name, without, changes in (("absent", ["dispatcher_serial"], {}), ("null", [], {"dispatcher_serial": None}),
                                       ("empty", [], {"dispatcher_serial": ""})):
            with self.subTest(name):
                self.assert_trusts_nobody(self.paired(name, *without, **changes))

    def test_without_a_dispatcher_serial_the_earlier_one_is_not_trusted_any_more(self):
        agent = self.paired("again")
        self.assertEqual(agent.serial.read_text(), "02\n")
        _, done = self.request(agent, lambda asked: [PENDING, self.approval(asked, "dispatcher_serial")])
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assert_trusts_nobody(agent)

    def assert_trusts_nobody(self, agent):
        with agent.serve().daemon:
            [result] = self.deployment.json("ping", agent.target, check=1)["results"]
            self.assertEqual(result["error"], "forbidden: serial mismatch")

    def test_denial_and_refusal(self):
        for number, (status, reason) in enumerate((("denied", "approval timeout"), ("denied", "rejected by operator"),
                                                   ("error", "invalid request"), ("error", "pairing queue full"))):
            with self.subTest(reason):
                last = old_answer({"status": status, "reason": reason})
                messages = [PENDING, last] if status == "denied" else [last]
                agent = self.deployment.agent(f"denied-{number}")
                _, done = self.request(agent, lambda _, messages=messages: messages)
                self.assertEqual(done.returncode, 1)
                self.assertIn(reason.encode(), done.stderr)

    def test_what_is_not_trustworthy_is_not_stored(self):
        stranger = make_csr("web-01")
        cases = {
            "nonce": lambda asked: self.approval(asked, nonce="0" * 32),
            "no-nonce": lambda asked: self.approval(asked, "nonce"),
            "another-key": lambda asked: self.approval(asked, cert=self.deployment.sign(stranger, "05")),
            "another-ca": lambda asked: self.approval(asked, cert=self.signed_by_another(asked)),
            "no-ca": lambda asked: self.approval(asked, ca=""),
            "no-certificate": lambda asked: self.approval(asked, cert="nonsense"),
            "serial": lambda asked: self.approval(asked, dispatcher_serial="no hex\n"),
            "status": lambda asked: self.approval(asked, status="fine"),
            "json": lambda asked: old_answer(b"{"),
            "cut": lambda asked: self.approval(asked)[:-1],
            "escape-sequence": lambda asked: old_answer({"status": "denied", "reason": "\x1b]0;owned\x07"}),
        }
        for name, last in cases.items():
            with self.subTest(name):
                agent = self.deployment.agent(name)
                timeout = 1 if name == "cut" else 20
                _, done = self.request(agent, lambda asked, last=last: [PENDING, last(asked)], timeout)
                self.assertEqual(done.returncode, 1, done.stdout)
                self.assertTrue(done.stderr.startswith(b"ctrl-exec-agent: "), done.stderr)
                self.assertNotIn(b"\x1b", done.stderr)
                # What it has asked with is kept for the next try, unless it was denied.
                self.assertEqual({path.name for path in agent.directory.iterdir()} - {".pairing-request.json"},
                                 {"agent.conf", "scripts.conf"})

    def signed_by_another(self, asked):
        ca = self.other.ca
        done = self.deployment.execute(["openssl", "x509", "-req", "-CA", ca / "ca.crt", "-CAkey", ca / "ca.key",
                                        "-set_serial", "5", "-days", "365", "-sha256"], input=asked["csr"].encode())
        return done.stdout.decode()

    def test_request_id_that_is_none(self):
        for number, reqid in enumerate(("\x1b[2J", "", "x" * 1000, None, "$(reboot)")):
            with self.subTest(reqid):
                agent = self.deployment.agent(f"reqid-{number}")
                _, done = self.request(agent, lambda asked, reqid=reqid: [
                    old_answer({"status": "pending", "reqid": reqid}), self.approval(asked)])
                self.assertEqual(done.returncode, 1)
                self.assertNotIn(b"\x1b", done.stdout + done.stderr)


del Case  # it has no tests of its own

if __name__ == "__main__":
    unittest.main()
