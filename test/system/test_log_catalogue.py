"""Every event of the log, by name: ACTION first, then KEY=value sorted by key, one REQID on both sides of a run."""

import re
import socket
import signal
import ssl
import subprocess
import unittest

from deployment import REFUSED, Deployment
from pairing_v2 import V2Agent
from processes import poll
from wire import TlsClient, make_csr, request, split_address

REQID = "[0-9a-f]{16}"
ID = "(legacy-)?[0-9a-f]+"  # of the dispatcher
ADDRESS = r"(127\.0\.0\.1|\[::\]):\d+"

DISPATCHER = {
    "dispatch": rf"HOSTS=127\.0\.0\.1:\d+ REQID={REQID} SCRIPT=ok USER=operator",
    "auth": r"REQUEST=run RESULT=allow SCRIPT=ok USER=operator",
    "auth denied": r"REASON=\"bad credentials\" REQUEST=ping RESULT=deny USER=operator",
    "run": rf"EXIT=0 REQID={REQID} RTT=\d+ms SCRIPT=ok TARGET=127\.0\.0\.1",
    "ping": rf"REQID={REQID} RTT=\d+ms STATUS=ok TARGET=127\.0\.0\.1",
    "run-submit": rf"REQID={REQID} SCRIPT=ok STATE=accepted TARGET=127\.0\.0\.1",
    "run-cancel": rf"REQID={REQID} STATE=(cancelling|done) TARGET=127\.0\.0\.1",
    "lock-acquire": rf"REQID={REQID} SCRIPT=ok TARGET=127\.0\.0\.1",
    "lock-release": rf"REQID={REQID} SCRIPT=ok TARGET=127\.0\.0\.1",
    "lock-conflict": rf"REQID={REQID} SCRIPT=slow TARGET=127\.0\.0\.1",
    "pairing-mode-start": rf"ADDRESS={ADDRESS}",
    "pairing-mode-stop": "",
    "pair-request": rf"CODE=\d{{6}} HOST=web-01 PAIR_V=2 PEER=127\.0\.0\.1 REQID={REQID}",
    "pair-approve": rf"HOST=web-01 PEER=127\.0\.0\.1 REQID={REQID} SERIAL=[0-9a-f]+ TRUST=unchecked",
    "pair-sas-mismatch": rf"HOST=web-01 PEER=127\.0\.0\.1 REQID={REQID}",
    "pair-commit-mismatch": rf"HOST=web-04 PEER=127\.0\.0\.1 REASON=\"[^\"]+\" REQID={REQID}",
    "join-token-create": rf"EXPIRES=\S+ KID={REQID} USES=1",
    "join-token-revoke": f"KID={REQID}",
    "join": rf"HOST=web-05 KID={REQID} PEER=127\.0\.0\.1 REQID={REQID} SERIAL=[0-9a-f]+",
    "join-refuse": rf"HOST=web-06 KID={REQID} PEER=127\.0\.0\.1 REASON=\"join token used up\"",
    "pair-deny": rf"HOST=web-02 PEER=127\.0\.0\.1 REQID={REQID}",
    "pair-reject": r"PEER=127\.0\.0\.1 REASON=\"[^\"]+\"",
    "unpair": "HOST=web-01",
}

AGENT = {
    "start": rf"ADDRESS={ADDRESS} HOST=web-01 VERSION=\d+\.\d+\.\d+",
    "run": rf"DISPATCHER={ID} EXIT=0 PEER=127\.0\.0\.1 REQID={REQID} SCRIPT=ok",
    "ping": rf"DISPATCHER={ID} PEER=127\.0\.0\.1 REQID={REQID}",
    "capabilities": rf"DISPATCHER={ID} PEER=127\.0\.0\.1",
    "deny": rf"DISPATCHER={ID} PEER=127\.0\.0\.1 REASON=\"script not permitted \(not in the allowlist\)\" REQID={REQID} SCRIPT=missing",
    "serial-reject": r"PEER=127\.0\.0\.1 SERIAL=[0-9a-f]+",
    "revoked-cert": r"PEER=127\.0\.0\.1 SERIAL=[0-9a-f]+",
    "capabilities-deny": r"PEER=127\.0\.0\.1 SERIAL=[0-9a-f]+",
    "tls-failure": r"PEER=127\.0\.0\.3 REASON=.+",
    "ip-block": r"PEER=127\.0\.0\.2",
    "rate-block": r"KIND=probe LIMIT=5/600/3600 PEER=127\.0\.0\.3",
    "rate-evict": r"PEER=127\.1\.0\.\d+",
    "config-warn": r"TEXT=\"[^\"]*unknown key 'colour' is ignored\"",
    "stdin-timeout": rf"DISPATCHER={ID} REQID={REQID} SCRIPT=deaf",
    "pair-complete": "HOST=web-01 PAIR_V=2 TRUST=tofu",
    "pair-timeout": "HOST=web-03 REASON=.+",
    "pair-denied": "HOST=web-02 REASON=\"pairing denied: rejected by operator\"",
}


