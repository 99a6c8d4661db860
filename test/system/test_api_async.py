"""The HTTP API: runs with a time limit, runs in the background, and what happens in them as events."""

import contextlib
import hashlib
import http.client
import json
import signal
import threading
import unittest

from api import Client, call_once, serve_api
from deployment import Deployment
from processes import DEADLINE, poll
from wire import split_address

REQID = r"^[0-9a-f]{16}$"



class Events:
    """A client of an event stream: one event after the other as (type, data, id)."""

    def __init__(self, address, reqid, last_id=None, headers=()):
        self._connection = http.client.HTTPConnection(*split_address(address), timeout=DEADLINE)
        headers = {**dict(headers), **({"Last-Event-ID": last_id} if last_id else {})}
        self._connection.request("GET", f"/runs/{reqid}/events", headers=headers)
        self.answer = self._connection.getresponse()
        self.status = self.answer.status

    def next(self):
        """None at the end of the stream."""
        fields = {}
        while line := self.answer.readline().decode():
            if line == "\n":
                if fields:
                    return fields["event"], json.loads(fields["data"]), fields.get("id")
                continue
            name, _, value = line.rstrip("\n").partition(": ")
            if name:
                fields[name] = value
        return None

    def all(self):
        return list(iter(self.next, None))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.answer.close()
        self._connection.close()


class Case(unittest.TestCase):
    settings = {"api_auth_default": "allow"}

    @classmethod
    def setUpClass(cls):
        cls.deployment = cls.enterClassContext(Deployment(api_port=0, **cls.settings))
        cls.go, cls.ledger = (cls.deployment.directory / name for name in ("go", "ledger"))
        cls.agent = cls.deployment.paired_agent("web-01", kill_grace="1s", state_dir=cls.deployment.directory / "jobs")
        cls.agent.script("wait", f"#!/bin/sh\necho begun\necho ran >>{cls.ledger}\n"
                                 f"until [ -e {cls.go} ]; do sleep 0.02; done\necho over; echo bad >&2; exit 3\n")
        cls.agent.script("quick", "#!/bin/sh\necho quick\n")
        cls.agent.script("raw", "#!/bin/sh\nprintf 'a\\377\\0b'\n")
        cls.agent.script("flood", "#!/bin/sh\nhead -c 20000000 /dev/zero | tr '\\0' x\n")
        cls.agent.serve()
        cls.api = serve_api(cls.deployment)

    def setUp(self):
        self.client = self.enterContext(Client(self.api.address))
        for path in (self.go, self.ledger):
            path.unlink(missing_ok=True)

    def post(self, path="/run", headers=None, **body):
        return self.client.call("POST", path, body, headers)

    def begin(self, script="wait", hosts=None, **body):
        status, answer = self.post(hosts=hosts or [self.agent.target], script=script, **{"async": True, **body})
        self.assertEqual((status, answer["ok"]), (202, True), answer)
        self.assertRegex(answer["reqid"], REQID)
        self.assertEqual(self.client.headers["location"], f"/status/{answer['reqid']}")
        return answer["reqid"]

    def status(self, reqid):
        status, answer = self.client.call("GET", f"/status/{reqid}")
        self.assertEqual(status, 200, answer)
        return answer

    def wait_done(self, reqid):
        return poll("the run is done", lambda: (answer := self.status(reqid))["status"] == "done" and answer)

    def ran(self):
        return self.ledger.read_text().count("ran") if self.ledger.exists() else 0

    def listen(self, reqid, last_id=None, headers=()):
        return self.enterContext(Events(self.api.address, reqid, last_id, headers))


