"""Files that are broken, in the way or out of reach are named with a remedy; nothing is half written, nobody hangs."""

import re
import signal
import subprocess
import unittest

import hostile_files
from deployment import BIN, Deployment
from hostile_agent import post
from hostile_files import AGENT_CONF, CONF, Place
from hostile_pairing import PairingPort, sent
from hostile_tables import Port, footprint, tests_of, wait_footprint, wait_without_peers
from processes import poll

FAULT = b'{"status":"error","reason":"something is wrong at the dispatcher; its log says what"}'

PROGRAMS = {"ced": (BIN / "ctrl-exec-dispatcher", CONF), "cea": (BIN / "ctrl-exec-agent", AGENT_CONF)}


class LiveAgent(unittest.TestCase):
    """An agent that serves while files around it are broken."""

    @classmethod
    def prepare(cls):
        """What is to be done before it serves."""

    @classmethod
    def setUpClass(cls):
        cls.deployment = cls.enterClassContext(Deployment())
        cls.deployment.directory.chmod(0o755)  # so that what a row protects is what is refused
        cls.agent = cls.deployment.paired_agent("web-01", rate_limit_disable="yes")
        cls.agent.script("true", "#!/bin/sh\n")
        cls.prepare()
        cls.agent.serve()
        cls.daemon = cls.agent.daemon
        cls.port = Port(cls.agent.address, None, cls.deployment.ca / "ca.crt",
                        {"trusted": (cls.deployment.ca / "ctrl-exec.crt", cls.deployment.ca / "ctrl-exec.key")})
        cls.port.ask(post("/ping", b"{}"))
        cls.quiet = wait_without_peers(cls.daemon)
        cls.place = Place(cls.deployment.directory)

    def ask_run(self):
        return self.port.ask(post("/run", hostile_files.TRUE))

    def assert_serves(self):
        self.assertEqual(self.ask_run(), (200, hostile_files.RAN))
        wait_footprint(self.daemon, self.quiet)

    def wait_log(self, pattern, start):
        poll(f"log: {pattern}\n{self.daemon.log[start:]}",
             lambda: re.search(pattern, self.daemon.log[start:], re.M), seconds=10)


@tests_of(hostile_files.COMMANDS)
class Commands(LiveAgent):
    def execute(self, place, row):
        """(exit code, what was said); None when the command did not end."""
        program, config = PROGRAMS[row.words[0]]
        words = [word.replace("<TARGET>", self.agent.target) for word in row.words[1:]]
        other = {"user": row.user, "group": "nogroup", "extra_groups": []} if row.user else {}
        try:
            done = subprocess.run([program, "--config", place / config, *words], stdin=subprocess.DEVNULL,
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=10, check=False,
                                  env=self.deployment.environment(), **other)
        except subprocess.TimeoutExpired as late:
            return None, (late.stdout or b"").decode(errors="replace")
        return done.returncode, done.stdout.decode(errors="replace")

    def check(self, row):
        place = Place.copy(self.deployment, self.deployment.directory / f"place-{self._testMethodName}")
        self.addCleanup(place.release)
        row.broken(place)
        before = place.contents()
        code, said = self.execute(place, row)
        self.assertRegex(said, re.compile(place.fill(row.said), re.M))
        self.assertEqual(code, row.code, said)
        after = place.contents()
        changed = {name for name in {*before, *after} if before.get(name) != after.get(name)}
        self.assertEqual([name for name in sorted(changed) if not re.match(row.changes, name)], [], "what was changed")
        if row.words == hostile_files.LIST and row.code == 1 and "web-02" in row.said:
            self.assertRegex(said, "(?m)^web-01 ", "the good records are listed all the same")
        self.assert_serves()


class Runs(LiveAgent):
    def check(self, row):
        heard_before = len(self.daemon.log)
        with self.place.kept(self.file):
            self.addCleanup(self.place.release)
            row.make(self.place)
            answer = self.port.ask(post("/run", row.body))
            self.place.release()
        path = str(self.place / self.file)
        self.assertEqual(answer, (200, row.said.replace(b"<PATH>", path.encode())))
        self.wait_log(row.log.replace("<PATH>", re.escape(path)), heard_before)
        self.assert_serves()


@tests_of(hostile_files.PROGRAMS)
class Programs(Runs):
    file = hostile_files.PROGRAM

    @classmethod
    def prepare(cls):
        cls.agent.allow("broken", cls.deployment.directory / cls.file)