class Catalogue(unittest.TestCase):
    """One deployment in which everything happens once; each test looks for its event."""

    @classmethod
    def setUpClass(cls):
        cls.deployment = cls.enterClassContext(Deployment())
        hook = cls.deployment.directory / "hook"
        hook.write_text("#!/bin/sh\n[ \"$ENVEXEC_TOKEN\" != wrong-tOkEn ] || exit 2\n")
        hook.chmod(0o755)
        with cls.deployment.config.open("a") as config:
            config.write(f"auth_hook = {hook}\n")
        cls.commands = ""  # the log of the dispatcher's commands
        cls.pair()
        cls.call()
        cls.command("unpair", "web-01")

    @classmethod
    def command(cls, *words, check=0):
        done = cls.deployment.dispatcher(*words, check=check, environment=cls.deployment.environment(log="stderr"))
        cls.commands += done.stderr.decode()
        return done.stdout.decode()

    @classmethod
    def pair(cls):
        with cls.deployment.pairing_mode() as listener:
            cls.agent = cls.deployment.agent("web-01", rate_limit_probe="5/600/3600", stdin_timeout=1, colour="green",
                                             state_dir=cls.deployment.directory / "jobs",
                                             allowed_ips="127.0.0.1, 127.0.0.3, 127.1.0.0/16")
            denied, forgotten = cls.deployment.agent("web-02"), cls.deployment.agent("web-03")
            asking = [agent.request_pairing(listener) for agent in (cls.agent, denied)]
            waiting = cls.deployment.wait_request("web-01")
            wrong = "0000-0000" if waiting["sas"] != "0000-0000" else "0000-0001"
            cls.command("approve", waiting["id"], "--sas", wrong, check=1)
            cls.command("approve", waiting["id"])
            cls.command("deny", cls.deployment.wait_request("web-02")["id"])
            waiting = forgotten.request_pairing(listener, "--timeout", "1")
            for process in (*asking, waiting):
                process.wait_exit()
            with TlsClient(listener.address) as client:
                client.send(request("POST", "/pair", {"hostname": "../x", "csr": make_csr("x"), "nonce": "00"}))
                client.read_answer()
            cls.join(listener)
            cls.other = cls.deployment.agent("other")
            cls.other.pair(listener)
        cls.listener_log = listener.log
        cls.agent_commands = "".join(process.log for process in (*asking, waiting))

    @classmethod
    def join(cls, listener):
        with V2Agent(listener.address, "web-04") as liar:
            liar.ask()
            liar.reveal(sas_nonce="00" * 32)
            liar.read_last()
        token = cls.command("join-token", "create").strip()
        for name, end in (("web-05", V2Agent.pair), ("web-06", V2Agent.ask)):
            with V2Agent(listener.address, name, token) as agent:
                end(agent)
        cls.command("join-token", "revoke", token.split("_")[1])

    @classmethod
    def call(cls):
        agent = cls.agent
        started = cls.deployment.directory / "started"
        agent.script("ok", "#!/bin/sh\ncat\n")
        agent.script("deaf", "#!/bin/sh\nsleep 1.5\n")
        agent.script("slow", f"#!/bin/sh\n: >{started}\nexec sleep 60\n")
        agent.serve()
        cls.command("--token", "secret-tOkEn", "run", agent.target, "ok", "--", "secret-argument\n")
        cls.command("run", agent.target, "missing", check=REFUSED)
        reqid = cls.command("run", "--async", agent.target, "ok").strip()
        cls.command("cancel", reqid)
        cls.command("wait", reqid, check=None)
        cls.command("ping", agent.target)
        cls.command("--token", "wrong-tOkEn", "ping", agent.target, check=1)
        # More than a pipe takes, so that the agent cannot be done with it before the script has ended.
        cls.command("run", agent.target, "deaf", "--", "x" * 100_000)
        slow = cls.deployment.start(cls.deployment.argv("run", agent.target, "slow"), "slow")
        poll("the script runs", started.exists)
        cls.command("run", agent.target, "slow", check=1)
        slow.kill()
        cls.ask((cls.deployment.ca / "ctrl-exec.crt", cls.deployment.ca / "ctrl-exec.key"), "GET", "/capabilities")
        other = (cls.other.certificate, cls.other.key)
        cls.ask(other, "GET", "/capabilities")
        cls.ask(other, "POST", "/ping")
        serial = subprocess.run(["openssl", "x509", "-in", cls.other.certificate, "-noout", "-serial"], check=True,
                                capture_output=True, text=True).stdout
        (agent.directory / "revoked-serials").write_text(serial)
        agent.daemon.process.send_signal(signal.SIGHUP)
        agent.daemon.wait_log("^ACTION=reload")
        cls.ask(other, "POST", "/ping")
        cls.knock("127.0.0.2", "^ACTION=ip-block")
        for _ in range(5):
            cls.knock("127.0.0.3")
        agent.daemon.wait_log("^ACTION=rate-block")
        for number in range(4100):
            cls.knock(f"127.1.{number >> 8}.{number & 255}")
        agent.daemon.wait_log("^ACTION=rate-evict")
        agent.daemon.stop()

    @classmethod
    def ask(cls, identity, method, target):
        with TlsClient(cls.agent.address, cls.deployment.ca / "ca.crt", identity) as client:
            client.send(request(method, target, {} if method == "POST" else None, version="1.0"))
            client.only_answer()

    @classmethod
    def knock(cls, source, event=None):
        """A TCP connection from that address, closed when the agent has closed it."""
        with socket.create_connection(split_address(cls.agent.address), source_address=(source, 0)) as plain:
            plain.shutdown(socket.SHUT_WR)
            try:
                while plain.recv(4096):
                    pass
            except ConnectionResetError:
                pass
        if event:
            cls.agent.daemon.wait_log(event)

    def lines(self):
        dispatcher = self.commands + self.listener_log
        return [line for line in (dispatcher + self.agent.daemon.log + self.agent_commands).splitlines()
                if line.startswith("ACTION=")]

    def test_every_line_has_its_action_first_and_its_keys_sorted(self):
        value = r'("(?:[^"\\\n]|\\.)*"|[^ "=\\]+)'
        for line in self.lines():
            self.assertRegex(line, rf"^ACTION=[a-z-]+( [A-Z_]+={value})*$")
            keys = [match[0] for match in re.findall(rf" ([A-Z_]+)={value}", line)]
            self.assertEqual(keys, sorted(set(keys)), line)

    def test_the_same_reqid_is_on_both_sides_of_a_run(self):
        dispatched, _ = re.findall(rf"^ACTION=dispatch .* REQID=({REQID}) SCRIPT=ok ", self.commands, re.M)
        for log in (self.commands, self.agent.daemon.log):
            self.assertRegex(log, rf"(?m)^ACTION=run .*EXIT=0 .*REQID={dispatched} ")

    def test_tokens_and_arguments_are_in_no_line(self):
        for line in self.lines():
            self.assertNotIn("tOkEn", line)
            self.assertNotIn("secret", line)


