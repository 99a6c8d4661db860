"""Agents' certificates are renewed before they expire: for the registered key and name, and for nothing else."""

import json
import random
import re
import subprocess
import time
import unittest

from api import serve_api
from deployment import Deployment
from first_start import free_port
from processes import DEADLINE, poll
from renewing_agent import RenewingAgent, make_csr, make_key

NEARLY_OVER = 30  # days that a certificate of the tests has left; half of cert_days is more


def expiry_in(days):
    return time.strftime("%b %e %H:%M:%S %Y GMT", time.gmtime(time.time() + days * 86400))


class Case(unittest.TestCase):
    NAMES = ("web-01",)

    def setUp(self):
        # Certificates for 30 days, and then a dispatcher that gives 365: all of them are due.
        self.deployment = self.enterContext(Deployment(cert_days=NEARLY_OVER, cert_check_interval=1))
        self.ports = {name: free_port() for name in self.NAMES}
        self.agents = {}
        for name in self.NAMES:
            self.agents[name] = self.deployment.paired_agent(name, port=self.ports[name])
            self.change(name, lookup_by="ip")
        text = self.deployment.config.read_text().replace(f"cert_days = {NEARLY_OVER}", "cert_days = 365")
        self.deployment.config.write_text(text)

    def path(self, name="web-01"):
        return self.deployment.state / "agents" / f"{name}.json"

    def record(self, name="web-01"):
        return json.loads(self.path(name).read_text())

    def change(self, name, **members):
        self.path(name).write_text(json.dumps({**self.record(name), **members}))

    def stand_in(self, name="web-01", **options):
        return RenewingAgent(self.agents[name], self.ports[name], **options)

    def assert_in_step(self, agent, name="web-01"):
        """Agent and registry hold the same certificate."""
        record = self.record(name)
        self.assertEqual((record["serial"], record["expiry"]), (agent.serial(), agent.expiry()))

    def maintain(self, *words, check=0):
        answer = self.deployment.json("maintain", *words, check=check)
        self.assertEqual(answer["ok"], int(check == 0))
        return answer["agents"]


class Round(Case):
    def test_renews_what_is_due_and_then_nothing(self):
        with self.stand_in() as agent:
            old, key = agent.serial(), self.record()["key"]
            [row] = self.maintain()
            self.assertEqual((row["host"], row["status"], row["days_left"] > 360), ("web-01", "renewed", True))
            self.assertEqual(agent.requests, ["/renew", "/renew-complete"])
            self.assertNotEqual(agent.serial(), old)
            self.assert_in_step(agent)
            self.assertEqual(self.record()["key"], key)
            [row] = self.maintain()
            self.assertEqual(row["status"], "ok")
            self.assertEqual(len(agent.requests), 2)

    def test_the_new_certificate_is_for_the_same_key_and_name(self):
        with self.stand_in() as agent:
            self.maintain()
            [asked] = agent.completed
            self.assertEqual(asked["ca"], (self.deployment.ca / "ca.crt").read_text())
            self.deployment.execute(["openssl", "verify", "-CAfile", self.deployment.ca / "ca.crt", agent.certificate])
            facts = self.deployment.execute(["openssl", "x509", "-in", agent.certificate, "-noout", "-subject",
                                             "-nameopt", "RFC2253", "-pubkey"]).stdout
            own = self.deployment.execute(["openssl", "pkey", "-in", agent.key, "-pubout"]).stdout
            self.assertEqual(facts, b"subject=CN=web-01\n" + own)

    def test_all_renews_also_what_is_not_due(self):
        with self.stand_in() as agent:
            self.maintain()
            time.sleep(1.1)  # a certificate of the same second would not be newer
            [row] = self.maintain("--all")
            self.assertEqual(row["status"], "renewed")
            self.assert_in_step(agent)

    def test_the_table(self):
        with self.stand_in():
            lines = self.deployment.dispatcher("maintain").stdout.decode().splitlines()
        self.assertRegex(lines[0], r"^HOST +STATUS +CERT EXPIRY +DAYS LEFT$")
        self.assertRegex(lines[2], r"^web-01 +renewed +[A-Z].* GMT +36\d$")

    def test_an_old_agent_cannot(self):
        with self.stand_in(answers={"/renew": (404, {"error": "not found"})}):
            [row] = self.maintain(check=1)  # 30 days are below cert_renewal_days
            self.assertEqual(row["status"], "cannot-renew")
            self.assertRegex(row["error"], r"cannot renew: its certificate expires on .* GMT")
            self.deployment.config.write_text(self.deployment.config.read_text() + "cert_renewal_days = 20\n")
            self.maintain()

    def test_an_agent_that_is_off_stays_due_and_comes_back_by_itself(self):
        [row] = self.maintain(check=1)
        self.assertEqual(row["status"], "failed")
        with self.stand_in() as agent:
            [row] = self.maintain()
            self.assertEqual(row["status"], "renewed")
            self.assert_in_step(agent)

    def test_an_old_record_learns_and_is_renewed(self):
        record = self.record()
        for member in ("key", "serial"):
            del record[member]
        self.path().write_text(json.dumps(record))
        with self.stand_in() as agent:
            [row] = self.maintain()
            self.assertEqual(row["status"], "renewed")
            self.assert_in_step(agent)

    def test_not_beyond_the_end_of_the_ca(self):
        """A certificate that ends with the CA is not renewed again and again."""
        self.deployment.config.write_text(self.deployment.config.read_text().replace("cert_days = 365",
                                                                                     "cert_days = 36500"))
        with self.stand_in() as agent:
            self.assertEqual(self.maintain()[0]["status"], "renewed")
            self.assertEqual(self.maintain()[0]["status"], "ok")
            self.assertEqual(len(agent.completed), 1)