class Background(Case):
    def test_run_goes_on_by_itself(self):
        reqid = self.begin()
        answer = self.status(reqid)
        self.assertEqual(answer, {"ok": True, "reqid": reqid, "script": "wait", "hosts": ["127.0.0.1"], "results": [],
                                  "status": "running", "pending": ["127.0.0.1"]})
        self.assertEqual(self.deployment.json("status", reqid, check=2)["pending"], ["127.0.0.1"])
        self.go.touch()
        answer = self.wait_done(reqid)
        [result] = answer["results"]
        self.assertEqual((result["exit"], result["stdout"], result["stderr"], result["outcome"]),
                         (3, "begun\nover\n", "bad\n", "failed"))
        self.assertEqual((answer["pending"], type(answer["completed"])), ([], int))
        self.assertEqual(self.deployment.json("wait", reqid, check=1)["results"], answer["results"])

    def test_hosts_that_do_not_accept_it(self):
        status, answer = self.post(hosts=[self.agent.target, "127.0.0.9:1"], script="quick", **{"async": True})
        self.assertEqual((status, answer["status"]), (202, "running"))
        self.assertEqual([(each["host"], each["outcome"]) for each in answer["results"]], [("127.0.0.9", "missing")])
        self.assertEqual(len(self.wait_done(answer["reqid"])["results"]), 2)
        status, answer = self.post(hosts=[self.agent.target], script="reboot", **{"async": True})
        self.assertEqual((status, answer["status"], answer["results"][0]["outcome"]), (202, "done", "refused"))

    def test_time_limit(self):
        for timeout in ("300ms", 1):
            with self.subTest(timeout):
                _, answer = self.post(hosts=[self.agent.target], script="wait", timeout=timeout)
                self.assertEqual((answer["results"][0]["outcome"], answer["results"][0]["timed_out"]), ("timed-out", True))
        reqid = self.begin(timeout="300ms")
        self.assertEqual(self.wait_done(reqid)["results"][0]["outcome"], "timed-out")

    def test_members_of_the_wrong_kind(self):
        for body in ({"async": 1}, {"async": "true"}, {"async": []}, {"timeout": "soon"}, {"timeout": 0}, {"timeout": -1},
                     {"timeout": 1.5}, {"timeout": True}, {"timeout": []}, {"timeout": "31d"}, {"timeout": ""}):
            with self.subTest(body):
                status, answer = self.post(hosts=[self.agent.target], script="quick", **body)
                self.assertEqual((status, answer["ok"]), (400, False))
        for body in ({"async": None}, {"async": False}, {"timeout": None}, {"timeout": "30"}):
            self.assertEqual(self.post(hosts=[self.agent.target], script="quick", **body)[0], 200)

    def test_cancel(self):
        reqid = self.begin()
        self.assertEqual(self.post(f"/cancel/{reqid}", hosts=["elsewhere"])[0], 400)
        self.assertEqual(self.post(f"/cancel/{reqid}", hosts=["127.0.0.1"]),
                         (200, {"ok": True, "reqid": reqid, "hosts": [{"host": "127.0.0.1", "state": "cancelling"}]}))
        self.assertEqual(self.wait_done(reqid)["results"][0]["outcome"], "cancelled")
        self.assertEqual(self.client.call("POST", f"/cancel/{reqid}")[1]["hosts"], [{"host": "127.0.0.1", "state": "done"}])
        self.assertEqual(self.client.call("POST", "/cancel/00c9845e0001ab42")[0], 404)

    def test_cancel_of_a_run_that_somebody_waits_for(self):
        self.deployment_agent_registered()
        answers = []
        thread = threading.Thread(target=lambda: answers.append(
            call_once(self.api, "POST", "/run", {"hosts": ["web-01"], "script": "wait"})))
        thread.start()
        poll("the script runs", lambda: self.ran() == 1)
        [lock] = self.deployment.json("list-locks")["locks"]
        status, answer = self.client.call("POST", f"/cancel/{lock['reqid']}")
        self.assertEqual((status, answer["hosts"]), (200, [{"host": "web-01", "state": "cancelling"}]))
        thread.join()
        self.assertEqual(answers[0][1]["results"][0]["outcome"], "cancelled")

    def deployment_agent_registered(self):
        record = self.deployment.state / "agents" / "web-01.json"
        content = json.loads(record.read_text())
        content.update(ip="127.0.0.1", agent_port=self.agent.daemon.port, lookup_by="ip")
        record.write_text(json.dumps(content))

    def test_idempotency_key(self):
        key = {"Idempotency-Key": "k1"}
        body = {"hosts": [self.agent.target], "script": "wait", "async": True}
        status, first = self.client.call("POST", "/run", body, key)
        self.assertEqual(status, 202)
        status, again = self.client.call("POST", "/run", body, key)
        self.assertEqual((status, again["reqid"], self.client.headers["idempotency-replayed"]),
                         (202, first["reqid"], "true"))
        self.assertEqual(self.client.headers["location"], f"/status/{first['reqid']}")
        for other in ({"async": False}, {"timeout": "5s"}):
            self.assertEqual(self.client.call("POST", "/run", {**body, **other}, key)[0], 422)
        self.go.touch()
        self.wait_done(first["reqid"])
        status, again = self.client.call("POST", "/run", body, key)
        self.assertEqual((status, again["status"], len(again["results"])), (202, "done", 1))
        self.assertEqual(self.ran(), 1)

    def test_results_are_counted_when_they_are_fetched(self):
        def count():
            page = self.client.call("GET", "/metrics")[1]
            return sum(int(line.split()[1]) for line in page.splitlines()
                       if line.startswith('ctrl_exec_runs_total{outcome="failed"}'))
        before = count()
        reqid = self.begin()
        self.go.touch()
        self.wait_done(reqid)
        self.status(reqid)
        self.assertEqual(count(), before + 1)


