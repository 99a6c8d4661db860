"""Idempotency-Key: whatever a client repeats, its script runs once, and the repeat gets the first answer."""

import json
import os
import signal
import subprocess
import threading
import unittest

from api import Client, call_once, serve_api
from deployment import Deployment
from processes import poll


class IdempotencyKey(unittest.TestCase):
    def setUp(self):
        self.deployment = self.enterContext(Deployment(api_port=0, api_auth_default="allow"))
        self.ledger = self.deployment.directory / "ledger"
        self.gate = self.deployment.directory / "gate"
        subprocess.run(["mkfifo", self.gate], check=True)
        self.agent = self.deployment.paired_agent("web-01")
        self.agent.script("once", f"#!/bin/sh\necho run >>{self.ledger}\necho done\n")
        self.agent.script("slow", f"#!/bin/sh\necho run >>{self.ledger}\nread gate <{self.gate}\necho done\n")
        self.agent.serve()
        self.api = serve_api(self.deployment)

    def times_run(self):
        return self.ledger.read_text().count("run") if self.ledger.exists() else 0

    def body(self, script, **more):
        return {"hosts": [self.agent.target], "script": script, **more}

    def run_once(self, key, script="once", **more):
        with Client(self.api.address) as client:
            status, body = client.call("POST", "/run", self.body(script, **more), {"Idempotency-Key": key})
            return status, body, client.headers.get("idempotency-replayed")

    def records(self):
        return list((self.deployment.state / "runs/idempotency").glob("*.json"))

    def start_slow(self, key):
        """A request in the background, once its script runs; its answer will be in the list."""
        answers = []
        thread = threading.Thread(target=lambda: answers.append(self.run_once(key, "slow")))
        thread.start()
        self.addCleanup(thread.join)
        poll("the script runs", self.times_run)
        return thread, answers

    def test_a_repeat_gets_the_first_answer_and_runs_nothing(self):
        first = self.run_once("a")
        self.assertEqual((first[0], first[1]["results"][0]["stdout"], first[2]), (200, "done\n", None))
        self.assertEqual(self.run_once("a"), (200, first[1], "true"))
        self.assertEqual(self.times_run(), 1)

    def test_without_the_header_and_with_another_key_it_runs_again(self):
        first = self.run_once("a")
        self.assertNotEqual(self.run_once("b")[1]["reqid"], first[1]["reqid"])
        with Client(self.api.address) as client:
            client.call("POST", "/run", self.body("once"))
        self.assertEqual(self.times_run(), 3)

    def test_it_holds_across_a_restart(self):
        first = self.run_once("a")
        self.api.stop()
        self.api = serve_api(self.deployment)
        self.assertEqual(self.run_once("a"), (200, first[1], "true"))
        self.assertEqual(self.times_run(), 1)

    def test_a_repeat_during_the_run_waits_for_it(self):
        thread, answers = self.start_slow("a")
        repeats = [[] for _ in range(3)]
        threads = [threading.Thread(target=lambda own=own: own.append(self.run_once("a", "slow"))) for own in repeats]
        for each in threads:
            each.start()
        with Client(self.api.address) as client:
            poll("they wait", lambda: "ctrl_exec_http_connections_open 5\n" in client.call("GET", "/metrics")[1])
        self.gate.write_text("\n")
        for each in (thread, *threads):
            each.join()
        self.assertEqual([each[0][:2] for each in repeats], [answers[0][:2]] * 3)
        self.assertEqual((answers[0][2], repeats[0][0][2], self.times_run()), (None, "true", 1))

    def test_two_api_processes_share_their_keys(self):
        other = serve_api(self.deployment)
        first = self.run_once("a")
        status, body = call_once(other, "POST", "/run", self.body("once"), {"Idempotency-Key": "a"})
        self.assertEqual((status, body, self.times_run()), (200, first[1], 1))

    def test_another_request_with_the_same_key_is_a_mistake(self):
        self.run_once("a")
        for more in ({"args": ["x"]}, {"script": "slow"}, {"hosts": ["127.0.0.1:1"]}):
            status, body, _ = self.run_once("a", **more)
            self.assertEqual((status, body["error"]), (422, "Idempotency-Key was used for another request"))
        self.assertEqual(self.times_run(), 1)

    def test_another_caller_has_keys_of_its_own(self):
        reqids = {self.run_once("a", **more)[1]["reqid"]
                  for more in ({}, {"username": "alice"}, {"username": "bob"}, {"token": "t"})}
        self.assertEqual((len(reqids), self.times_run()), (4, 4))

    def test_what_started_nothing_uses_up_no_key(self):
        thread, _ = self.start_slow("a")
        self.assertEqual(self.run_once("b", "slow")[1]["error"], "locked")
        self.gate.write_text("\n")
        thread.join()
        self.assertEqual(self.run_once("c", "missing/name")[0], 400)
        self.assertEqual(len(self.records()), 1)
        self.assertEqual(self.run_once("b")[0], 200)

    def test_after_a_kill_during_the_run_it_is_not_repeated(self):
        body = json.dumps(self.body("slow"))
        client = subprocess.Popen(["curl", "-s", "-d", body, "-H", "Idempotency-Key: a",
                                   f"http://{self.api.address}/run"], stdout=subprocess.DEVNULL)
        poll("the script runs", self.times_run)
        self.api.signal(signal.SIGKILL)
        self.api.process.wait()
        client.wait()
        self.gate.write_text("\n")
        self.api = serve_api(self.deployment)
        [record] = self.records()
        status, answer, _ = self.run_once("a", "slow")
        self.assertEqual((status, answer["error"], self.times_run()), (409, "outcome unknown", 1))
        self.assertIn(json.loads(record.read_text())["reqid"], answer["detail"])

    def test_when_the_key_cannot_be_kept_nothing_runs(self):
        directory = self.deployment.state / "runs" / "idempotency"
        directory.parent.mkdir(exist_ok=True)
        directory.write_text("in the way")
        status, body, _ = self.run_once("a")
        self.assertEqual((status, self.times_run()), (500, 0))
        self.assertIn("Idempotency-Key cannot be", body["error"])

    def test_keys_that_are_none(self):
        for key in ("", "a b", "x" * 256, "caf\xe9", "a\tb"):
            with self.subTest(key):
                self.assertEqual(self.run_once(key)[1]["error"], "invalid Idempotency-Key")
        self.assertEqual(self.run_once("x" * 255)[0], 200)

    def test_neither_key_nor_token_stands_in_a_file_or_its_name(self):
        self.run_once("visible-key", token="s3cret")
        [record] = self.records()
        self.assertEqual(record.stat().st_mode & 0o7777, 0o640)
        for text in (record.name, record.read_text()):
            self.assertNotIn("visible-key", text)
            self.assertNotIn("s3cret", text)


class Purge(unittest.TestCase):
    def test_old_runs_and_keys_go_in_the_background(self):
        deployment = self.enterContext(Deployment(api_port=0, api_auth_default="allow"))
        runs = deployment.state / "runs"
        (runs / "idempotency").mkdir(parents=True)
        old = [runs / "00000000000000aa.json", runs / "idempotency" / f"{'a' * 64}.json"]
        young = [runs / "00000000000000bb.json", runs / "idempotency" / f"{'b' * 64}.json", runs / "notes.json"]
        for path in old + young:
            path.write_text("{}")
        for path in (*old, runs / "notes.json"):
            os.utime(path, (1_700_000_000, 1_700_000_000))
        serve_api(deployment)
        poll("the old ones are gone", lambda: not any(path.exists() for path in old))
        self.assertTrue(all(path.exists() for path in young))


if __name__ == "__main__":
    unittest.main()
