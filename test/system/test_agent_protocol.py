"""Promises of the agent's protocol that no other file is about: the expiry text, and that only absolute paths run."""

import datetime
import subprocess
import unittest

from deployment import REFUSED, Deployment


class Expiry(unittest.TestCase):
    def test_is_the_text_of_openssl_with_a_padded_day(self):
        today = datetime.datetime.now(datetime.timezone.utc)
        days = next(days for days in range(30, 70) if (today + datetime.timedelta(days)).day == 5)
        deployment = self.enterContext(Deployment(cert_days=days))
        agent = deployment.paired_agent("web-01").serve()
        said = subprocess.run(["openssl", "x509", "-in", agent.certificate, "-noout", "-enddate"], check=True,
                              capture_output=True, timeout=30).stdout.decode()
        expiry = said.removeprefix("notAfter=").rstrip("\n")
        self.assertRegex(expiry, r"^[A-Z][a-z]{2}  [56] ", "a day of one digit; 6: midnight has just passed")
        self.assertEqual(deployment.json("ping", agent.target)["results"][0]["expiry"], expiry)
        self.assertEqual(deployment.json("list-agents")["agents"][0]["expiry"], expiry)
        self.assertIn(f"  {expiry}  ", deployment.dispatcher("ping", agent.target).stdout.decode())
        self.assertEqual(agent.command("pairing-status").stdout.decode(), f"Paired. Certificate expires: {expiry}\n")


class Execution(unittest.TestCase):
    def test_path_is_not_searched(self):
        deployment = self.enterContext(Deployment())
        agent = deployment.paired_agent("web-01")
        agent.script("listed", "#!/bin/sh\ntrue\n")
        agent.allow("true", "true")  # of every PATH there is
        agent.allow("listed-sh", "listed.sh")
        agent.serve()
        for number, name in ((2, "true"), (3, "listed-sh")):
            agent.daemon.wait_log(rf"ACTION=config-warn TEXT=\"{agent.allowlist}:{number}: the path of '{name}' must be"
                                  r" absolute")
            [result] = deployment.json("run", agent.target, name, check=REFUSED)["results"]
            self.assertEqual((result["exit"], result["error"]), (-1, "script not permitted"))
        self.assertEqual(deployment.json("run", agent.target, "listed")["results"][0]["exit"], 0)


class RequestIds(unittest.TestCase):
    def test_are_16_hex_digits_and_never_the_same(self):
        deployment = self.enterContext(Deployment())
        agent = deployment.paired_agent("web-01").serve()
        seen = [deployment.json("ping", agent.target)["results"][0]["reqid"] for _ in range(8)]
        seen.append(deployment.json("list-agents")["agents"][0]["reqid"])
        for reqid in seen:
            self.assertRegex(reqid, r"^[0-9a-f]{16}$")
        self.assertEqual(len(set(seen)), len(seen))
        # Were they counted or made of the time, their beginnings would be alike.
        self.assertGreater(len({reqid[:4] for reqid in seen}), 6)


if __name__ == "__main__":
    unittest.main()
