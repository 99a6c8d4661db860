"""A dispatcher announces its next serial to an agent, retires the old one, and revokes what must not be obeyed."""

import json
import random
import threading
import time
import unittest

from deployment import Deployment
from dispatcher_client import Caller, Signer
from wire import request


class Case(unittest.TestCase):
    def setUp(self):
        self.deployment = self.enterContext(Deployment())
        self.agent = self.deployment.paired_agent("web-01", rate_limit_disable="yes")
        self.path = self.agent.directory / "dispatchers.json"
        self.signer = Signer(self.deployment.directory / "signer", self.deployment.ca / "ca.crt",
                             self.deployment.ca / "ca.key")
        self.now = Caller.of(self.deployment)
        self.next = Caller(self.signer, "next", "0abc")
        self.other = Caller(self.signer, "other", "0def")
        document = json.loads(self.path.read_text())
        document["dispatchers"].insert(0, {"id": "other", "paired": "2026-01-02T03:04:05Z", "serials": [
            {"serial": "0def", "added": "2026-01-02T03:04:05Z", "until": None}]})
        self.path.write_text(json.dumps(document))
        self.agent.serve()

    def serials(self):
        document = json.loads(self.path.read_text())
        return {d["id"]: {s["serial"]: s["until"] for s in d["serials"]} for d in document["dispatchers"]}

    def own(self):
        [mine] = [serials for name, serials in self.serials().items() if name != "other"]
        return mine

    def rotate(self, serial, caller=None, **more):
        answer = (caller or self.now).ask(self.agent, "/rotate-serial", {"serial": serial, "reqid": "7", **more})
        self.assertEqual((answer.status, answer.json["reqid"]), (200, "7"))
        return answer.json

    def assert_obeyed(self, *callers):
        obeyed = [caller.serial for caller in (self.now, self.next, self.other) if caller.ping(self.agent) == 200]
        self.assertEqual(obeyed, [caller.serial for caller in callers])


