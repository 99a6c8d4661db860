"""Our dispatcher with agents of version 0.8.4: what it sends, what it makes of their answers, how it spares them."""

import json
import socket
import threading
import unittest

from deployment import MISSING, REFUSED, write_settings
from old_peers import KINDS, PIPE, RECORD, OldAgent, OldDispatcher, OldVolumes, Script, old_answer, value_of
from processes import DEADLINE, poll
from wire import split_address

FINE = {"script": "true", "exit": 0, "stdout": "", "stderr": "", "reqid": "r"}
EXPLANATION = ("rate-limited", "without reading its input", "not valid UTF-8")


class Unfinished:
    """A caller who has connected, and shakes hands only at finish()."""

    def __init__(self, address):
        self._plain = socket.create_connection(split_address(address), DEADLINE)

    def finish(self):
        caller = OldDispatcher()
        caller.exchange(self._plain, caller.head("GET", "/nothing", 0))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._plain.close()


class Case(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.deployment = cls.enterClassContext(OldVolumes(connect_timeout=20))

    def agent(self, **options):
        return self.enterContext(OldAgent(**options))

    def run_on(self, agent, *arguments, script="true", check=0):
        [result] = self.deployment.json("run", agent.address, script, "--", *arguments, check=check)["results"]
        return result

    def ping(self, agent, check=0):
        [result] = self.deployment.json("ping", agent.address, check=check)["results"]
        return result


class Requests(Case):
    def test_body_of_at_most_16_kib_lies_in_one_record(self):
        agent = self.agent()
        self.run_on(agent, "")
        rest = RECORD - len(agent.requests[0].body)
        for length in (1, 12_000, rest - 300, rest):  # the last ones leave little or no room for the head
            with self.subTest(length):
                self.assertEqual(self.run_on(agent, "x" * length)["exit"], 0)
                self.assertEqual(agent.requests[-1].json["args"], ["x" * length])
        self.assertEqual(len(agent.requests[-1].body), RECORD)

    def test_larger_body_fails_there_and_the_result_says_so(self):
        agent = self.agent()
        for count in (1, 10, 60):  # it closes while most of the last one is still to come
            with self.subTest(count):
                result = self.run_on(agent, *["x" * RECORD] * count, check=REFUSED)
                self.assertEqual(result["exit"], -1)
                self.assertIn("invalid JSON", result["error"])

    def test_larger_body_is_named_as_a_reason_when_it_closes_without_an_answer(self):
        agent = self.agent(answer=b"")
        self.assertNotIn("16 KiB", self.run_on(agent, "x", check=MISSING)["error"])
        self.assertIn("16 KiB", self.run_on(agent, "x" * RECORD, check=MISSING)["error"])

    def test_only_the_baseline_and_our_mark_are_sent(self):
        agent = self.agent()
        self.run_on(agent, "a b")
        self.ping(agent)
        run, ping = agent.requests
        self.assertRegex(run.line, r"^POST /run HTTP/1\.[01]$")
        self.assertRegex(ping.line, r"^POST /ping HTTP/1\.[01]$")
        self.assertEqual(sorted(run.json), ["args", "reqid", "script", "token", "username"])
        self.assertEqual(sorted(ping.json), ["reqid"])
        for each in (run, ping):
            self.assertEqual(sorted(name.lower() for name, _ in each.headers),
                             ["connection", "content-length", "content-type", "host", "x-ctrl-exec"])
            self.assertEqual(value_of(each.headers, "connection"), "close")
            self.assertEqual(value_of(each.headers, "x-ctrl-exec"), "1")
            self.assertRegex(each.json["reqid"], r"^[0-9a-f]{16}$")

    def test_serial_that_the_dispatcher_shows_is_the_text_that_was_stored(self):
        self.assertEqual(self.ping(self.agent(trusted="02"))["status"], "ok")
        new = self.deployment.directory / "new.conf"
        write_settings(new, {**self.deployment.settings, "cert": self.deployment.directory / "new.crt",
                             "key": self.deployment.directory / "new.key"})
        serial = self.deployment.json("setup-ctrl-exec", "--config", new)["serial"]
        [result] = self.deployment.json("ping", "--config", new, self.agent(trusted=serial).address)["results"]
        self.assertEqual(result["status"], "ok")


class Answers(Case):
    def answered(self, data, check=0):
        return self.run_on(self.agent(answer=data), check=check)

    def test_answer_as_it_was_seen_on_the_wire(self):
        result = self.answered(b"HTTP/1.0 200 OK\r\nContent-Type: application/json\r\nContent-Length: 91\r\n\r\n"
                               b'{"exit":42,"script":"exit-code","stderr":"","reqid":"r1","stdout":'
                               b'"exiting with code 42\\n"}', check=1)
        self.assertEqual((result["exit"], result["stdout"], result["stderr"]), (42, "exiting with code 42\n", ""))

    def test_403_error_is_forbidden(self):
        agent = self.agent(trusted="7f")
        result = self.run_on(agent, check=REFUSED)
        self.assertEqual((result["exit"], result["error"]), (-1, "forbidden: serial mismatch"))
        result = self.ping(agent, check=1)
        self.assertEqual((result["status"], result["error"]), ("error", "forbidden: serial mismatch"))

    def test_reason_phrases_mean_nothing(self):
        for status in (b"200 Error", b"200 Forbidden", b"200 ", b"200", b"299 Not Found"):
            with self.subTest(status):
                self.assertEqual(self.answered(old_answer(FINE, status))["exit"], 0)
        for status in (b"403 OK", b"403 ", b"403"):
            with self.subTest(status):
                result = self.answered(old_answer({"error": "certificate revoked"}, status), check=REFUSED)
                self.assertEqual(result["error"], "forbidden: certificate revoked")

    def test_exit_may_come_without_output(self):
        for exit_code, check in ((0, 0), (3, 1), ("0", 0)):
            with self.subTest(exit_code):
                result = self.answered(old_answer({"script": "true", "exit": exit_code, "reqid": "r"}), check)
                self.assertEqual((result["exit"], result["stdout"], result["stderr"]), (int(exit_code), "", ""))
                self.assertNotIn("error", result)

    def test_reqid_may_be_a_number_or_a_string(self):
        for reqid in (7, "7", 12345678901234567890, "93670bb4ba3e5aee", None):
            with self.subTest(reqid):
                self.assertEqual(self.answered(old_answer({**FINE, "reqid": reqid}))["exit"], 0)
                agent = self.agent(answer=old_answer({"status": "ok", "host": "agent1", "version": "0.8.4",
                                                      "expiry": "Feb 24 12:37:06 2029 GMT", "reqid": reqid}))
                result = self.ping(agent)
                self.assertEqual((result["status"], result["version"]), ("ok", "0.8.4"))
                self.assertEqual(result["reqid"], agent.requests[0].json["reqid"], "the one we gave it")

    def test_answers_in_unusual_shapes(self):
        body = b'{"script":"true","exit":"0","reqid":12}'
        for data in (b"HTTP/1.0 200 OK\r\n\r\n" + body, b"HTTP/1.0 202 whatever\n\n" + body,
                     b"HTTP/1.0 200 OK\ncONTENT-lENGTH:%d\n\n" % len(body) + body,
                     b"HTTP/1.1 200 OK\r\nTRANSFER-ENCODING: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)):
            with self.subTest(data):
                result = self.answered(data)
                self.assertEqual((result["exit"], result["stdout"], result["stderr"]), (0, "", ""))

    def test_nonsense_is_an_error_and_not_a_result(self):
        for data in (b"nonsense\r\n\r\n", old_answer(b"{"), old_answer(b"[]"), old_answer({"script": "true"}),
                     old_answer({"exit": "x"}), old_answer({"exit": 1000}), old_answer({"exit": True}),
                     old_answer({"exit": 0})[:-1], b"HTTP/1.0 200 OK\r\nContent-Length: 99999999999\r\n\r\n{}",
                     old_answer({"error": "internal"}, b"500 Error"),
                     old_answer({"error": "not found"}, b"404 Error")):
            with self.subTest(data):
                result = self.answered(data, check=MISSING)
                self.assertEqual(result["exit"], -1)
                self.assertTrue(result["error"])


class ClosesWithoutAByte(Case):
    """It does so for several reasons, which cannot be told apart: the error names them."""

    def assert_explained(self, text, agent):
        self.assertIn(f"{agent.address} closed the connection without an answer", text)
        for reason in EXPLANATION:
            self.assertIn(reason, text)

    def test_when_a_script_ends_before_it_reads_its_input_or_its_output_is_not_utf8(self):
        scripts = {"ignores-input": Script(reads_input=False), "binary": Script(stdout=b"\xff\xfe")}
        for goodbye in (True, False):
            agent = self.agent(scripts=scripts, goodbye=goodbye)
            for script in scripts:
                with self.subTest(script=script, goodbye=goodbye):
                    result = self.run_on(agent, script=script, check=MISSING)
                    self.assertEqual(result["exit"], -1)
                    self.assert_explained(result["error"], agent)
        output = self.deployment.dispatcher("run", agent.address, "binary", check=MISSING).stdout.decode()
        self.assert_explained(output, agent)

    def test_when_it_has_rate_blocked_us_after_ten_connections(self):
        for goodbye in (True, False):
            with self.subTest(goodbye=goodbye):
                agent = self.agent(connections_a_minute=10, goodbye=goodbye)
                commands = [self.deployment.start(self.deployment.argv("ping", agent.address), "ping")
                            for _ in range(10)]
                self.assertEqual([command.wait_exit() for command in commands], [0] * 10)
                self.assert_explained(self.ping(agent, check=1)["error"], agent)
                self.assert_explained(self.run_on(agent, "x" * 10_000, check=MISSING)["error"], agent)
                self.assertEqual(len(agent.requests), 10)

    def test_what_it_never_answers_ends_with_read_timeout(self):
        agent = self.agent(scripts={"noisy": Script(stderr=b"x" * (PIPE + 1))})
        config = self.deployment.directory / "impatient.conf"
        write_settings(config, {**self.deployment.settings, "read_timeout": 1})
        [result] = self.deployment.json("run", "--config", config, agent.address, "noisy", check=MISSING)["results"]
        self.assertRegex(result["error"], rf"timed out: no answer from {agent.address} within 1 s")


class Spared(Case):
    """One stray TCP connection can end it, and everybody waits while one handshake is not finished."""

    def hooked(self, text):
        """Words for a command whose auth hook is this script."""
        hook = self.deployment.directory / "hook"
        hook.write_text(f"#!/bin/sh\n{text}")
        hook.chmod(0o755)
        config = self.deployment.directory / "hooked.conf"
        write_settings(config, {**self.deployment.settings, "auth_hook": hook})
        return "--config", config

    def record(self, name, agent):
        agents = self.deployment.state / "agents"
        agents.mkdir(parents=True, exist_ok=True)
        (agents / f"{name}.json").write_text(json.dumps({
            "hostname": name, "ip": "127.0.0.1", "paired": "2026-11-22T12:37:06Z", "reqid": "93670bb4ba3e5aee",
            "expiry": "Feb 24 12:37:06 2029 GMT", "dispatcher_serial": "02", "serial_status": "current",
            "serial_broadcast": "", "serial_confirmed": "", "agent_port": agent.port, "lookup_by": "ip"}))

    def test_its_port_is_never_probed(self):
        agent = self.agent()
        self.record("agent1", agent)
        for words in (("ping", "agent1"), ("run", "agent1", "true"), ("ping", agent.address, "agent1"),
                      ("run", "localhost", "true", "--port", agent.port), ("list-agents",), ("list-locks",),
                      ("list-requests",), ("unpair", "agent1")):
            self.deployment.dispatcher(*words)
        self.deployment.dispatcher("run", agent.address, "true", *self.hooked("exit 1\n"), check=1)
        self.deployment.dispatcher("ping", agent.address, *self.hooked("exit 1\n"), check=1)
        self.deployment.dispatcher("run", agent.address, "not a name", check=2)
        self.assertIsNone(agent.died_of)
        self.assertEqual(len(agent.requests), 5)
        self.assertEqual(agent.connections, 5, "one connection a request")

    def test_is_connected_to_only_when_everything_is_decided(self):
        agent = self.agent()
        started, go = (self.deployment.directory / name for name in ("started", "go"))
        hook = self.hooked(f": >{started}\nuntil [ -e {go} ]; do sleep 0.02; done\n")
        command = self.deployment.start(self.deployment.argv("run", *hook, agent.address, "true"), "run")
        poll("the hook is asked", started.exists)
        self.assertEqual(agent.connections, 0)
        go.touch()
        self.assertEqual(command.wait_exit(), 0)
        self.assertEqual(agent.connections, 1)

    def test_second_run_that_is_refused_does_not_reach_it(self):
        release = threading.Event()
        self.addCleanup(release.set)
        agent = self.agent(answer=lambda _: release.wait() and old_answer(FINE))
        first = self.deployment.start(self.deployment.argv("run", agent.address, "true"), "run")
        poll("the first request is there", lambda: agent.requests)
        refused = self.deployment.json("run", agent.address, "true", check=1)
        self.assertEqual(refused["error"], "locked")
        release.set()
        self.assertEqual(first.wait_exit(), 0)
        self.assertEqual((agent.connections, agent.died_of), (1, None))

    def test_many_callers_at_once_do_not_stall_it(self):
        agent = self.agent()
        commands = [self.deployment.start(self.deployment.argv("ping", agent.address), "ping") for _ in range(8)]
        self.assertEqual([command.wait_exit() for command in commands], [0] * 8)
        self.assertEqual((agent.connections, agent.died_of), (8, None))


class Stalled(Case):
    """Another caller's unfinished handshake stalls us."""

    def setUp(self):
        self.agent = self.enterContext(OldAgent())
        self.other = self.enterContext(Unfinished(self.agent.address))
        poll("it waits for the other's handshake", lambda: self.agent.connections == 1)

    def test_we_go_on_when_the_other_has_finished(self):
        command = self.deployment.start(self.deployment.argv("ping", self.agent.address), "ping")
        self.other.finish()
        self.assertEqual(command.wait_exit(), 0)

    def test_we_say_what_we_waited_for(self):
        config = self.deployment.directory / "impatient.conf"
        write_settings(config, {**self.deployment.settings, "connect_timeout": 1})
        [result] = self.deployment.json("ping", "--config", config, self.agent.address, check=1)["results"]
        self.assertRegex(result["error"], rf"timed out: no TLS handshake with {self.agent.address} within 1 s")
        self.other.finish()


class Results(Case):
    def test_name_that_was_asked_for_stands_without_the_port(self):
        agent = self.agent()
        for name in ("127.0.0.1", "localhost"):
            for words in (("run", f"{name}:{agent.port}", "true"), ("run", name, "true", "--port", agent.port)):
                [result] = self.deployment.json(*words)["results"]
                self.assertEqual((result["host"], result["script"]), (name, "true"))
            [result] = self.deployment.json("ping", f"{name}:{agent.port}")["results"]
            self.assertEqual(result["host"], name)

    def test_what_it_calls_itself_is_shown_when_it_differs(self):
        for itself, shown in (("agent1", "agent1"), ("127.0.0.1", None)):
            self.assertEqual(self.ping(self.agent(hostname=itself)).get("reported_hostname"), shown)

    def test_what_it_says_about_itself_does_not_change_a_result(self):
        result = self.run_on(self.agent(answer=old_answer({**FINE, "host": "other", "script": "x", "rtt": "1"})))
        self.assertEqual((result["host"], result["script"]), ("127.0.0.1", "true"))
        self.assertRegex(result["reqid"], r"^[0-9a-f]{16}$")
        self.assertRegex(result["rtt"], r"^\d+ms$")

    def test_results_come_in_the_order_of_completion(self):
        fine_ping = {"status": "ok", "host": "x", "version": "0.8.4", "expiry": "x", "reqid": "r"}
        for words, answer, log in (((), fine_ping, "ping"), (("true",), FINE, "run")):
            with self.subTest(log):
                release = threading.Event()
                self.addCleanup(release.set)
                data = old_answer(answer)
                slow = self.agent(answer=lambda _, release=release, data=data: release.wait() and data)
                fast = self.agent(answer=data)
                command = self.deployment.start(self.deployment.argv(
                    "--json", log, f"127.0.0.1:{slow.port}", f"localhost:{fast.port}", *words), log)
                command.wait_log(rf"ACTION={log} .*TARGET=localhost")
                release.set()
                self.assertEqual(command.wait_exit(), 0)
                results = json.loads(command.output)["results"]
                self.assertEqual([result["host"] for result in results], ["localhost", "127.0.0.1"])


class Kinds(Case):
    """Certificates of every kind, X.509 v1 and without extensions, on both sides."""

    def test_keys_of_agent_and_dispatcher(self):
        dispatchers = {}
        for number, kind in enumerate(KINDS):
            serial = f"1{number}"
            identity = self.deployment.identity(f"dispatcher-{kind}", kind, serial)
            dispatchers[kind] = (self.config(identity), serial)
        for kind in KINDS:
            identity = self.deployment.identity(f"agent-{kind}", kind, "20")
            for dispatcher, (config, serial) in dispatchers.items():
                with self.subTest(agent=kind, dispatcher=dispatcher):
                    agent = self.agent(identity=identity, trusted=serial)
                    [result] = self.deployment.json("run", "--config", config, agent.address, "true")["results"]
                    self.assertEqual(result["exit"], 0)

    def config(self, identity):
        path = self.deployment.directory / f"{identity.key.stem}.conf"
        write_settings(path, {**self.deployment.settings, "cert": identity.certificate, "key": identity.key})
        return path

    def test_extended_key_usage_must_allow_both_roles(self):
        for usages, good in (("serverAuth,clientAuth", True), ("serverAuth", False), ("clientAuth", False)):
            with self.subTest(usages):
                identity = self.deployment.identity("web-01", "ecdsa", "21", f"extendedKeyUsage = {usages}")
                agent = OldAgent(identity=identity)
                with agent:
                    result = self.ping(agent, check=0 if good else 1)
                if not good:
                    self.assertIn("extended key usage", result["error"])


del Case  # it has no tests of its own

if __name__ == "__main__":
    unittest.main()
