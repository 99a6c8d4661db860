"""A zoo of scripts that do what scripts should not. Whatever they do, their result is true and the log has it, and they
leave no process, no zombie and no descriptor behind, nor memory. The modules test_zoo… say how they are kept."""

import base64
import concurrent.futures
import contextlib
import os
import pathlib
import re
import secrets
import signal
import sys
import threading
import time

from deployment import BUILD, Deployment
from dispatcher_client import Caller
from processes import as_process_one, children_of, poll, processes_naming, state_of
from wire import request

OURS = "X-Ctrl-Exec: 1"
GIB = 1 << 30
MIB = 1 << 20
DEFAULT_LIMIT = 1 * MIB  # of output_limit
# AddressSanitizer keeps what has been freed for a while (256 MiB), so there the peak says little.
MOST_MEMORY = 16 * MIB if BUILD == "release" else 400 * MIB

BOMBER = 54321  # nobody's uid: the limit counts all processes of a user
BOMB = f"""#!{sys.executable}
import os, resource, signal, time
if os.getuid() != {BOMBER} or os.getsid(0) != os.getpid():
    raise SystemExit("this bomb explodes only within its limits")
resource.setrlimit(resource.RLIMIT_NPROC, (48, 48))
signal.signal(signal.SIGTERM, signal.SIG_IGN)
end = time.monotonic() + 15
while time.monotonic() < end:
    try:
        os.fork()
    except OSError:
        print("full", flush=True)
        time.sleep(0.01)
"""


def environment_of(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return b""  # it has ended meanwhile


def peak_of(pid):
    """VmHWM, in bytes."""
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"^VmHWM:\s+(\d+) kB$", status, re.M)[1]) * 1024


def kinds(descriptors):
    """What /proc/PID/fd leads to, without the numbers of sockets and pipes."""
    found = []
    for name in os.listdir(descriptors):
        try:
            found.append(re.sub(r"\[\d+\]", "", os.readlink(f"{descriptors}/{name}")))
        except FileNotFoundError:
            pass  # closed meanwhile
    return sorted(found)


