"""Time limits that nobody has configured: they are waited for, all at the same time."""

import json
import re
import time
import unittest

from deployment import REFUSED, Deployment, write_settings

INPUT = ["x" * 100_000] * 3  # more than a pipe holds


class DefaultTimes(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.deployment = cls.enterClassContext(Deployment())
        hook = cls.deployment.directory / "hook"
        hook.write_text("#!/bin/sh\nexec sleep 1000\n")
        hook.chmod(0o755)
        cls.agent, hooked = (cls.deployment.agent(name, **settings)
                             for name, settings in (("web-01", {}), ("web-02", {"auth_hook": hook})))
        for seconds in (7, 13):
            cls.agent.script(f"reads-after-{seconds}", f"#!/bin/sh\nsleep {seconds}\nwc -c\n")
        hooked.script("true", "#!/bin/sh\n")
        config = cls.deployment.directory / "hooked.conf"
        write_settings(config, {**cls.deployment.settings, "auth_hook": hook})

        cls.listener = cls.enterClassContext(cls.deployment.pairing_mode())
        for agent in (cls.agent, hooked):
            agent.pair(cls.listener)
            agent.serve()
        cls.asked = time.monotonic()
        words = ("request-pairing", "--dispatcher", cls.listener.address, "--background")
        cls.reqid = cls.deployment.agent("web-03").command(*words).stdout.decode().strip()
        cls.queued = time.monotonic()
        cls.late, cls.too_late = (cls.start(cls.agent.target, f"reads-after-{seconds}", "--", *INPUT)
                                  for seconds in (7, 13))
        cls.asks_the_agents_hook = cls.start(hooked.target, "true")
        cls.asks_our_hook = cls.start(cls.agent.target, "true", "--config", config)

    @classmethod
    def start(cls, *words):
        return cls.deployment.start(cls.deployment.argv("run", "--json", *words), "run")

    def result(self, command, check):
        self.assertEqual(command.wait_exit(), check, command.output)
        return json.loads(command.output)["results"][0]

    def test_script_has_ten_seconds_to_read_its_input(self):
        self.assertGreater(int(self.result(self.late, 0)["stdout"]), 300_000)
        result = self.result(self.too_late, 0)
        self.assertLess(int(result["stdout"]), 300_000)
        self.assertRegex(self.agent.daemon.log, f"ACTION=stdin-timeout .*REQID={result['reqid']} SCRIPT=reads-after-13\n")
        self.assertEqual(self.agent.daemon.log.count("ACTION=stdin-timeout"), 1)

    def test_hook_has_ten_seconds(self):
        result = self.result(self.asks_the_agents_hook, REFUSED)
        self.assertEqual(result["error"], "not authorised: the auth hook took longer than 10 s")
        self.assertGreaterEqual(int(re.fullmatch(r"(\d+)ms", result["rtt"])[1]), 10_000)
        self.assertEqual(self.asks_our_hook.wait_exit(), 1)
        self.assertEqual(json.loads(self.asks_our_hook.output),
                         {"ok": 0, "error": "the auth hook took longer than 10 s", "code": 1})

    def test_pairing_in_the_background_has_thirty_seconds(self):
        self.listener.wait_output(f"^Pairing request {self.reqid} from web-03: gone$")
        now = time.monotonic()
        self.assertGreaterEqual(now - self.asked, 30)
        self.assertLess(now - self.queued, 38)


if __name__ == "__main__":
    unittest.main()