class Rotation(Case):
    def test_both_are_obeyed_until_the_old_one_is_retired(self):
        self.assert_obeyed(self.now, self.other)
        self.assertEqual(self.rotate("ABC"), {"status": "ok", "serial": "0abc", "reqid": "7"})
        self.agent.daemon.wait_log(r"^ACTION=rotate-serial DISPATCHER=\S+ PEER=127\.0\.0\.1 REQID=7 RESULT=ok SERIAL=0abc$")
        self.assert_obeyed(self.now, self.next, self.other)
        self.assertEqual(self.agent.serial.read_text(), "0abc\n", "what old programs and tools read")
        self.assertEqual(self.rotate("0abc")["status"], "ok", "announced again")
        self.assertEqual(self.rotate("0abc", self.next, retire=[self.now.serial])["status"], "ok")
        self.assert_obeyed(self.next, self.other)
        self.agent.daemon.stop()
        self.agent.serve()
        self.assert_obeyed(self.next, self.other)

    def test_the_old_one_ends_at_the_time_that_was_told(self):
        self.assertEqual(self.rotate("0abc", until=int(time.time()) + 3600)["status"], "ok")
        self.assert_obeyed(self.now, self.next, self.other)
        rows = json.loads(self.agent.command("dispatchers", "--json").stdout)["dispatchers"]
        self.assertEqual([row["status"] for row in rows], ["current", "current", "previous"])
        self.assertRegex(rows[2]["until"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")
        document = json.loads(self.path.read_text())
        document["dispatchers"][1]["serials"][0]["until"] = int(time.time())  # the hour has passed
        self.path.write_text(json.dumps(document))
        self.agent.command("reload")
        self.assert_obeyed(self.next, self.other)
        self.assertEqual(self.rotate("0abc", self.next)["status"], "ok")
        self.assertEqual(list(self.own()), ["0abc"])

    def test_nothing_of_another_dispatcher_changes(self):
        self.assertEqual(self.rotate("0def")["error"], "serial 0def is another dispatcher's")
        self.assertEqual(self.rotate("0abc", retire=["0def", "0abc"], dispatcher_id="other")["status"], "ok")
        self.assert_obeyed(self.now, self.next, self.other)

    def test_dispatcher_of_an_old_installation_gets_its_id(self):
        self.path.unlink()
        self.agent.command("reload")
        self.assertEqual(self.rotate("0abc", dispatcher_id="5c1d0f6ab3e97824")["status"], "ok")
        self.assertEqual(list(self.serials()), ["5c1d0f6ab3e97824"])
        self.assert_obeyed(self.now, self.next)

    def test_what_is_refused(self):
        before = self.path.read_bytes()
        (self.agent.directory / "revoked-serials").write_text("0x0bad\n")
        for said, serial, more in (
                ("serial must be", "", {}), ("serial must be", "xyz", {}), ("serial must be", "7" * 41, {}),
                ("serial must be", 12, {}), ("is revoked", "0bad", {}), ("until", "0abc", {"until": "soon"}),
                ("until", "0abc", {"until": -1}), ("until", "0abc", {"until": 1e300}),
                ("retire", "0abc", {"retire": "0d"}), ("retire", "0abc", {"retire": ["xyz"]}),
                ("retire", "0abc", {"retire": ["0d"] * 10_000}), ("dispatcher_id", "0abc", {"dispatcher_id": "a b"})):
            with self.subTest(said, serial=serial, more=str(more)[:40]):
                answer = self.rotate(serial, **more)
                self.assertEqual(answer["status"], "error")
                self.assertIn(said, answer["error"])
        self.assertEqual(self.path.read_bytes(), before)
        self.assert_obeyed(self.now, self.other)

    def test_ten_announcements_leave_the_newest_and_the_one_in_use(self):
        for number in range(10):
            self.assertEqual(self.rotate(f"{0xa00 + number:04x}")["status"], "ok")
        self.assertEqual(list(self.own()), [self.now.serial, "0a09"])

    def test_several_at_once_lose_nothing(self):
        until = int(time.time()) + 3600
        answers = []

        def announce(caller, serial):
            answers.append(self.rotate(serial, caller, until=until)["status"])

        threads = [threading.Thread(target=announce, args=(caller, f"{base + n:04x}"))
                   for n in range(3) for caller, base in ((self.now, 0xa00), (self.other, 0xb00))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(answers, ["ok"] * 6)
        self.assertEqual(sorted(self.own()), sorted([self.now.serial, "0a00", "0a01", "0a02"]))
        self.assertEqual(sorted(self.serials()["other"]), ["0b00", "0b01", "0b02", "0def"])

    def test_a_kill_at_any_moment_leaves_the_one_in_use_trusted(self):
        for number in range(25):
            serial = f"{0xa00 + number:04x}"
            client = self.now.connect(self.agent)
            client.send(request("POST", "/rotate-serial", {"serial": serial, "reqid": "7"}, "X-Ctrl-Exec: 1"))
            time.sleep(random.random() * 0.012)  # not to wait for something, but to hit any moment
            self.agent.daemon.kill()
            client.close()
            self.agent.serve()
            self.assert_obeyed(self.now, self.other)


class OldWay(Case):
    """`run update-ctrl-exec-serial SERIAL`, as old programs announce it."""

    def run_update(self, *arguments, caller=None):
        answer = (caller or self.now).ask(self.agent, "/run", {
            "script": "update-ctrl-exec-serial", "args": list(arguments), "reqid": "8"})
        return answer.json

    def test_needs_no_entry_in_the_allowlist(self):
        self.assertEqual(self.run_update("0ABC"), {"script": "update-ctrl-exec-serial", "exit": 0, "stdout": "",
                                                   "stderr": "", "reqid": "8"})
        self.assert_obeyed(self.now, self.next, self.other)
        self.agent.daemon.wait_log("^ACTION=run DISPATCHER=.* EXIT=0 .*SCRIPT=update-ctrl-exec-serial$")
        self.deployment.dispatcher("run", self.agent.target, "update-ctrl-exec-serial", "--", "0abc")

    def test_bad_serial(self):
        for arguments, said in ((["xyz"], "must be a hex number"), ([], "one argument"), (["0a", "0b"], "one argument"),
                                (["0def"], "another dispatcher's"), (["7" * 100], "hex number")):
            answer = self.run_update(*arguments)
            self.assertEqual((answer["exit"], answer["stdout"]), (1, ""))
            self.assertIn(said, answer["stderr"])
        self.assert_obeyed(self.now, self.other)

    def test_an_entry_of_that_name_runs(self):
        self.agent.script("update-ctrl-exec-serial", "#!/bin/sh\necho mine $1\n")
        self.agent.command("reload")
        self.assertEqual(self.run_update("0abc")["stdout"], "mine 0abc\n")
        self.assert_obeyed(self.now, self.other)

    def test_a_stranger_gets_nothing(self):
        self.assertEqual(self.run_update("0abc", caller=self.next), {"error": "serial mismatch", "status": "forbidden"})
        self.assert_obeyed(self.now, self.other)


class Revocation(Case):
    def revoke(self, serials, caller=None):
        answer = (caller or self.now).ask(self.agent, "/revoke", {"serials": serials, "reqid": "9"})
        self.assertEqual((answer.status, answer.json["reqid"]), (200, "9"))
        return answer.json

    def setUp(self):
        super().setUp()
        self.revoked = self.agent.directory / "revoked-serials"

    def test_takes_effect_at_once_and_keeps_what_is_in_the_file(self):
        self.revoked.write_text("# stolen\n11:22  # the laptop")
        self.revoked.chmod(0o600)
        self.assertEqual(self.revoke(["0DEF", "1122", "0def", "9999"]), {"status": "ok", "added": 2, "reqid": "9"})
        self.assertEqual(self.revoked.read_text(), "# stolen\n11:22  # the laptop\n0x0def\n0x9999\n")
        self.assertEqual(self.revoked.stat().st_mode & 0o777, 0o600)
        self.assertEqual(self.other.ask(self.agent, "/ping").json, {"error": "certificate revoked"})
        self.assertEqual(self.revoke(["0def"])["added"], 0)
        self.agent.daemon.wait_log(r"^ACTION=revoke DISPATCHER=\S+ PEER=127\.0\.0\.1 REQID=9 RESULT=ok SERIALS=2$")
        self.agent.daemon.stop()
        self.agent.serve()
        self.assert_obeyed(self.now)

    def test_digits_alone_are_not_taken_for_a_decimal_number(self):
        self.assertEqual(self.revoke(["10"])["added"], 1)
        self.assertEqual(self.revoke(["0a"])["added"], 1, "which decimal 10 would be")

    def test_what_is_refused(self):
        for serials in ([], ["0a"] * 10_000, ["xyz"], [12], ["0a", None], "0a", ["7" * 41], [self.now.serial],
                        ["0a", "000" + self.now.serial.upper()]):
            with self.subTest(str(serials)[:40]):
                self.assertEqual(self.revoke(serials)["status"], "error")
        self.assertFalse(self.revoked.exists())
        self.assertEqual(self.revoke([f"{n:06x}" for n in range(0xa00000, 0xa00000 + 1000)])["added"], 1000)
        self.assert_obeyed(self.now, self.other)

    def test_the_file_has_a_bound(self):
        self.revoked.write_text("# " + "x" * (1024 * 1024 - 20) + "\n")
        self.agent.command("reload")
        answer = self.revoke([f"{n:040x}" for n in range(1 << 156, (1 << 156) + 10)])
        self.assertIn(str(self.revoked), answer["error"])
        self.assert_obeyed(self.now, self.other)

    def test_several_at_once_lose_nothing(self):
        threads = [threading.Thread(target=self.revoke, args=([f"{n:04x}" for n in range(base, base + 50)],))
                   for base in range(0xa000, 0xa200, 50)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(len(set(self.revoked.read_text().split())), 50 * len(threads))


del Case  # it has no tests of its own

if __name__ == "__main__":
    unittest.main()