@tests_of(hostile_files.HOOKS)
class Hooks(Runs):
    file = hostile_files.AGENT_HOOK

    @classmethod
    def prepare(cls):
        hook = cls.deployment.directory / cls.file
        hook.write_text("#!/bin/sh\nexit 0\n")
        hook.chmod(0o755)
        with cls.agent.config.open("a") as config:
            config.write(f"auth_hook = {hook}\nauth_hook_timeout = 1\n")

    def test_caller_that_resets_while_the_hook_hangs(self):
        with self.place.kept(self.file):
            hostile_files.agent_shell("sleep 1000")(self.place)
            client = self.port.tls()
            client.send(post("/run", hostile_files.TRUE))
            poll("the hook runs", lambda: footprint(self.daemon.pid)[1] == 1)
            client.reset()
            wait_footprint(self.daemon, self.quiet)
        self.assert_serves()


@tests_of(hostile_files.RELOADS)
class Reloads(LiveAgent):
    @classmethod
    def prepare(cls):
        cls.agent.allow("also-true", cls.agent.directory / "true.sh")

    def mended(self):
        heard_before = len(self.daemon.log)
        self.daemon.signal(signal.SIGHUP)
        self.wait_log("^ACTION=reload SCRIPTS=2$", heard_before)

    def check(self, row):
        self.addCleanup(self.mended)  # so that a row that fails does not take others with it
        heard_before = len(self.daemon.log)
        with self.place.kept(row.file):
            row.broken(self.place)
            for _ in range(row.signals):
                self.daemon.signal(signal.SIGHUP)
            self.wait_log(self.place.fill(row.said), heard_before)
            self.assertEqual(self.ask_run(), row.answer)
            wait_footprint(self.daemon, self.quiet)
        self.mended()
        self.assert_serves()


class Queue(unittest.TestCase):
    """A pairing listener that waits while the files of its queue are broken."""

    @classmethod
    def setUpClass(cls):
        cls.deployment = cls.enterClassContext(Deployment())
        cls.daemon = cls.enterClassContext(cls.deployment.pairing_mode())
        cls.place = Place(cls.deployment.directory)
        cls.port = PairingPort(cls.daemon.address, None, cls.place / hostile_files.QUEUE)
        cls.good_request()
        cls.quiet = wait_without_peers(cls.daemon)

    @classmethod
    def good_request(cls):
        """A right request is queued; when its agent hangs up it is dropped again."""
        client, stored = cls.port.pair(sent(cls.port.body()))
        client.close()
        cls.daemon.wait_log(f"^ACTION=pair-end HOST=web-01 OUTCOME=gone REQID={stored['id']}$")

    def assert_waits(self):
        self.good_request()
        wait_footprint(self.daemon, self.quiet)
        self.assertEqual(self.port.waiting(), [])


@tests_of(hostile_files.WAITING_AGENTS)
class WaitingAgents(Queue):
    def check(self, row):
        client, stored = self.port.pair(sent(self.port.body()))
        with client, self.place.kept(*(f"{hostile_files.QUEUE}/{stored['id']}.{end}" for end in ("json", "approved"))):
            row.broken(self.place, stored["id"])
            self.good_request()  # the listener has looked at the file and has gone on
            done = self.deployment.dispatcher("deny", stored["id"], check=0 if row.denied else 1)
            said = (done.stdout + done.stderr).decode()
            self.assertRegex(said, re.compile(self.place.fill(row.said.replace("<ID>", stored["id"])), re.M))
            if row.denied:
                self.assertEqual(client.only_answer().json, {"status": "denied", "reason": "rejected by operator"})
                client.return_goodbye()
            client.close()
            self.daemon.wait_log(f"^ACTION=pair-end .*REQID={stored['id']}$")
        for path in (self.place / hostile_files.QUEUE).glob(f"{stored['id']}.*"):
            path.unlink()
        self.assert_waits()


@tests_of(hostile_files.QUEUES)
class Queues(Queue):
    def check(self, row):
        heard_before = len(self.daemon.log)
        with self.place.aside(row.file):
            row.make(row.file)(self.place)
            self.assertEqual(self.port.ask(sent(self.port.body())), (200, FAULT))
        reason = rf"^ACTION=pair-reject PEER=127\.0\.0\.1 REASON=.*{self.place.fill(row.log)}"
        poll(f"log: {reason}\n{self.daemon.log[heard_before:]}",
             lambda: re.search(reason, self.daemon.log[heard_before:], re.M), seconds=10)
        self.assert_waits()


del LiveAgent, Queue, Runs  # they have no tests of their own

if __name__ == "__main__":
    unittest.main()