class Forged(Case):
    def assert_refused(self, csr, why):
        before = self.path().read_bytes()
        with self.stand_in(answers={"/renew": (200, {"status": "ok", "csr": csr, "reqid": "1"})}) as agent:
            [row] = self.maintain(check=1)
            self.assertEqual(row["status"], "failed")
            self.assertRegex(row["error"], why)
            self.assertEqual(agent.requests, ["/renew"])
        self.assertEqual(self.path().read_bytes(), before)

    def test_another_key(self):
        key = make_key(self.deployment.directory / "other.key")
        self.assert_refused(make_csr(key, "web-01"), "another key than the registered one")

    def test_another_name(self):
        self.assert_refused(make_csr(self.agents["web-01"].key, "db-01"), "for 'db-01'; its own is for 'web-01'")

    def test_no_request(self):
        for csr in ("", 7, [], "-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n",
                    "x" * 200_000):
            with self.subTest(str(csr)[:20]):
                self.assert_refused(csr, "certificate request")

    def test_signature_by_another_key(self):
        lines = make_csr(self.agents["web-01"].key, "web-01").splitlines()
        lines[-2] = lines[-2][:4] + ("A" if lines[-2][4] != "A" else "B") + lines[-2][5:]
        self.assert_refused("\n".join(lines) + "\n", "certificate request")

    def test_no_serial_is_used_for_it(self):
        before = (self.deployment.ca / "ca.serial").read_text()
        key = make_key(self.deployment.directory / "other.key")
        self.assert_refused(make_csr(key, "web-01"), "another key")
        self.assertEqual((self.deployment.ca / "ca.serial").read_text(), before)


class Interrupted(Case):
    def test_agent_that_dies_between_the_two(self):
        with self.stand_in(answers={"/renew-complete": (0, None)}):
            [row] = self.maintain(check=1)
            self.assertEqual(row["status"], "failed")
        with self.stand_in() as agent:
            self.assertEqual(self.maintain()[0]["status"], "renewed")
            self.assert_in_step(agent)

    def test_agent_that_refuses(self):
        before = self.path().read_bytes()
        with self.stand_in(answers={"/renew-complete": (200, {"status": "error", "error": "not newer"})}):
            [row] = self.maintain(check=1)
            self.assertRegex(row["error"], "the agent refused: not newer")
        self.assertEqual(self.path().read_bytes(), before)

    def test_lost_answer_is_found_out_at_the_next_contact(self):
        with self.stand_in() as agent:
            agent.answers = {}
            store = agent.store

            def store_and_die(certificate):
                store(certificate)
                raise OSError("gone")

            agent.store = store_and_die
            [row] = self.maintain(check=1)
            self.assertEqual(row["status"], "failed")
            agent.store = store
            self.assertNotEqual(self.record()["serial"], agent.serial())
            self.deployment.dispatcher("ping", "web-01")
            self.assert_in_step(agent)
            self.assertEqual(self.maintain()[0]["status"], "ok")

    def test_kill_9_at_any_moment(self):
        chance = random.Random(6)
        with self.stand_in() as agent:
            for _ in range(12):
                process = subprocess.Popen([str(word) for word in self.deployment.argv("maintain", "--all")],
                                           env=self.deployment.environment(), stdout=subprocess.DEVNULL,
                                           stderr=subprocess.DEVNULL)
                try:
                    process.wait(chance.uniform(0, 0.25))
                except subprocess.TimeoutExpired:
                    process.kill()
                process.wait()
                json.loads(self.path().read_text())
            time.sleep(1.1)
            [row] = self.maintain("--all")
            self.assertEqual(row["status"], "renewed", row)
            self.assert_in_step(agent)


