"""What 0.8.4 does wrong and we do not, as far as no other file here is about it."""

import contextlib
import os
import pathlib
import signal
import subprocess
import unittest

from deployment import Deployment
from old_peers import OldAgent, OldVolumes, Script, old_answer
from processes import poll
from wire import TlsClient, request


class Agent(unittest.TestCase):
    def setUp(self):
        self.deployment = self.enterContext(Deployment())
        self.agent = self.deployment.paired_agent("web-01", stdin_timeout=30)

    def ask(self, method, target, body=None, identity=None):
        """As an old dispatcher asks."""
        identity = identity or (self.deployment.ca / "ctrl-exec.crt", self.deployment.ca / "ctrl-exec.key")
        with TlsClient(self.agent.address, self.deployment.ca / "ca.crt", identity) as client:
            client.send(request(method, target, body, version="1.0"))
            return client.only_answer().json

    def run_result(self, script="true", args=()):
        return self.ask("POST", "/run", {"script": script, "args": list(args), "reqid": "r"})

    def configure(self, *lines):
        """Puts lines before what stands in agent.conf, and has the agent read it."""
        self.agent.config.write_text("".join(f"{line}\n" for line in lines) + self.original)
        count = self.agent.daemon.log.count("ACTION=reload") + 1
        self.agent.daemon.signal(signal.SIGHUP)
        self.agent.daemon.wait_log("ACTION=reload", count)

    def hook(self, text):
        path = self.agent.directory / "hook"
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)
        return path


class Reload(Agent):
    """SIGHUP makes agent.conf count as a whole, without another process or another port."""

    def setUp(self):
        super().setUp()
        self.agent.script("true", "#!/bin/sh\n")
        self.agent.script("big", "#!/bin/sh\nhead -c 100000 /dev/zero | tr '\\0' o\n")
        self.agent.script("late", "#!/bin/sh\nsleep 3\ncat | wc -c\n")
        self.original = "".join(f"{line}\n" for line in self.agent.config.read_text().splitlines()
                                if not line.startswith("stdin_timeout"))
        self.agent.serve()

    def test_hook(self):
        self.assertEqual(self.run_result()["exit"], 0)
        self.configure(f"auth_hook = {self.hook('exit 1')}")
        self.assertEqual(self.run_result()["error"], "not authorised: denied")
        self.configure()
        self.assertEqual(self.run_result()["exit"], 0)

    def test_time_limit_of_the_hook(self):
        self.configure(f"auth_hook = {self.hook('exec sleep 60')}", "auth_hook_timeout = 1")
        self.assertRegex(self.run_result()["error"], "^not authorised: .*1 s")

    def test_directories_of_scripts(self):
        self.configure("script_dirs = /nonexistent")
        self.assertEqual(self.run_result()["exit"], -1)

    def test_allowed_addresses(self):
        self.configure("allowed_ips = 192.0.2.1")
        [result] = self.deployment.json("ping", self.agent.target, check=1)["results"]
        self.assertIn("closed the connection", result["error"])
        self.configure("allowed_ips = 127.0.0.1")
        self.assertEqual(self.run_result()["exit"], 0)

    def test_limit_of_output_for_old_dispatchers(self):
        self.assertLess(len(self.run_result("big")["stdout"]), 64 * 1024)
        self.configure("legacy_output_cap = off")
        self.assertEqual(len(self.run_result("big")["stdout"]), 100_000)

    def test_time_limit_of_input(self):
        arguments = ["x" * 60_000] * 5  # more than a pipe holds
        self.assertGreater(int(self.run_result("late", arguments)["stdout"]), 300_000)
        self.configure("stdin_timeout = 1")
        self.assertLess(int(self.run_result("late", arguments)["stdout"]), 300_000)

    def test_rate_limits(self):
        stranger = self.deployment.paired_agent("web-02")
        identity = (stranger.certificate, stranger.key)
        mismatch = {"error": "serial mismatch", "status": "forbidden"}
        self.configure("rate_limit_disable = yes")
        for _ in range(12):
            self.assertEqual(self.ask("POST", "/ping", {}, identity), mismatch)
        self.configure("rate_limit_volume = 2/600/600")
        for _ in range(2):
            self.assertEqual(self.ask("POST", "/ping", {}, identity), mismatch)
        with self.assertRaises((OSError, AssertionError)):
            self.ask("POST", "/ping", {}, identity)
        self.agent.daemon.wait_log(r"ACTION=rate-block .*LIMIT=2/600/600")
        self.assertEqual(self.run_result()["exit"], 0)

    def test_revocation_list_at_another_place(self):
        revoked = self.agent.directory / "elsewhere"
        revoked.write_text(self.agent.serial.read_text())
        self.configure(f"revoked_serials = {revoked}")
        self.assertEqual(self.ask("POST", "/ping", {}), {"error": "certificate revoked"})

    def test_process_and_port_stay_the_same(self):
        pid = self.agent.daemon.pid
        listening = sockets_of(pid)
        self.assertTrue(listening)
        for _ in range(3):
            self.configure("stdin_timeout = 7")
        self.assertLessEqual(listening, sockets_of(pid))
        self.assertEqual(pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text(), "")
        self.assertEqual(self.run_result()["exit"], 0)
        self.assertTrue(self.agent.daemon.running())


def sockets_of(pid):
    """Its sockets, by which they can be told apart."""
    targets = set()
    for path in pathlib.Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            targets.add(os.readlink(path))
    return {target for target in targets if target.startswith("socket:")}