class Syslog(unittest.TestCase):
    def test_lines_go_to_facility_daemon_under_the_name_of_the_command(self):
        deployment = self.enterContext(Deployment())
        path = str(deployment.directory / "log")
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as log:
            log.bind(path)
            log.settimeout(30)
            agent = deployment.paired_agent("web-01").serve()
            deployment.dispatcher("ping", agent.target, environment=deployment.environment(log=path))
            priority, rest = log.recv(65536).decode().removeprefix("<").split(">", 1)
            self.assertEqual(int(priority) >> 3, 3, "LOG_DAEMON")
            self.assertRegex(rest, r"^[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d ctrl-exec-dispatcher\[\d+\]: ACTION=ping .*REQID=")


def test_of(name, pattern, log):
    def test(self):
        action = name.split()[0]
        lines = [line for line in log(self).splitlines() if line.startswith(f"ACTION={action} ") or line == f"ACTION={action}"]
        wanted = f"ACTION={action}{' ' if pattern else ''}{pattern}"
        self.assertTrue(any(re.fullmatch(wanted, line) for line in lines), f"no {wanted!r} among {lines[:20]}")

    return test


for _name, _pattern in DISPATCHER.items():
    setattr(Catalogue, f"test_dispatcher_logs_{_name}", test_of(_name, _pattern, lambda self: self.commands + self.listener_log))
for _name, _pattern in AGENT.items():
    setattr(Catalogue, f"test_agent_logs_{_name}",
            test_of(_name, _pattern, lambda self: self.agent.daemon.log + self.agent_commands))

if __name__ == "__main__":
    unittest.main()
