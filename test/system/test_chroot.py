"""The static program needs nothing but itself: it works in an empty root directory, without /dev, /proc or a shell."""

import os
import re
import shutil
import subprocess
import unittest

from deployment import BIN, BUILD, Deployment, mode
from processes import poll


class Release(unittest.TestCase):
    def setUp(self):
        self.deployment = self.enterContext(Deployment(set_up=False))
        self.root = self.deployment.directory / "root"
        self.root.mkdir()
        shutil.copy(BIN / "ctrl-exec", self.root / "ctrl-exec")

    def argv(self, *words):
        return ["chroot", self.root, "/ctrl-exec", *words]

    def execute(self, *words, check=0):
        return self.deployment.execute(self.argv(*words), check).stdout.decode()

    def configure(self):
        """Configuration at its default paths; everything else is where it is by default, too."""
        for folder in ("etc/ctrl-exec", "etc/ctrl-exec-agent"):
            (self.root / folder).mkdir(parents=True)
        (self.root / "etc/ctrl-exec/ctrl-exec.conf").write_text(
            "cert = /etc/ctrl-exec/ctrl-exec.crt\nkey = /etc/ctrl-exec/ctrl-exec.key\nca = /etc/ctrl-exec/ca.crt\n"
            "pairing_bind = 127.0.0.1\npairing_port = 0\n")
        (self.root / "etc/ctrl-exec-agent/agent.conf").write_text(
            "cert = /etc/ctrl-exec-agent/agent.crt\nkey = /etc/ctrl-exec-agent/agent.key\n"
            "ca = /etc/ctrl-exec-agent/ca.crt\nhostname = web-01\nbind = 127.0.0.1\nport = 0\n")
        (self.root / "etc/ctrl-exec-agent/scripts.conf").write_text("version = /ctrl-exec\nmissing = /missing\n")

    def test_alone(self):
        self.assertRegex(self.execute("--version"), r"^ctrl-exec \d+\.\d+\.\d+\n$")
        self.assertEqual(self.execute("--list-links").split(),
                         ["cea", "ced", "ctrl-exec-agent", "ctrl-exec-api", "ctrl-exec-dispatcher"])
        self.assertIn("setup-ca", self.execute("help"))
        self.execute("list-agents", check=78)
        self.assertEqual(os.listdir(self.root), ["ctrl-exec"])

    def test_pairing_ping_and_run_with_default_paths(self):
        self.configure()
        self.execute("setup-ca")
        self.execute("setup-ctrl-exec")
        self.assertEqual(mode(self.root / "etc/ctrl-exec/ca.key"), "0600")
        with self.deployment.start(self.argv("pairing"), "pairing") as listener:
            listener.wait_listening()
            with self.deployment.start(self.argv("agent", "request-pairing", "--dispatcher", listener.address),
                                       "request") as asking:
                request_id = asking.wait_output(r"^Pairing request sent: (\w+)$")[1]
                self.assertIn(request_id, self.execute("list-requests"))
                self.execute("approve", request_id)
                self.assertEqual(asking.wait_exit(), 0, asking.describe())
        self.assertIn("Paired.", self.execute("agent", "pairing-status"))
        self.assertTrue((self.root / "var/lib/ctrl-exec/agents/web-01.json").exists())
        with self.deployment.start(self.argv("agent", "serve"), "serve") as agent:
            target = agent.wait_listening().address
            self.assertRegex(self.execute("ping", target), r"\n127\.0\.0\.1  ok ")
            output = self.execute("run", target, "version", "--", "--version")
            self.assertRegex(output, r"^==> 127\.0\.0\.1  \[OK  exit:0 .*\]\nctrl-exec \d")
            self.assertIn("exit:127", self.execute("run", target, "missing", check=1))
        self.execute("unpair", "web-01")

    def test_pairing_in_the_background(self):
        self.configure()
        self.execute("setup-ca")
        self.execute("setup-ctrl-exec")
        with self.deployment.start(self.argv("pairing"), "pairing") as listener:
            listener.wait_listening()
            # Returns when nothing has the pipe any more: the process in the background must have let it go.
            request_id = self.execute("agent", "request-pairing", "--dispatcher", listener.address, "--background",
                                      "--timeout", "5").strip()
            self.execute("approve", request_id)
            listener.wait_output(f"{request_id} from web-01: approved$")
        # The dispatcher is told of the delivery before the agent has stored what it got.
        poll("the certificate is stored",
             lambda: "Paired." in self.execute("agent", "pairing-status", check=None))


class Debug(unittest.TestCase):
    """The build with sanitizers cannot do that: it says so itself, by the libraries it names."""

    def test_needs_libraries_and_works_with_them(self):
        dynamic = subprocess.run(["readelf", "--dynamic", BIN / "ctrl-exec"], check=True, capture_output=True,
                                 timeout=60).stdout.decode()
        self.assertIn("libasan", " ".join(re.findall(r"\(NEEDED\).*\[(.*)\]", dynamic)))
        version = subprocess.run([BIN / "ctrl-exec", "--version"], check=True, capture_output=True, timeout=60).stdout
        self.assertRegex(version, rb"^ctrl-exec \d+\.\d+\.\d+\n$")


if BUILD == "release":
    del Debug
else:
    del Release

if __name__ == "__main__":
    unittest.main()