class KilledHook(Agent):
    def setUp(self):
        super().setUp()
        self.ran = self.agent.directory / "ran"
        self.agent.script("touch", f"#!/bin/sh\n: >{self.ran}\n")

    def test_on_the_agent_denies_runs_and_discovery(self):
        self.agent.config.write_text(f"auth_hook = {self.hook('kill -KILL $$')}\n" + self.agent.config.read_text())
        self.agent.serve()
        for number, name in ((9, "KILL"), (15, "TERM"), (11, "SEGV")):
            with self.subTest(name):
                self.hook(f"kill -{name} $$")
                reason = f"not authorised: the auth hook was killed by signal {number}"
                self.assertEqual(self.run_result("touch"),
                                 {"script": "touch", "exit": -1, "error": reason, "reqid": "r"})
                self.assertEqual(self.ask("GET", "/capabilities"), {"error": reason})
        self.assertFalse(self.ran.exists())

    def test_on_the_dispatcher_denies_before_anything_is_sent(self):
        self.agent.serve()
        self.deployment.config.write_text(f"auth_hook = {self.hook('kill -TERM $$')}\n"
                                          + self.deployment.config.read_text())
        for words in (("run", self.agent.target, "touch"), ("ping", self.agent.target)):
            denied = self.deployment.json(*words, check=1)
            self.assertEqual(denied, {"ok": 0, "error": "the auth hook was killed by signal 15", "code": 1})
        self.assertFalse(self.ran.exists())
        self.assertNotIn("ACTION=ping", self.agent.daemon.log)


class CommandLine(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.deployment = cls.enterClassContext(OldVolumes())

    def test_ping_prints_everything_and_exits_1_when_one_host_failed(self):
        with OldAgent() as fine, OldAgent(trusted="7f") as strict:
            for order in ((fine, strict), (strict, fine)):
                results = self.deployment.json("ping", *[f"{name}:{agent.port}" for name, agent in
                                                         zip(("127.0.0.1", "localhost"), order)], check=1)["results"]
                self.assertEqual(sorted(result["status"] for result in results), ["error", "ok"])

    def test_lock_of_a_run_is_held_until_its_answer_comes(self):
        with OldAgent(answer=lambda asked: self.while_it_runs() and old_answer(
                {"script": "true", "exit": 0, "stdout": self.seen, "stderr": "", "reqid": "r"})) as agent:
            self.target = agent.address
            [result] = self.deployment.json("run", agent.address, "true")["results"]
        self.assertEqual(result["stdout"], "127.0.0.1:true locked")
        self.assertEqual(self.deployment.json("list-locks"), {"ok": 1, "locks": []})

    def while_it_runs(self):
        [lock] = self.deployment.json("list-locks")["locks"]
        refused = self.deployment.json("run", self.target, "true", check=1)
        self.seen = f"{lock['host']}:{lock['script']} {refused['error']}"
        return True

    def test_arguments_are_utf8_as_typed_and_encoded_once(self):
        arguments = ["smörgås", "🦊", "e\u0301", "\u00c3\u00a4"]
        for locale in ("C", "C.UTF-8", "de_DE.ISO-8859-1"):
            with self.subTest(locale), OldAgent(scripts={"true": Script(stdout="ünï".encode())}) as agent:
                environment = self.deployment.environment(LC_ALL=locale, LANG=locale)
                done = self.deployment.dispatcher("run", agent.address, "true", "--", *arguments,
                                                  environment=environment)
                [asked] = agent.requests
                self.assertEqual(asked.json["args"], arguments)
                self.assertTrue("smörgås".encode() in asked.body or rb"sm\u00f6rg\u00e5s" in asked.body, asked.body)
                self.assertTrue(done.stdout.endswith("\nünï".encode()), done.stdout)

    def test_lists_are_json_also_when_there_is_nothing_yet(self):
        with Deployment(set_up=False) as empty:
            for words, answer in ((("list-locks",), '{"ok":1,"locks":[]}\n'),
                                  (("list-requests",), '{"ok":1,"requests":[]}\n'),
                                  (("list-agents",), '{"ok":1,"agents":[]}\n')):
                self.assertEqual(empty.dispatcher(*words, "--json").stdout.decode(), answer)

    def test_unknown_option_is_never_a_host(self):
        with OldAgent() as agent:
            for words in (("ping", "--verbose", agent.address), ("ping", agent.address, "-v"),
                          ("run", "--simulate", agent.address, "true"), ("run", agent.address, "true", "--force")):
                self.deployment.dispatcher(*words, check=2)
            self.assertEqual(agent.connections, 0)


class Pairing(unittest.TestCase):
    def test_code_is_printed_at_once_into_a_pipe_too(self):
        deployment = self.enterContext(Deployment())
        with deployment.pairing_mode() as listener:
            agent = deployment.agent("web-01")
            words = agent.argv("request-pairing", "--dispatcher", listener.address)
            with subprocess.Popen([str(word) for word in words], env=deployment.environment(), stdin=subprocess.DEVNULL,
                                  stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as asking:
                self.addCleanup(asking.kill)
                self.assertRegex(asking.stdout.readline(), rb"^Pairing request sent: [0-9a-f]{16}\n$")
                self.assertRegex(asking.stdout.readline(), rb"^Pairing code: \d{6}\n$")
                self.assertIsNone(asking.poll(), "before there is an answer")
                deployment.dispatcher("deny", poll("the request", deployment.requests)[0]["id"])
                asking.stdout.read()


del Agent  # it has no tests of its own

if __name__ == "__main__":
    unittest.main()
