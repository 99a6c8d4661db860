"""The queue between the pairing port and the operator: one file a request, answered by a file, for ten minutes."""

import contextlib
import datetime
import fcntl
import json
import time
import unittest

from deployment import Deployment, mode
from fast_forward import put_ahead
from old_peers import OldPairingAgent
from processes import poll
from wire import make_csr


class Case(unittest.TestCase):
    settings = {}

    @classmethod
    def setUpClass(cls):
        cls.deployment = cls.enterClassContext(Deployment(**cls.settings))
        cls.queue = cls.deployment.state / "pairing"

    def asking(self, listener, name="web-01", csr=None):
        """(an agent that waits, the id of its request)."""
        agent = self.enterContext(OldPairingAgent(listener.address, name, csr or make_csr(name)))
        receipt = agent.ask().json
        self.assertEqual(receipt["status"], "pending")
        return agent, receipt["reqid"]

    def read(self, name):
        return json.loads((self.queue / name).read_text())


class Files(Case):
    def test_request_is_a_file_named_after_its_id(self):
        with self.deployment.pairing_mode() as listener:
            agent, reqid = self.asking(listener)
            path = self.queue / f"{reqid}.json"
            self.assertEqual(mode(path), "0600")
            request = self.read(path.name)
            self.assertRegex(request.pop("received"), r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")
            self.assertEqual(request, {"id": reqid, "hostname": "web-01", "ip": "127.0.0.1", "csr": agent.csr,
                                       "nonce": agent.nonce, "code": agent.code})

    def test_approval_and_denial_are_files_for_the_listener(self):
        self.queue.mkdir(parents=True, exist_ok=True)
        for number, verb in enumerate(("approve", "deny")):
            reqid = f"{number:016x}"
            with contextlib.ExitStack() as stack:
                lock = stack.enter_context(open(self.queue / ".listener", "w", encoding="utf-8"))
                fcntl.flock(lock, fcntl.LOCK_EX)  # a listener that looks away
                self.put_request(reqid, datetime.timedelta(0))
                self.deployment.dispatcher(verb, reqid)
                answer = self.read(f"{reqid}.{'approved' if verb == 'approve' else 'denied'}")
            if verb == "deny":
                self.assertEqual(answer, {"status": "denied", "reason": "rejected by operator"})
            else:
                self.assertEqual(sorted(answer), ["ca", "cert", "dispatcher_id", "dispatcher_serial", "nonce", "status"])
                self.assertEqual((answer["status"], answer["nonce"]), ("approved", "00ff"))

    def test_listener_delivers_what_any_process_leaves(self):
        with self.deployment.pairing_mode() as listener:
            for suffix, answer in (("approved", {"status": "approved", "cert": "of another program"}),
                                   ("denied", {"status": "denied", "reason": "by another program"})):
                with self.subTest(suffix):
                    agent, reqid = self.asking(listener)
                    temporary = self.queue / f".{reqid}"
                    temporary.write_text(json.dumps(answer))
                    temporary.rename(self.queue / f"{reqid}.{suffix}")
                    self.assertEqual(agent.read_answer().json, answer)
                    poll("nothing of it is left", lambda: not list(self.queue.glob(f"{reqid}*")))

    def put_request(self, reqid, age):
        received = datetime.datetime.now(datetime.timezone.utc) - age
        (self.queue / f"{reqid}.json").write_text(json.dumps({
            "id": reqid, "hostname": "web-01", "ip": "127.0.0.1", "csr": make_csr("web-01"), "nonce": "00ff",
            "received": f"{received:%Y-%m-%dT%H:%M:%SZ}", "code": "000000"}))


class Limits(Case):
    settings = {"pairing_allow_cn_mismatch": "yes"}

    def test_ten_may_wait_at_once(self):
        csr = make_csr("any")
        with self.deployment.pairing_mode() as listener:
            for number in range(10):
                self.asking(listener, f"web-{number}", csr)
            agent = self.enterContext(OldPairingAgent(listener.address, "web-10", csr))
            self.assertEqual(agent.ask().json, {"status": "error", "reason": "pairing queue full"})

    def test_operator_has_600_seconds(self):
        with self.deployment.pairing_mode() as listener:
            first, reqid = self.asking(listener)
            self.look_at_all(listener)
            put_ahead(listener.pid, 590)
            self.look_at_all(listener)
            self.assertEqual([request["id"] for request in self.deployment.requests()], [reqid])
            self.assertNotIn("approval timeout", listener.log)
            put_ahead(listener.pid, 601)
            self.assertEqual(first.read_answer().json, {"status": "denied", "reason": "approval timeout"})
            self.assertEqual(self.deployment.requests(), [])

    def look_at_all(self, listener):
        """Makes the listener look at every request that waits: it does so when another one is answered."""
        other, reqid = self.asking(listener, "web-02")
        self.deployment.dispatcher("deny", reqid)
        other.read_answer()

    def test_older_requests_are_dropped(self):
        with self.deployment.pairing_mode() as listener:
            _, reqid = self.asking(listener)
            path = self.queue / f"{reqid}.json"
            request = self.read(path.name)
            late = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(seconds=605)
            path.write_text(json.dumps({**request, "received": f"{late:%Y-%m-%dT%H:%M:%SZ}"}))
            self.assertEqual(self.deployment.requests(), [])
            for verb in ("approve", "deny"):
                self.assertIn(b"list-requests", self.deployment.dispatcher(verb, reqid, check=1).stderr)
            self.asking(listener, "web-02")
            self.assertFalse(path.exists(), "the next request has made room")

    def test_answer_is_delivered_at_once(self):
        delays = []
        with self.deployment.pairing_mode() as listener:
            for _ in range(5):
                agent, reqid = self.asking(listener)
                self.deployment.dispatcher("deny", reqid)
                start = time.monotonic()
                agent.read_answer()
                delays.append(time.monotonic() - start)
        self.assertLess(min(delays), 1, "by the event; whoever looks every two seconds would need most of them")


del Case  # it has no tests of its own

if __name__ == "__main__":
    unittest.main()