class Together(Case):
    NAMES = tuple(f"web-{i:02}" for i in range(4))

    def test_several_processes_lose_nothing_and_repeat_no_serial(self):
        standing = {name: self.enterContext(self.stand_in(name)) for name in self.NAMES}
        new = [self.deployment.agent(f"new-{i}") for i in range(3)]
        serials = []
        with self.deployment.pairing_mode() as listener:
            asking = [agent.request_pairing(listener) for agent in new]
            ids = [self.deployment.wait_request(agent.name)["id"] for agent in new]
            commands = [("maintain",)] * 3 + [("approve", each) for each in ids] + [("ping", *self.NAMES)]
            processes = [subprocess.Popen([str(word) for word in self.deployment.argv("--json", *words)],
                                          env=self.deployment.environment(), stdout=subprocess.PIPE,
                                          stderr=subprocess.PIPE) for words in commands]
            for process, words in zip(processes, commands):
                output, errors = process.communicate(timeout=DEADLINE)
                self.assertEqual(process.returncode, 0, (words, output, errors))
            for each in asking:
                self.assertEqual(each.wait_exit(), 0)
        self.assertTrue(all(row["status"] == "ok" for row in self.maintain()))
        for name, agent in standing.items():
            self.assert_in_step(agent, name)
            serials += [self.record(name)["serial"]]
        serials += [self.record(agent.name)["serial"] for agent in new]
        self.assertEqual(len(set(serials)), 7)


class Ping(Case):
    def test_renews_afterwards_and_says_so(self):
        with self.stand_in() as agent:
            said = self.deployment.dispatcher("ping", "web-01").stdout.decode()
            self.assertEqual(agent.requests, ["/ping", "/renew", "/renew-complete"])
            self.assertRegex(said, r"(?m)^HOST .* VERSION +DAYS LEFT$")
            self.assertIn(f"web-01: certificate renewed, valid until {agent.expiry()}\n", said)
            self.assert_in_step(agent)
            [result] = self.deployment.json("ping", "web-01")["results"]
            self.assertNotIn("renewed_until", result)
            self.assertGreater(result["days_left"], 360)

    def test_of_an_old_agent_succeeds_with_a_warning(self):
        with self.stand_in(answers={"/renew": (404, {"error": "not found"})}):
            done = self.deployment.dispatcher("ping", "web-01")
            self.assertIn("web-01: certificate not renewed: an old agent", done.stderr.decode())


class Background(Case):
    def test_the_api_renews_and_counts(self):
        self.deployment.config.write_text(self.deployment.config.read_text() +
                                          "api_auth_default = allow\napi_port = 0\n")
        with self.stand_in() as agent:
            api = serve_api(self.deployment)
            poll("a renewal", lambda: agent.completed)
            api.wait_log(r"ACTION=cert-renew .*TARGET=web-01")
            self.assert_in_step(agent)
            page = self.deployment.execute(["curl", "-sS", "--noproxy", "*", f"http://{api.address}/metrics"])
            self.assertIn(b'ctrl_exec_certificate_renewals_total{outcome="renewed"} 1\n', page.stdout)
            self.assertIn(b"ctrl_exec_agent_certificates_expiring 0\n", page.stdout)

    def test_pairing_mode_renews(self):
        with self.stand_in() as agent, self.deployment.pairing_mode() as listener:
            poll("a renewal", lambda: agent.completed)
            listener.wait_log(r"ACTION=cert-renew .*TARGET=web-01")
            self.assert_in_step(agent)

    def test_what_expires_soon_is_warned_of_each_round(self):
        with self.deployment.pairing_mode() as listener:
            listener.wait_log(r"ACTION=cert-expiring DAYS=\d+ TARGET=web-01", count=2)


class Listing(Case):
    def test_days_left_is_a_column(self):
        lines = self.deployment.dispatcher("list-agents").stdout.decode().splitlines()
        self.assertRegex(lines[0], r"^HOSTNAME +IP +PAIRED +CERT EXPIRY +DAYS LEFT +TRUST$")
        self.assertTrue(re.search(r" (29|30) +(sas|unchecked|legacy)$", lines[2]), lines[2])
        self.assertEqual(self.deployment.json("list-agents")["agents"][0]["days_left"] in (29, 30), True)

    def test_of_an_expired_certificate(self):
        self.change("web-01", expiry=expiry_in(-3))
        self.assertEqual(self.deployment.json("list-agents")["agents"][0]["days_left"] in (-3, -4), True)


if __name__ == "__main__":
    unittest.main()
