"""SIGHUP: the next request sees the new state; a broken file is reported, and the old state stays."""

import signal
import unittest

from deployment import Deployment
from processes import poll
from wire import TlsClient, request


class Reload(unittest.TestCase):
    def setUp(self):
        self.deployment = self.enterContext(Deployment())
        self.agent = self.deployment.paired_agent("web-01")
        self.agent.script("old", "#!/bin/sh\necho old\n")
        self.agent.serve()

    def connect(self):
        identity = (self.deployment.ca / "ctrl-exec.crt", self.deployment.ca / "ctrl-exec.key")
        return self.enterContext(TlsClient(self.agent.address, self.deployment.ca / "ca.crt", identity))

    def start_run(self, script):
        return self.deployment.start(self.deployment.argv("run", self.agent.target, script), "run")

    def exit_of(self, script):
        return self.deployment.json("run", self.agent.target, script, check=None)["results"][0]["exit"]

    def reload(self, pattern, count=1):
        self.agent.daemon.signal(signal.SIGHUP)
        self.agent.daemon.wait_log(pattern, count)

    def test_new_script_and_tags(self):
        self.assertEqual(self.exit_of("new"), -1)
        self.agent.script("new", "#!/bin/sh\necho new\n")
        with self.agent.config.open("a") as config:
            config.write("[tags]\nrole = database\n")
        client = self.connect()  # stays open meanwhile
        client.send(request("GET", "/capabilities", None, "X-Ctrl-Exec: 1"))
        self.assertEqual(client.read_answer().json["tags"], {})
        self.reload("ACTION=reload SCRIPTS=2$")
        self.assertEqual((self.exit_of("new"), self.exit_of("old")), (0, 0))
        client.send(request("GET", "/capabilities", None, "X-Ctrl-Exec: 1"))
        self.assertEqual(client.read_answer().json["tags"], {"role": "database"}, "the next request sees the new state")

    def test_script_that_is_taken_off_the_list(self):
        self.agent.allowlist.write_text("# nothing\n")
        self.reload("ACTION=reload SCRIPTS=0$")
        self.assertEqual(self.exit_of("old"), -1)

    def test_new_dispatcher_serial(self):
        self.agent.serial.write_text("0123\n")
        self.reload("ACTION=reload")
        self.assertEqual(self.deployment.json("ping", self.agent.target, check=1)["results"][0]["error"],
                         "forbidden: serial mismatch")

    def test_broken_file_keeps_the_old_state_and_is_reported(self):
        self.agent.script("new", "#!/bin/sh\n")
        for path, broken in ((self.agent.config, "nonsense\n"), (self.agent.certificate, "nonsense\n"),
                             (self.agent.serial, "no hex\n"), (self.agent.allowlist, None)):
            with self.subTest(path.name):
                whole = path.read_text()
                path.unlink() if broken is None else path.write_text(broken)
                self.reload(rf"ACTION=config-warn TEXT=.*{path}")
                self.assertEqual((self.exit_of("old"), self.exit_of("new")), (0, -1))
                path.write_text(whole)
        self.reload("ACTION=reload SCRIPTS=2$")
        self.assertEqual(self.exit_of("new"), 0)

    def test_reload_while_a_script_runs(self):
        started, go = (self.deployment.directory / name for name in ("started", "go"))
        self.agent.script("wait", f"#!/bin/sh\n: >{started}\nuntil [ -e {go} ]; do sleep 0.02; done\necho finished\n")
        self.reload("ACTION=reload SCRIPTS=2$")
        run = self.start_run("wait")
        poll("the script runs", started.exists)
        self.agent.allowlist.write_text("")
        self.reload("ACTION=reload SCRIPTS=0$")
        go.touch()
        self.assertEqual(run.wait_exit(), 0)
        self.assertIn("finished", run.output)


if __name__ == "__main__":
    unittest.main()
