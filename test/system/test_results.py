"""What became of each host of a run is told apart: in the table, in JSON and in the exit code."""

import socket
import unittest

from deployment import BUSY, FAILED, MISSING, REFUSED, TIMED_OUT, Deployment, write_settings
from old_peers import OldAgent, OldVolumes
from processes import poll


class Outcomes(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.deployment = cls.enterClassContext(Deployment())
        cls.agent = cls.deployment.paired_agent("web-01", kill_grace="200ms")
        cls.started = cls.deployment.directory / "started"
        cls.agent.script("good", "#!/bin/sh\necho fine\n")
        cls.agent.script("bad", "#!/bin/sh\nexit 3\n")
        cls.agent.script("killed", "#!/bin/sh\nkill -9 $$\n")
        cls.agent.script("slow", f"#!/bin/sh\necho begun\n: >{cls.started}\nexec sleep 60\n")
        cls.agent.script("stubborn", "#!/bin/sh\ntrap '' TERM\necho begun\nwhile :; do sleep 1; done\n")
        cls.agent.script("polite", "#!/bin/sh\ntrap 'echo tidied; exit 0' TERM\necho begun\nwhile :; do sleep 0.05; done\n")
        cls.agent.script("much", "#!/bin/sh\nhead -c 3000000 /dev/zero | tr '\\0' x\nhead -c 5 /dev/zero >&2\n")
        single = cls.agent.script("single", f"#!/bin/sh\n: >{cls.started}\nexec sleep 60\n")
        text = cls.agent.allowlist.read_text()
        cls.agent.allowlist.write_text(text.replace(str(single), f"{single} concurrency=1"))
        cls.agent.serve()
        with socket.create_server(("127.0.0.1", 0)) as listener:
            cls.nobody = f"127.0.0.2:{listener.getsockname()[1]}"

    def setUp(self):
        self.started.unlink(missing_ok=True)

    def outcome(self, *words, check=0, header=None):
        """The result of one host, which JSON and the header for people tell alike."""
        [result] = self.deployment.json("run", *words, check=check)["results"]
        if header:
            self.started.unlink(missing_ok=True)
            text = self.deployment.dispatcher("run", *words, check=check).stdout.decode()
            self.assertRegex(text, rf"^==> \S+  \[{header}  exit:{result['exit']}  \d+ms  req:[0-9a-f]{{16}}\]\n")
        return result

    def test_ok(self):
        self.assertEqual(self.outcome(self.agent.target, "good", header="OK")["outcome"], "ok")

    def test_failed(self):
        result = self.outcome(self.agent.target, "bad", check=FAILED, header="FAIL")
        self.assertEqual((result["outcome"], result["exit"]), ("failed", 3))

    def test_ended_by_a_signal(self):
        result = self.outcome(self.agent.target, "killed", check=FAILED, header="FAIL")
        self.assertEqual((result["outcome"], result["exit"], result["signal"]), ("failed", 126, 9))

    def test_timed_out(self):
        result = self.outcome("--timeout", "300ms", self.agent.target, "slow", check=TIMED_OUT, header="TIMED OUT")
        self.assertEqual((result["outcome"], result["exit"], result["signal"], result["timed_out"], result["stdout"]),
                         ("timed-out", 126, 15, True, "begun\n"))

    def test_timed_out_whatever_the_script_does_with_the_signal(self):
        for script, number, output in (("stubborn", 9, "begun\n"), ("polite", 15, "begun\ntidied\n")):
            with self.subTest(script):
                result = self.outcome("--timeout", "300ms", self.agent.target, script, check=TIMED_OUT)
                self.assertEqual((result["outcome"], result["exit"], result["signal"], result["stdout"]),
                                 ("timed-out", 126, number, output))

    def test_time_that_is_enough_changes_nothing(self):
        result = self.outcome("--timeout", "1m", self.agent.target, "good", header="OK")
        self.assertEqual((result["outcome"], result["stdout"]), ("ok", "fine\n"))
        self.assertNotIn("timed_out", result)

    def test_time_over_read_timeout_is_waited_for(self):
        config = self.impatient()
        [result] = self.deployment.json("--config", config, "run", "--timeout", "1500ms", self.agent.target, "slow",
                                        check=TIMED_OUT)["results"]
        self.assertEqual((result["outcome"], result["timed_out"]), ("timed-out", True))

    def impatient(self):
        config = self.deployment.directory / "impatient.conf"
        write_settings(config, {**self.deployment.settings, "read_timeout": 1})
        return config

    def test_still_running(self):
        config = self.impatient()
        result = self.outcome("--config", config, self.agent.target, "slow", check=TIMED_OUT, header="STILL RUNNING")
        self.assertEqual((result["outcome"], result["exit"], result["still_running"]), ("still-running", -1, True))
        self.assertIn("the script goes on", result["error"])
        self.deployment.dispatcher("cancel", result["reqid"], self.agent.target)

    def test_refused(self):
        result = self.outcome(self.agent.target, "reboot", check=REFUSED, header="REFUSED")
        self.assertEqual((result["outcome"], result["error"]), ("refused", "script not permitted"))

    def test_missing(self):
        result = self.outcome(self.nobody, "good", check=MISSING, header="MISSING")
        self.assertEqual((result["outcome"], result["exit"]), ("missing", -1))
        self.assertEqual(self.outcome("no-such-host.invalid", "good", check=MISSING)["outcome"], "missing")

    def test_busy_and_cancelled(self):
        with self.deployment.start(self.deployment.argv("run", "--json", self.agent.target, "single"), "run") as run:
            poll("the script runs", self.started.exists)
            # The dispatcher's lock is for the name, which another one does not have.
            target = self.agent.target.replace("127.0.0.1", "localhost")
            result = self.outcome(target, "single", check=BUSY, header="BUSY")
            self.assertEqual((result["outcome"], result["busy"], result["exit"]), ("busy", True, -1))
            self.assertRegex(result["error"], "^busy: ")
            [lock] = self.deployment.json("list-locks")["locks"]
            self.deployment.dispatcher("cancel", lock["reqid"], self.agent.target)
            self.assertEqual(run.wait_exit(), FAILED)
            self.assertRegex(run.output, '"exit":126,.*"signal":15,"cancelled":true,.*"outcome":"cancelled"')

    def test_output_that_was_cut_says_how_much_there_was(self):
        result = self.outcome(self.agent.target, "much")
        self.assertEqual((result["stdout_truncated"], result["stdout_bytes"]), (True, 3_000_000))
        self.assertNotIn("stderr_bytes", result)
        text = self.deployment.dispatcher("run", self.agent.target, "much").stdout.decode()
        self.assertIn("    WARNING: stdout was cut by the agent: the script wrote 3000000 bytes\n", text)

    def several(self, *words, check):
        done = self.deployment.dispatcher("run", self.agent.target, self.nobody, *words, check=check)
        return done.stderr.decode().splitlines()

    def test_several_hosts_have_a_last_line_and_an_exit_code_of_their_own(self):
        self.assertEqual(self.several("good", check=MISSING), ["ctrl-exec-dispatcher: 1 ok, 1 missing (127.0.0.2)"])
        self.assertEqual(self.several("bad", check=FAILED),
                         ["ctrl-exec-dispatcher: 1 failed (127.0.0.1), 1 missing (127.0.0.2)"])
        self.assertEqual(self.several("--json", "good", check=MISSING), [])

    def test_min_success(self):
        for enough, check in (("1", 0), ("50%", 0), ("2", MISSING), ("51%", MISSING)):
            with self.subTest(enough):
                self.several("--min-success", enough, "good", check=check)
        self.several("--min-success", "1", "bad", check=FAILED)


class OldAgents(unittest.TestCase):
    """What an agent of 0.8.4 cannot do is refused, and nothing is run there."""

    def test_time_and_background(self):
        deployment = self.enterContext(OldVolumes())
        agent = self.enterContext(OldAgent())
        for words, what in ((("--timeout", "5s"), "end a script in time"),
                            (("--async",), "run a script in the background")):
            with self.subTest(words):
                done = deployment.dispatcher("run", *words, agent.address, "true", check=REFUSED)
                self.assertRegex((done.stdout + done.stderr).decode(),
                                 rf"127\.0\.0\.1 is an agent of the old kind .* it cannot {what}; nothing was run")
        self.assertEqual({request.line.split()[1] for request in agent.requests}, {"/runs"})


if __name__ == "__main__":
    unittest.main()
