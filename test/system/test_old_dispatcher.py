"""Our agent with dispatchers of version 0.8.4: how they ask, what they can take, and how they are told from ours."""

import json
import signal
import unittest

from old_peers import BASELINE_RUN, KINDS, OLD, Hangs, OldDispatcher, OldVolumes, value_of
from wire import TlsClient, request

LIMIT = 60 * 1024  # of an answer to an old dispatcher
SCRIPTS = {
    "true": "#!/bin/sh\n",
    "args": "#!/bin/sh\nprintf '%s|' $# \"$@\"\n",
    "input": "#!/bin/sh\ncat\n",
    "fails": "#!/bin/sh\necho out\necho oops >&2\nexit 3\n",
    "killed": "#!/bin/sh\nkill -9 $$\n",
    "binary": "#!/bin/sh\nprintf 'a\\377\\000'\nprintf '\\303(' >&2\n",
    "big": "#!/bin/sh\nout() { yes \"$1\" | tr -d '\\n' | head -c $2; }\nout \"$1\" $2\nout \"$1\" $3 >&2\n",
}


class Case(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.deployment = cls.enterClassContext(OldVolumes())
        cls.agent = cls.paired("agent2")
        cls.agent.serve()
        cls.dispatcher = OldDispatcher()

    @classmethod
    def paired(cls, name, **settings):
        agent = cls.deployment.paired_agent(name, rate_limit_disable="yes", **settings)
        for script, text in SCRIPTS.items():
            agent.script(script, text)
        return agent

    def run_on_agent(self, script, args=(), turn=0):
        return self.dispatcher.run(self.agent.address, script, args, turn)


class Requests(Case):
    def test_headers_and_members_come_in_any_order(self):
        for turn in range(6):
            with self.subTest(turn):
                result = self.run_on_agent("args", ["a", "b c"], turn)
                self.assertEqual((result["exit"], result["stdout"], result["reqid"]),
                                 (0, "2|a|b c|", "63b9006541c68492"))
                answer = self.dispatcher.call(self.agent.address, "GET", "/capabilities", turn=turn)
                self.assertEqual(answer.status, 200)

    def test_arguments_may_be_numbers_booleans_and_null(self):
        given = [1, 0, -7, 1.5, 12345678901234567890, True, False, None, "x", "1"]
        become = ["1", "0", "-7", "1.5", "12345678901234567890", "1", "0", "", "x", "1"]
        self.assertEqual(self.run_on_agent("args", given)["stdout"].split("|")[1:-1], become)
        self.assertEqual(json.loads(self.run_on_agent("input", given)["stdout"])["args"], become)

    def test_server_name_is_whatever_the_host_is_called(self):
        for name in ("agent2", "agent2.example.net", "another-name", "127.0.0.1"):
            with self.subTest(name):
                self.assertEqual(OldDispatcher(name=name).run(self.agent.address, "true")["exit"], 0)

    def test_no_application_protocol_is_negotiated(self):
        answer = self.dispatcher.call(self.agent.address, "POST", "/ping", b"{}")
        self.assertEqual((answer.status, answer.protocol), (200, None))


class Answers(Case):
    def bodies(self):
        run = {"script": "fails", "args": [], "reqid": "r"}
        yield "POST", "/run", run, BASELINE_RUN
        for script in ("killed", "binary"):
            yield "POST", "/run", {**run, "script": script}, BASELINE_RUN
        yield "POST", "/run", {**run, "script": "nope"}, ["script", "exit", "error", "reqid"]
        yield "POST", "/run", {**run, "args": {}}, ["script", "exit", "error", "reqid"]
        yield "POST", "/ping", {"reqid": "r"}, ["status", "host", "version", "expiry", "reqid"]
        yield "GET", "/capabilities", None, ["status", "host", "version", "scripts", "tags"]
        yield "GET", "/nothing", None, ["error"]

    def test_only_the_baseline_is_in_them_and_our_mark(self):
        for method, target, body, members in self.bodies():
            with self.subTest(f"{target} {body}"):
                data = b"" if body is None else json.dumps(body).encode()
                answer = self.dispatcher.call(self.agent.address, method, target, data)
                self.assertRegex(answer.line, r"^HTTP/1\.0 [24]\d\d \w")
                self.assertEqual([name.lower() for name, _ in answer.headers],
                                 ["content-type", "content-length", "x-ctrl-exec"])
                self.assertEqual(value_of(answer.headers, "x-ctrl-exec"), "1")
                self.assertEqual(sorted(answer.json), sorted(members))

    def test_capabilities_name_the_agent_as_it_calls_itself(self):
        result = OldDispatcher(name="another-name").capabilities(self.agent.address)
        self.assertEqual(result["host"], "agent2")
        self.assertEqual([script["name"] for script in result["scripts"]], sorted(SCRIPTS))

    def test_output_that_is_not_utf8_is_replaced_visibly(self):
        result = self.run_on_agent("binary")
        self.assertEqual((result["stdout"], result["stderr"]), ("a\ufffd\0", "\ufffd("))

    def test_every_refusal_bears_our_mark(self):
        head = b"POST /run HTTP/1.1\r\n"
        for data, status in ((b"nonsense\r\n\r\n", 400), (head + b"Content-Length: 2000000\r\n\r\n", 413),
                             (head + b"A: b\r\n" * 33 + b"\r\n", 431), (head + b"A: " + b"b" * 8192 + b"\r\n\r\n", 431),
                             (b"GET /nothing HTTP/1.1\r\n\r\n", 404)):
            with self.subTest(status):
                answer = self.dispatcher.send(self.agent.address, data)
                self.assertEqual((answer.status, value_of(answer.headers, "x-ctrl-exec")), (status, "1"))

    def test_no_header_line_grows_with_what_was_asked(self):
        reqid = "r" * 20_000
        result = self.dispatcher.run(self.agent.address, "true", reqid=reqid)
        self.assertEqual((result["exit"], result["reqid"]), (0, reqid[:1024]))


class Refusals(Case):
    """What an old dispatcher makes of our 403: "forbidden: " and the member `error`."""

    def assert_forbidden(self, caller, run, discovery):
        for result, reason in ((caller.run(self.agent.address, "true"), run), (caller.ping(self.agent.address), run),
                               (caller.capabilities(self.agent.address), discovery)):
            self.assertEqual(result["error"], f"forbidden: {reason}")

    def test_untrusted_serial(self):
        stranger = OldDispatcher(self.deployment.identity("stranger", "ecdsa", "0b"))
        self.assert_forbidden(stranger, "serial mismatch", "forbidden")

    def test_revoked_serial(self):
        revoked = self.agent.directory / "revoked-serials"
        revoked.write_text("02\n")
        self.agent.daemon.signal(signal.SIGHUP)
        self.agent.daemon.wait_log("ACTION=reload")
        self.assert_forbidden(self.dispatcher, "certificate revoked", "certificate revoked")


class Size(Case):
    """A result over 64 KiB makes an old dispatcher wait for good."""

    def test_large_results_are_cut_visibly(self):
        for text, *sizes in (("o", 300_000, 0), ("o", 0, 300_000), ("o", 62_000, 0), ("o", 31_000, 31_000),
                             ("\\", 100_000, 10), ("ä", 100_000, 100_000), ("\x01", 50_000, 50_000),
                             ("🦊", 61_000, 0)):
            with self.subTest(text=text, sizes=sizes):
                body = json.dumps({"script": "big", "args": [text, *map(str, sizes)], "reqid": "r"}).encode()
                answer = self.dispatcher.call(self.agent.address, "POST", "/run", body)
                self.assertLessEqual(len(answer.body), LIMIT)
                result = self.dispatcher.result(answer)
                self.assertEqual((result["exit"], result["reqid"]), (0, "r"))
                for name, size in zip(("stdout", "stderr"), sizes):
                    if len(result[name].encode()) != size:
                        self.assertRegex(result[name], r"\n\[ctrl-exec: cut here; \d+ bytes in all\]\n$")
                        self.assertIn(f" {size} bytes", result[name])
                self.assertGreater(len(answer.body), LIMIT / 2, "as much as fits")
                self.assertRegex(result["stdout"] + result["stderr"], "cut here")

    def test_result_that_fits_is_whole(self):
        result = self.run_on_agent("big", ["o", "50000", "5000"])
        self.assertEqual((result["stdout"], result["stderr"]), ("o" * 50_000, "o" * 5000))

    def test_refusal_of_a_long_name_does_not_hang_it(self):
        self.assertEqual(self.run_on_agent("x" * 100_000)["error"], "script not permitted")

    def test_caller_of_ours_gets_everything(self):
        identity = (self.deployment.ca / "ctrl-exec.crt", self.deployment.ca / "ctrl-exec.key")
        with TlsClient(self.agent.address, OLD / "ca.crt", identity) as client:
            client.send(request("POST", "/run", {"script": "big", "args": ["o", "200000", "100000"], "reqid": "r"},
                                "X-Ctrl-Exec: 1", "Connection: close"))
            result = client.only_answer().json
        self.assertEqual((len(result["stdout"]), len(result["stderr"])), (200_000, 100_000))

    def test_many_scripts_and_tags_do_not_hang_it(self):
        agent = self.paired("many")
        for i in range(1500):
            agent.allow(f"script-{i}-of-many", agent.directory / "true.sh")
        agent.serve()
        answer = self.dispatcher.call(agent.address, "GET", "/capabilities")
        self.assertLessEqual(len(answer.body), LIMIT)
        result = self.dispatcher.result(answer)
        self.assertEqual((result["status"], result["truncated"]), ("ok", True), "the visible marker")
        self.assertGreater(len(result["scripts"]), 100, "as much as fits")

    def test_cap_can_be_switched_off(self):
        agent = self.paired("uncapped", legacy_output_cap="off")
        agent.serve()
        binary = json.dumps({"script": "binary", "args": [], "reqid": "r"}).encode()
        answer = self.dispatcher.call(agent.address, "POST", "/run", binary)
        self.assertEqual(sorted(answer.json), sorted(BASELINE_RUN), "which is all that it lifts")
        with self.assertRaises(Hangs):
            self.dispatcher.run(agent.address, "big", ["o", "200000", "0"])


class Serials(Case):
    def trust(self, text):
        """Has the agent read this as the serial of its dispatcher."""
        count = self.agent.daemon.log.count("ACTION=reload") + 1
        self.agent.serial.write_text(text)
        self.agent.daemon.signal(signal.SIGHUP)
        self.agent.daemon.wait_log("ACTION=reload", count)

    def test_stored_text_is_compared_as_a_number(self):
        for serial, texts in (("02", ("02\n", "02", "2", "002", "0002\n")), ("0a", ("0a", "0A", "a\n", "00A")),
                              ("ffee", ("ffee\n", "FFEE", "0ffee", "00FFee")),
                              ("80", ("80", "0080")),
                              ("00f1" + "e" * 28, ("f1" + "e" * 28, "F1" + "E" * 28))):
            caller = self.caller(serial)
            for text in texts:
                with self.subTest(serial=serial, text=text):
                    self.trust(text)
                    self.assertEqual(caller.ping(self.agent.address).get("status"), "ok")

    def test_other_numbers_are_not_trusted(self):
        for serial, texts in (("02", ("20\n", "0200", "12", "")), ("03", ("02\n",)), ("0a", ("10\n", "a0"))):
            caller = self.caller(serial)
            for text in texts:
                with self.subTest(serial=serial, text=text):
                    self.trust(text)
                    self.assertEqual(caller.ping(self.agent.address)["error"], "forbidden: serial mismatch")

    def test_next_certificate_counts_on_and_is_trusted_when_it_is_stored(self):
        for serial in ("03", "04"):
            caller = self.caller(serial)
            self.trust("02\n")
            self.assertEqual(caller.ping(self.agent.address)["error"], "forbidden: serial mismatch")
            self.trust(f"{serial}\n")
            self.assertEqual(caller.run(self.agent.address, "true")["exit"], 0)

    def caller(self, serial):
        if serial == "02":
            return self.dispatcher
        return OldDispatcher(self.deployment.identity(f"serial-{serial}", "ecdsa", serial))


class Kinds(Case):
    """Certificates of every kind, X.509 v1 and without extensions, on both sides."""

    def test_keys_of_dispatcher_and_agent(self):
        callers = {kind: OldDispatcher(self.deployment.identity(f"dispatcher-{kind}", kind, "20")) for kind in KINDS}
        for kind in KINDS:
            agent = self.paired(f"agent-{kind}")
            identity = self.deployment.identity(f"agent-{kind}", kind, "21")
            agent.certificate.write_bytes(identity.certificate.read_bytes())
            agent.key.write_bytes(identity.key.read_bytes())
            agent.serial.write_text("20\n")
            with agent.serve().daemon:
                for caller, dispatcher in callers.items():
                    with self.subTest(dispatcher=caller, agent=kind):
                        self.assertEqual(dispatcher.run(agent.address, "true")["exit"], 0)

    def test_extended_key_usage_must_allow_both_roles(self):
        self.agent.serial.write_text("22\n")
        self.agent.daemon.signal(signal.SIGHUP)
        self.agent.daemon.wait_log("ACTION=reload")
        self.assertEqual(self.caller("serverAuth,clientAuth").ping(self.agent.address)["status"], "ok")
        for count, usages in enumerate(("clientAuth", "serverAuth"), 1):
            with self.subTest(usages), self.assertRaises(OSError):
                self.caller(usages).ping(self.agent.address)
            self.agent.daemon.wait_log("ACTION=tls-failure .*extended key usage", count)

    def caller(self, usages):
        return OldDispatcher(self.deployment.identity("usages", "ecdsa", "22", f"extendedKeyUsage = {usages}"))


del Case  # it has no tests of its own

if __name__ == "__main__":
    unittest.main()
