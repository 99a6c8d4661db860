"""Ports and files of an installation that configures nothing but what it must, on a network and a disk of its own."""

import json
import os
import pathlib
import socket
import subprocess
import unittest

from deployment import BIN, Deployment, mode
from test_certificates import Facts

# Runs its arguments where $0/etc is /etc and $0/lib is /var/lib.
MOUNT = 'mount --bind "$0/etc" /etc && mount --bind "$0/lib" /var/lib && exec "$@"'

DISPATCHER_CONF = """\
# only what is required
cert = /etc/ctrl-exec/ctrl-exec.crt
key = /etc/ctrl-exec/ctrl-exec.key
ca = /etc/ctrl-exec/ca.crt
"""
AGENT_CONF = """\
# only what is required
cert = /etc/ctrl-exec-agent/agent.crt
key = /etc/ctrl-exec-agent/agent.key
ca = /etc/ctrl-exec-agent/ca.crt
"""


class DefaultPlaces(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.deployment = cls.enterClassContext(Deployment(set_up=False))
        cls.network = f"ctrl-exec-{os.getpid()}"
        subprocess.run(["ip", "netns", "add", cls.network], check=True)
        cls.addClassCleanup(subprocess.run, ["ip", "netns", "delete", cls.network], check=True)
        subprocess.run(["ip", "-n", cls.network, "link", "set", "lo", "up"], check=True)
        root = cls.deployment.directory / "root"
        cls.etc, cls.lib = root / "etc", root / "lib"
        for folder in (cls.etc / "ctrl-exec", cls.etc / "ctrl-exec-agent", cls.lib):
            folder.mkdir(parents=True)
        cls.inside = ["ip", "netns", "exec", cls.network, "unshare", "--mount", "sh", "-c", MOUNT, root]
        (cls.etc / "ctrl-exec/ctrl-exec.conf").write_text(DISPATCHER_CONF)
        (cls.etc / "ctrl-exec-agent/agent.conf").write_text(AGENT_CONF)
        (cls.etc / "ctrl-exec-agent/scripts.conf").write_text("true = /bin/true\n")
        cls.work()

    @classmethod
    def argv(cls, program, *words):
        return [*cls.inside, BIN / program, *words]

    @classmethod
    def dispatcher(cls, *words):
        return cls.deployment.execute(cls.argv("ctrl-exec-dispatcher", *words)).stdout.decode()

    @classmethod
    def work(cls):
        """Everything once: no command is told a file or a port."""
        for verb in ("setup-ca", "setup-ctrl-exec"):
            cls.dispatcher(verb)
        with cls.deployment.start(cls.argv("ctrl-exec-dispatcher", "pairing-mode"), "pairing") as listener:
            cls.pairing_address = listener.wait_listening().address
            asking = cls.deployment.start(cls.argv("ctrl-exec-agent", "request-pairing", "--dispatcher", "127.0.0.1"),
                                          "request")
            reqid = asking.wait_output("^Pairing request sent: (.*)$")[1]
            cls.queued = sorted(path.name for path in (cls.lib / "ctrl-exec/pairing").glob("*.json"))
            cls.dispatcher("approve", reqid)
            asking.wait_exit()
            cls.reqid = reqid
        with cls.deployment.start(cls.argv("ctrl-exec-agent", "serve"), "serve") as agent:
            cls.agent_address = agent.wait_listening().address
            cls.ping = json.loads(cls.dispatcher("ping", "127.0.0.1", "--json"))
            cls.run_answer = json.loads(cls.dispatcher("run", "127.0.0.1", "true", "--json"))
            serial = (cls.etc / "ctrl-exec-agent/ctrl-exec-serial").read_text()
            (cls.etc / "ctrl-exec-agent/revoked-serials").write_text(serial)
            agent.signal(1)
            agent.wait_log("ACTION=reload")
            done = cls.deployment.execute(cls.argv("ctrl-exec-dispatcher", "ping", "127.0.0.1", "--json"), check=1)
            cls.revoked = json.loads(done.stdout)

    def assert_modes(self, directory, expected):
        self.assertEqual({name: mode(directory / name) for name in expected}, expected)

    def test_ports(self):
        for address, port in ((self.pairing_address, 7444), (self.agent_address, 7443)):
            self.assertEqual(int(address.rpartition(":")[2]), port)
        self.assertEqual(self.ping["results"][0]["status"], "ok")
        self.assertEqual(self.run_answer["results"][0]["exit"], 0)

    def test_files_of_the_dispatcher(self):
        self.assert_modes(self.etc / "ctrl-exec", {"ca.key": "0600", "ca.crt": "0644", "ca.serial": "0600",
                                                   "ctrl-exec.key": "0600", "ctrl-exec.crt": "0644"})

    def test_state_of_the_dispatcher(self):
        state = self.lib / "ctrl-exec"
        self.assert_modes(state, {f"agents/{socket.gethostname()}.json": "0644", "pairing": "0700", "locks": "0755"})
        self.assertEqual(self.queued, [f"{self.reqid}.json"])
        self.assertTrue((state / "locks/127.0.0.1--true.lock").exists())

    def test_files_of_the_agent(self):
        self.assert_modes(self.etc / "ctrl-exec-agent", {"agent.key": "0640", "agent.crt": "0640", "ca.crt": "0644",
                                                         "ctrl-exec-serial": "0644", "dispatchers.json": "0644"})
        self.assertEqual(self.revoked["results"][0]["error"], "forbidden: certificate revoked")

    def test_name_of_the_agent_is_the_machines(self):
        self.assertEqual(self.ping["results"][0].get("reported_hostname"), socket.gethostname())

    def test_certificate_of_an_agent_is_valid_for_365_days(self):
        facts = Facts(pathlib.Path(self.etc / "ctrl-exec-agent/agent.crt"))
        self.assertEqual(round((facts.not_after - facts.not_before) / 86400), 365)

    def test_nothing_else_is_left(self):
        self.assertEqual(sorted(os.listdir(self.etc / "ctrl-exec")),
                         [".setup.lock", "ca.crt", "ca.key", "ca.serial", "ca.serial.lock", "ctrl-exec.conf",
                          "ctrl-exec.crt", "ctrl-exec.key"])
        self.assertEqual(sorted(os.listdir(self.etc / "ctrl-exec-agent")),
                         ["agent.conf", "agent.crt", "agent.key", "ca.crt", "ctrl-exec-serial", "dispatchers.json",
                          "revoked-serials", "scripts.conf"])
        self.assertEqual(sorted(os.listdir(self.lib)), ["ctrl-exec"])


if __name__ == "__main__":
    unittest.main()