class Streams(Case):
    def test_events_come_as_they_happen(self):
        reqid = self.begin()
        events = self.listen(reqid)
        self.assertEqual((events.status, events.answer.getheader("content-type"), events.answer.getheader("cache-control")),
                         (200, "text/event-stream", "no-store"))
        self.assertEqual(events.next()[:2], ("output", {"host": "127.0.0.1", "stream": "stdout", "offset": 0,
                                                        "data": "begun\n"}))
        self.go.touch()
        rest = events.all()
        self.assertEqual({(data["stream"], data["offset"], data["data"]) for kind, data, _ in rest if kind == "output"},
                         {("stdout", 6, "over\n"), ("stderr", 0, "bad\n")})
        self.assertEqual([kind for kind, _, _ in rest if kind != "output"], ["result", "end"])
        [result] = [data for kind, data, _ in rest if kind == "result"]
        self.assertEqual((result["exit"], result["stdout"], result["outcome"]), (3, "begun\nover\n", "failed"))
        self.assertEqual(self.status(reqid)["results"], [result])

    def test_all_listeners_share_one_stream_and_hear_the_same(self):
        reqid = self.begin()
        listeners = [self.listen(reqid) for _ in range(5)]
        firsts = {str(each.next()) for each in listeners}
        self.assertEqual(len(firsts), 1)
        self.go.touch()
        heard = [each.all() for each in listeners]
        self.assertTrue(all(each == heard[0] for each in heard))

    def test_who_comes_back_goes_on_where_he_was(self):
        reqid = self.begin()
        with Events(self.api.address, reqid) as first:
            kind, _, last = first.next()
            self.assertEqual(kind, "output")
        self.go.touch()
        events = self.listen(reqid, last).all()
        self.assertNotIn("begun\n", [data.get("data") for _, data, _ in events])
        self.assertEqual([kind for kind, _, _ in events if kind != "output"], ["result", "end"])
        # And when the run is done, too; the end is told once.
        again = self.listen(reqid, last).all()
        self.assertEqual(again, events)
        self.assertEqual(self.listen(reqid, events[-1][2]).status, 204)
        self.assertEqual(self.listen(reqid, events[-2][2]).all(), events[-1:])

    def test_run_that_is_done_has_its_results(self):
        reqid = self.begin("raw")
        [result] = self.wait_done(reqid)["results"]
        events = self.listen(reqid).all()
        self.assertEqual([each[:2] for each in events], [("result", result), ("end", {"status": "done"})])
        self.assertEqual(self.listen(reqid, events[0][2]).all(), events[1:])
        self.assertEqual(self.listen(reqid, events[1][2]).status, 204)
        self.assertEqual([each[0] for each in self.listen(reqid, "0011223344556677-5").all()], ["reset", "result", "end"])

    def test_output_that_is_no_utf8_comes_exactly(self):
        reqid = self.begin()
        self.go.touch()
        self.wait_done(reqid)
        status, answer = self.post(hosts=[self.agent.target], script="raw", **{"async": True})
        events = self.listen(answer["reqid"]).all()
        [result] = [data for kind, data, _ in events if kind == "result"]
        self.assertEqual((result["stdout"], result["stdout_b64"]), ("a\ufffd\0b", "Yf8AYg=="))

    def test_much_output_is_bounded(self):
        reqid = self.begin("flood")
        events = self.listen(reqid).all()
        self.assertEqual([kind for kind, _, _ in events[-2:]], ["result", "end"])
        self.assertEqual(events[-2][1]["stdout_bytes"], 20_000_000)

    def test_api_that_is_restarted_begins_anew(self):
        api = serve_api(self.deployment)
        reqid = self.begin()
        with Events(api.address, reqid) as events:
            _, _, last = events.next()
            api.signal(signal.SIGTERM)
            self.assertEqual(events.all(), [])
            self.assertEqual(api.wait_exit(), 0)
        with serve_api(self.deployment) as other, Events(other.address, reqid, last) as events:
            kinds = [events.next()[:2] for _ in range(2)]
            self.assertEqual([kind for kind, _ in kinds], ["reset", "output"])
            self.assertEqual(kinds[1][1]["data"], "begun\n")
            self.go.touch()
            self.assertEqual(events.all()[-1][0], "end")

    def test_unknown_runs_and_odd_paths(self):
        for path in ("/runs/00c9845e0001ab42/events", "/runs/x/events", "/runs//events", "/runs/a/b/events",
                     "/runs/events", "/runs/00c9845e0001ab42", "/runs/00c9845e0001ab42/events/"):
            with self.subTest(path):
                self.assertEqual(self.client.call("GET", path)[0], 404)
        self.assertEqual(self.client.call("DELETE", "/runs/00c9845e0001ab42/events")[0], 405)
        self.assertEqual(self.client.call("HEAD", f"/runs/{self.begin('quick')}/events")[0], 200)

    def test_listeners_are_counted(self):
        reqid = self.begin()
        with contextlib.ExitStack() as listeners:
            for _ in range(3):
                listeners.enter_context(Events(self.api.address, reqid)).next()
            self.assertIn("ctrl_exec_event_listeners 3\n", self.client.call("GET", "/metrics")[1])
        self.go.touch()
        self.wait_done(reqid)