class Zoo:
    """For a TestCase. Callers wait for the result; the agent is an ordinary process."""

    @classmethod
    def setUpClass(cls):
        cls.deployment = cls.enterClassContext(Deployment())
        directory = cls.deployment.directory
        cls.outside = directory / "outside"
        cls.outside.mkdir()
        cls.state = directory / "agent-state"
        cls.agent = cls.deployment.paired_agent("web-01", kill_grace="300ms", stdin_timeout=1, state_dir=cls.state,
                                                script_dirs=directory / "agent-web-01")
        directory.chmod(0o711)
        cls.agent.directory.chmod(0o711)
        cls.marker = f"ZOO={secrets.token_hex(8)}"
        cls.caller = Caller.of(cls.deployment)
        cls.serve()
        cls.tame = cls.animal("tame", "#!/bin/sh\necho tame\n")
        cls.outcome(cls.tame, [], secrets.token_hex(8))  # what is opened once is open now
        cls.descriptors = poll("descriptors that stay", cls.steady_descriptors)

    @classmethod
    def serve(cls):
        cls.agent.serve()
        cls.server = cls.agent.daemon.pid

    @classmethod
    def animal(cls, name, text=None, settings="", permissions=0o755, path=None):
        """Makes a script and lets the agent know; its name. All that it starts can be told by its environment."""
        path = path or cls.agent.directory / f"{name}.sh"
        if text is not None:
            path.write_text(text)
            path.chmod(permissions)
        cls.agent.allow(name, f"{path} env={cls.marker.replace('=', ':')} {settings}")
        cls.agent.command("reload")
        return name

    @classmethod
    def ask(cls, target, body):
        return cls.caller.ask(cls.agent, target, body).json

    @classmethod
    def outcome(cls, name, args, reqid, **members):
        """The answer of one who waits for it."""
        return cls.ask("/runs", {"script": name, "args": list(args), "reqid": reqid, **members})

    def follow(self, name, reqid):
        """A connection on which its output comes, line by line, and then the result."""
        client = self.enterContext(self.caller.connect(self.agent))
        client.send(request("POST", "/runs", {"script": name, "args": [], "reqid": reqid, "mode": "follow"}, OURS))
        return client

    def check_log(self, line, answer):
        self.assertIn("ACTION=run ", line)
        self.assertEqual('REASON="timed out"' in line, "timed_out" in answer, line)
        if "signal" in answer and "timed_out" not in answer:
            self.assertRegex(line, rf" SIGNAL={answer['signal']}$")

    def check_input_timeout(self, reqid):
        self.agent.daemon.wait_log(rf"^ACTION=stdin-timeout .*REQID={reqid}")

    @classmethod
    def steady_descriptors(cls):
        first = kinds(f"/proc/{cls.server}/fd")
        time.sleep(0.05)
        return kinds(f"/proc/{cls.server}/fd") == first and first

    def processes(self):
        own = os.getpid()
        return [int(entry) for entry in os.listdir("/proc") if entry.isdigit() and int(entry) != own
                and self.marker.encode() in environment_of(entry)]

    def nothing_is_left(self):
        poll("no process is left of it", lambda: not self.processes())
        poll("no zombie is left of it", lambda: all(state_of(pid) != "Z" for pid in children_of(self.server)))
        expected = self.descriptors
        poll("no descriptor is left of it", lambda: kinds(f"/proc/{self.server}/fd") == expected)

    def log_line(self, reqid):
        """The one line that tells how it went."""
        find = lambda: re.findall(rf"^ACTION=(?:run|deny|busy|job-end|job-lost) .*REQID={reqid}.*$", self.agent.daemon.log, re.M)  # noqa: E731
        lines = poll("a log line", find)
        self.assertEqual(len(lines), 1, lines)
        return lines[0]

    def release(self, name, *args, leaves=None, **members):
        """Runs it; its answer, which the log must confirm. Nothing may be left of it, but what `leaves` ends."""
        reqid = secrets.token_hex(8)
        answer = self.outcome(name, args, reqid, **members)
        self.assertEqual((answer["script"], answer["reqid"]), (name, reqid))
        line = self.log_line(reqid)
        self.assertRegex(line, rf" SCRIPT={name}( |$)")
        if "error" in answer:
            self.assertIn("ACTION=deny ", line)
            self.assertIn(answer["error"], line)
        else:
            self.assertIn(f" EXIT={answer['exit']} ", line)
            self.check_log(line, answer)
        if leaves:
            leaves()
        self.nothing_is_left()
        return answer

    def timed_out(self, name, *args, ended_by, **members):
        answer = self.release(name, *args, **members)
        self.assertEqual((answer["exit"], answer.get("timed_out"), answer.get("signal")), (126, True, ended_by), answer)
        return answer

    def not_started(self, name, reason):
        answer = self.release(name)
        self.assertEqual((answer["exit"], answer["stdout"]), (127, ""))
        self.assertIn(reason, answer["stderr"])

    # --- it starts more than it ends -----------------------------------------------------------------------------

    def test_fork_bomb_within_a_limit_of_processes(self):
        self.animal("bomb", BOMB, f"user={BOMBER} group={BOMBER} nice=19 timeout=1s")
        answer = self.timed_out("bomb", ended_by=signal.SIGKILL)
        self.assertIn("full\n", answer["stdout"])
        self.assertEqual(self.release("tame")["stdout"], "tame\n")

    def test_grandchild_holds_the_pipes(self):
        self.animal("holder", "#!/bin/sh\nsleep 1000 &\necho done\nexit 4\n")
        start = time.monotonic()
        answer = self.release("holder")
        self.assertEqual((answer["exit"], answer["stdout"]), (4, "done\n"))
        self.assertLess(time.monotonic() - start, 15)

    def test_grandchildren_that_ignore_everything_go_with_their_group(self):
        self.animal("family", "#!/bin/sh\ntrap '' HUP INT TERM\nfor i in 1 2 3; do (sleep 1000 & sleep 1000) & done\n")
        self.assertEqual(self.release("family")["exit"], 0)
        self.animal("waiting-family", "#!/bin/sh\ntrap '' HUP INT TERM\n(sleep 1000 & sleep 1000) &\nwait\n",
                    "timeout=300ms")
        self.timed_out("waiting-family", ended_by=signal.SIGKILL)

    def daemon_script(self, rest):
        """One that leaves a daemon which holds the pipes; the daemon's end, for `leaves`."""
        place = self.agent.directory / f"daemon-{secrets.token_hex(4)}"

        def end():
            [number] = self.processes()
            os.kill(number, signal.SIGKILL)

        text = (f"#!/bin/sh\n(setsid sh -c ': >{place}; exec sleep 1000' &)\n"
                f"until [ -e {place} ]; do sleep 0.02; done\necho done\n{rest}\n")
        return text, end

    def test_daemon_that_has_left_the_session_stays_and_holds_up_nothing(self):
        text, end = self.daemon_script("exit 5")
        self.animal("daemon", text)
        answer = self.release("daemon", leaves=end)
        self.assertEqual((answer["exit"], answer["stdout"]), (5, "done\n"))

    def test_daemon_does_not_hold_up_a_time_out_either(self):
        text, end = self.daemon_script("exec sleep 1000")
        self.animal("late-daemon", text, "timeout=1s")
        answer = self.timed_out("late-daemon", leaves=end, ended_by=signal.SIGTERM)
        self.assertEqual(answer["stdout"], "done\n")

    # --- it does not end -----------------------------------------------------------------------------------------

    def test_ignores_term(self):
        self.animal("stubborn", "#!/bin/sh\ntrap '' TERM\necho begun\nwhile :; do sleep 0.1; done\n", "timeout=300ms")
        answer = self.timed_out("stubborn", ended_by=signal.SIGKILL)
        self.assertEqual(answer["stdout"], "begun\n")

    def test_exits_with_0_on_term(self):
        self.animal("polite", "#!/bin/sh\ntrap 'echo ended; exit 0' TERM\nwhile :; do sleep 0.05; done\n")
        answer = self.timed_out("polite", timeout_ms=300, ended_by=signal.SIGTERM)
        self.assertEqual(answer["stdout"], "ended\n")

    def test_stops_itself(self):
        self.animal("stopped", "#!/bin/sh\nkill -STOP $$\necho continued\nsleep 1000\n", "timeout=300ms")
        answer = self.release("stopped")
        self.assertEqual((answer["exit"], answer["timed_out"]), (126, True))

    def test_closes_its_streams_and_goes_on(self):
        self.animal("silent", "#!/bin/sh\nexec >&- 2>&- <&-\nsleep 1\nexit 3\n")
        before = self.processor_time()
        answer = self.release("silent")
        self.assertEqual((answer["exit"], answer["stdout"], answer["stderr"]), (3, "", ""))
        self.assertLess(self.processor_time() - before, 0.5, "the agent waits, it does not look again and again")

    # --- input ---------------------------------------------------------------------------------------------------

    LARGE_INPUT = ["x" * 100_000] * 8  # more than a pipe holds

    def test_reads_no_input_and_ends(self):
        self.animal("deaf", "#!/bin/sh\nexit 6\n")
        self.assertEqual(self.release("deaf", *self.LARGE_INPUT)["exit"], 6)

    def test_reads_no_input_and_goes_on(self):
        self.animal("long-deaf", "#!/bin/sh\nsleep 1.5\nexit 7\n")
        answer = self.release("long-deaf", *self.LARGE_INPUT)
        self.assertEqual(answer["exit"], 7)
        self.check_input_timeout(answer["reqid"])

    def test_reads_its_input_for_ever(self):
        self.animal("reader", "#!/bin/sh\nwhile :; do cat; sleep 0.05; done\n", "timeout=500ms")
        answer = self.timed_out("reader", *self.LARGE_INPUT, ended_by=signal.SIGTERM)
        self.assertTrue(answer["stdout"].startswith("{") and answer["stdout"].rstrip().endswith("}"))
        self.assertGreater(len(answer["stdout"]), 800_000)

    # --- output --------------------------------------------------------------------------------------------------

    def forget_peak(self):
        """What it uses now; its peak counts from here on."""
        pathlib.Path(f"/proc/{self.server}/clear_refs").write_text("5")
        return peak_of(self.server)

    def processor_time(self):
        fields = pathlib.Path(f"/proc/{self.server}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def test_prints_two_gigabytes(self):
        self.animal("flood", f"#!/bin/sh\necho first\nhead -c {2 * GIB} /dev/zero\necho last\necho last >&2\n")
        before = self.forget_peak()
        answer = self.release("flood")
        self.assertLess(peak_of(self.server) - before, MOST_MEMORY)
        self.assertEqual((answer["exit"], answer["stderr"]), (0, "last\n"))
        self.assertEqual((answer["stdout_bytes"], answer["stdout_truncated"]), (2 * GIB + 11, True))
        self.assertNotIn("stderr_truncated", answer)
        text = answer["stdout"]
        self.assertTrue(text.startswith("first\n\0") and text.endswith("\0last\n"), (text[:20], text[-20:]))
        self.assertRegex(text, r"\0\n\[ctrl-exec: \d+ bytes left out\]\n\0")
        self.assertLess(len(text), DEFAULT_LIMIT + 100)

    def test_prints_for_ever_on_both_streams(self):
        self.animal("yes", "#!/bin/sh\nyes >&2 &\nexec yes\n", "timeout=500ms output_limit=64K")
        before = self.forget_peak()
        answer = self.timed_out("yes", ended_by=signal.SIGTERM)
        self.assertLess(peak_of(self.server) - before, MOST_MEMORY)
        for stream in ("stdout", "stderr"):
            self.assertGreater(answer[f"{stream}_bytes"], 64 * 1024)
            self.assertLess(len(answer[stream]), 64 * 1024 + 100)

    def test_prints_what_is_no_text(self):
        self.animal("binary", "#!/bin/sh\nprintf '\\377\\000\\303\\n\\033[2J'\nprintf 'n\\000ul' >&2\n")
        answer = self.release("binary")
        self.assertEqual(base64.b64decode(answer["stdout_b64"]), b"\xff\0\xc3\n\x1b[2J")
        self.assertEqual(answer["stdout"], "\ufffd\0\ufffd\n\x1b[2J")
        self.assertEqual(answer["stderr"], "n\0ul")
        self.assertNotIn("stderr_b64", answer)

    # --- its end -------------------------------------------------------------------------------------------------

    def test_exits_by_each_signal(self):
        self.animal("suicide", f"#!{sys.executable}\nimport os, resource, signal, sys, time\n"
                               "resource.setrlimit(resource.RLIMIT_CORE, (0, 0))\n"
                               "if int(sys.argv[1]) not in (signal.SIGKILL, signal.SIGSTOP):\n"
                               "    signal.signal(int(sys.argv[1]), signal.SIG_DFL)\n"
                               "os.kill(os.getpid(), int(sys.argv[1]))\nraise SystemExit(99)\n")
        harmless = {signal.SIGCHLD, signal.SIGCONT, signal.SIGURG, signal.SIGWINCH,
                    signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU}  # the last three stop no orphaned process group
        for number in sorted(set(signal.valid_signals()) - {signal.SIGSTOP}):
            with self.subTest(signal=number):
                answer = self.release("suicide", str(int(number)))
                expected = (99, None) if number in harmless else (126, number)
                self.assertEqual((answer["exit"], answer.get("signal")), expected)
                self.assertNotIn("timed_out", answer)

    def test_exits_by_each_status(self):
        self.animal("status", "#!/bin/sh\nexit $1\n")
        for status in (0, 1, 2, 125, 126, 127, 128, 137, 255):
            answer = self.release("status", str(status))
            self.assertEqual((answer["exit"], answer.get("signal")), (status, None))

    # --- it is no script -----------------------------------------------------------------------------------------

    def test_is_not_executable(self):
        self.animal("text", "#!/bin/sh\n", permissions=0o644)
        self.not_started("text", "text.sh: not executable; chmod +x it")

    def test_has_no_interpreter(self):
        self.animal("headless", "#!/no/such/interpreter\n")
        self.not_started("headless", "headless.sh: its interpreter or loader does not exist")
        self.animal("windows", "#!/bin/sh\r\nexit 0\r\n")
        self.not_started("windows", "Windows line ending")
        self.animal("plain", "echo plain\n")
        self.not_started("plain", "plain.sh: not a program: no #! line")
        self.animal("empty", "")
        self.not_started("empty", "empty.sh: not a program")

    def test_is_its_own_interpreter(self):
        path = self.agent.directory / "loop.sh"
        self.animal("loop", f"#!{path}\n")
        self.assertEqual(self.release("loop")["exit"], 127)

    def test_is_a_directory(self):
        path = self.agent.directory / "directory.sh"
        path.mkdir()
        self.animal("directory", path=path)
        self.not_started("directory", "directory.sh: is a directory, not a program")

    def test_is_a_symlink_out_of_script_dirs(self):
        target = self.outside / "evil.sh"
        target.write_text("#!/bin/sh\necho evil\n")
        target.chmod(0o755)
        path = self.agent.directory / "link.sh"
        path.symlink_to(target)
        self.animal("link", path=path)
        answer = self.release("link")
        self.assertEqual((answer["exit"], answer["error"]), (-1, "script not permitted"))
        self.assertIn(f"{target} lies outside script_dirs", self.log_line(answer["reqid"]))

    def test_becomes_a_symlink_out_of_script_dirs(self):
        self.animal("changeling", "#!/bin/sh\necho good\n")
        self.assertEqual(self.release("changeling")["stdout"], "good\n")
        path = self.agent.directory / "changeling.sh"
        path.unlink()
        path.symlink_to("/bin/sh")
        self.assertEqual(self.release("changeling")["error"], "script not permitted")

    def test_is_a_device_or_a_pipe(self):
        path = self.agent.directory / "pipe.sh"
        os.mkfifo(path)
        path.chmod(0o755)
        self.animal("pipe", path=path)
        self.assertEqual(self.release("pipe")["exit"], 127)

    # --- it changes while it runs --------------------------------------------------------------------------------

    def while_it_runs(self, name, change):
        """Its answer, when `change` is called after it has begun."""
        gate = self.agent.directory / f"gate-{secrets.token_hex(4)}"
        os.mkfifo(gate)
        self.animal(name, f"#!/bin/sh\necho begun\nread line <{gate}\necho ended\n")
        reqid = secrets.token_hex(8)
        client = self.follow(name, reqid)
        self.assertEqual(client.read_head().status, 200)
        self.assertIn(b'"begun\\n"', client.read_line())
        change(self.agent.directory / f"{name}.sh")
        gate.write_text("go\n")
        while b'"result"' not in (line := client.read_line()):
            pass
        client.close()
        self.assertRegex(self.log_line(reqid), " EXIT=0 ")
        self.nothing_is_left()
        return line

    def test_is_replaced_while_it_runs(self):
        def replace(path):
            new = path.with_suffix(".new")
            new.write_text("#!/bin/sh\necho other\n")
            new.chmod(0o755)
            new.rename(path)

        self.assertIn(b'"stdout":"begun\\nended\\n"', self.while_it_runs("replaced", replace))
        self.assertEqual(self.release("replaced")["stdout"], "other\n")

    def test_is_removed_while_it_runs(self):
        self.assertIn(b'"stdout":"begun\\nended\\n"', self.while_it_runs("removed", pathlib.Path.unlink))
        answer = self.release("removed")
        self.assertEqual((answer["exit"], answer["error"]), (-1, "script not permitted"))
        self.assertIn("removed.sh cannot be resolved", self.log_line(answer["reqid"]))

    def test_is_taken_off_the_allowlist_while_it_runs(self):
        def disallow(_):
            self.agent.command("disallow", "forbidden")

        self.assertIn(b'"stdout":"begun\\nended\\n"', self.while_it_runs("forbidden", disallow))
        self.assertEqual(self.release("forbidden")["error"], "script not permitted")

    # --- all of it -----------------------------------------------------------------------------------------------

    def test_many_at_once_do_not_meet_each_other(self):
        for name, text, settings in (
                ("herd-holder", "#!/bin/sh\nsleep 1000 &\necho $1\n", ""),
                ("herd-stubborn", "#!/bin/sh\ntrap '' TERM\necho $1\nsleep 1000\n", "timeout=500ms"),
                ("herd-killed", "#!/bin/sh\necho $1\nkill -KILL $$\n", ""),
                ("herd-flood", f"#!/bin/sh\necho $1\nhead -c {8 * MIB} /dev/zero\n", "output_limit=1K"),
                ("herd-deaf", "#!/bin/sh\nexec <&-\necho $1\n", "")):
            self.animal(name, text, settings)

        def go(number):
            kind = ("holder", "stubborn", "killed", "flood", "deaf")[number % 5]
            answer = self.outcome(f"herd-{kind}", [str(number)], secrets.token_hex(8))
            return kind, answer["exit"], answer["stdout"].split("\n")[0] == str(number)

        with concurrent.futures.ThreadPoolExecutor(16) as pool:
            ended = set(pool.map(go, range(60)))
        self.assertEqual(ended, {("holder", 0, True), ("stubborn", 126, True), ("killed", 126, True),
                                 ("flood", 0, True), ("deaf", 0, True)})
        self.nothing_is_left()


class ProcessOne:
    """Before Zoo: the agent is process 1, and has to reap whatever becomes an orphan."""

    @classmethod
    def serve(cls):
        daemon = cls.deployment.start(as_process_one(cls.agent.argv("serve")), "serve").wait_listening()
        cls.init = children_of(daemon.pid)[0]
        [cls.server] = children_of(cls.init)
        cls.agent.daemon, cls.agent.address, cls.agent.target = daemon, daemon.address, daemon.address

        def end():
            os.kill(cls.init, signal.SIGTERM)
            if daemon.wait_exit() != 0:
                raise AssertionError(daemon.describe())

        cls.addClassCleanup(end)

    def nothing_is_left(self):
        super().nothing_is_left()
        poll("process 1 has the server alone", lambda: children_of(self.init) == [self.server])


class Detached:
    """Before Zoo: scripts are jobs under a supervisor, and callers ask for their result later."""

    @classmethod
    def outcome(cls, name, args, reqid, **members):
        answer = super().outcome(name, args, reqid, mode="detach", **members)
        if "error" in answer:
            return answer
        if answer["status"] != "accepted":
            raise AssertionError(answer)
        return poll(f"the end of {name}", lambda: cls.state_of_job(reqid).get("result"))

    @classmethod
    def state_of_job(cls, reqid):
        with cls.caller.connect(cls.agent) as client:
            client.send(request("GET", f"/result/{reqid}", None, OURS, "Prefer: wait=20"))
            return client.read_answer().json

    def follow(self, name, reqid):
        self.ask("/runs", {"script": name, "args": [], "reqid": reqid, "mode": "detach"})
        client = self.enterContext(self.caller.connect(self.agent))
        client.send(request("POST", "/follow", {"reqid": reqid}, OURS))
        return client

    def check_log(self, line, answer):
        self.assertIn("ACTION=job-end ", line)

    def check_input_timeout(self, reqid):
        """Nobody but the supervisor knows of it, and the result does not depend on it."""

    def nothing_is_left(self):
        super().nothing_is_left()
        poll("no supervisor is left", lambda: not processes_naming(self.state))

    def test_prints_two_gigabytes(self):
        peaks, over = {}, threading.Event()

        def watch():
            while not over.wait(0.05):
                for pid in processes_naming(self.state):
                    with contextlib.suppress(OSError, TypeError):  # it ends
                        peaks[pid] = peak_of(pid)

        watcher = threading.Thread(target=watch)
        watcher.start()
        try:
            super().test_prints_two_gigabytes()
        finally:
            over.set()
            watcher.join()
        self.assertLess(max(peaks.values()), MOST_MEMORY + 32 * MIB, "of the supervisor, its code included")
        kept = sum(path.stat().st_size for path in self.state.rglob("*") if path.is_file())
        self.assertLess(kept, 32 * MIB, "what all jobs have left on the disk")