class Policy(Case):
    settings = {"api_auth_default": "deny"}

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.api.stop()
        policy = cls.deployment.directory / "policy"
        hashes = {name: hashlib.sha256(name.encode()).hexdigest() for name in ("all", "sees", "other")}
        policy.write_text(f"sha256:{hashes['all']} * * *\nsha256:{hashes['sees']} status wait *\n"
                          f"sha256:{hashes['other']} run,status quick *\n")
        policy.chmod(0o600)
        with cls.deployment.config.open("a") as config:
            config.write(f"auth_policy = {policy}\n")
        cls.api = serve_api(cls.deployment)

    def as_(self, token):
        return {"Authorization": f"Bearer {token}"}

    def test_who_may_see_and_who_may_cancel(self):
        status, answer = self.client.call("POST", "/run", {"hosts": [self.agent.target], "script": "wait", "async": True},
                                          self.as_("all"))
        self.assertEqual(status, 202)
        reqid = answer["reqid"]
        for token, see, end in (("other", 404, 404), ("sees", 200, 403), ("none", 403, 403)):
            with self.subTest(token):
                self.assertEqual(self.client.call("GET", f"/status/{reqid}", None, self.as_(token))[0], see)
                self.assertEqual(self.client.call("POST", f"/cancel/{reqid}", None, self.as_(token))[0], end)
                self.assertEqual(self.listen(reqid, headers=self.as_(token)).status, see)
        self.assertEqual(self.client.call("POST", f"/cancel/{reqid}", None, self.as_("all"))[0], 200)
        # What is done is hidden as well.
        poll("it is done", lambda: self.client.call("GET", f"/status/{reqid}", None, self.as_("all"))[1]["status"] == "done")
        self.assertEqual(self.listen(reqid, headers=self.as_("other")).status, 404)
        self.assertEqual(self.client.call("POST", "/run", {"hosts": [self.agent.target], "script": "wait", "async": True},
                                          self.as_("other"))[0], 403)


if __name__ == "__main__":
    unittest.main()
