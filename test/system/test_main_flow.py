"""From an empty directory to a script run on an agent, as an operator does it; output as people and scripts see it."""

import hashlib
import re
import unittest

from deployment import REFUSED, TIME, Deployment, mode

ISO = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"


class SetUp(unittest.TestCase):
    def setUp(self):
        self.deployment = self.enterContext(Deployment(set_up=False))

    def test_says_what_was_made(self):
        ca = self.deployment.ca
        output = self.deployment.dispatcher("setup-ca").stdout.decode()
        self.assertRegex(output, rf"^CA created: {ca}/ca\.crt, valid until {TIME}\.\n")
        self.assertIn(f"{ca}/ca.key", output, "a word about the backup")
        output = self.deployment.dispatcher("setup-ctrl-exec").stdout.decode()
        self.assertRegex(output, rf"^Dispatcher certificate created: {ca}/ctrl-exec\.crt, valid until {TIME}\.\n"
                                 r"Serial: [0-9a-f]{32}\n$")

    def test_json(self):
        ca = self.deployment.ca
        made = self.deployment.json("setup-ca")
        self.assertEqual(list(made), ["ok", "ca", "expiry", "serial"])
        self.assertEqual((made["ok"], made["ca"]), (1, f"{ca}/ca.crt"))
        self.assertRegex(made["expiry"], TIME)
        made = self.deployment.json("setup-ctrl-exec")
        self.assertEqual(list(made), ["ok", "cert", "expiry", "serial"])
        self.assertEqual((made["ok"], made["cert"]), (1, f"{ca}/ctrl-exec.crt"))

    def test_modes_whatever_the_umask(self):
        for umask, ca in ((0o077, "strict"), (0o000, "lax")):
            with self.subTest(umask=f"{umask:03o}"), Deployment(set_up=False) as deployment:
                deployment.dispatcher("setup-ca", umask=umask)
                deployment.dispatcher("setup-ctrl-exec", umask=umask)
                modes = {name: mode(deployment.ca / name) for name in
                         ("ca.key", "ca.crt", "ca.serial", "ctrl-exec.key", "ctrl-exec.crt")}
                self.assertEqual(modes, {"ca.key": "0600", "ca.crt": "0644", "ca.serial": "0600",
                                         "ctrl-exec.key": "0600", "ctrl-exec.crt": "0644"})


class Pairing(unittest.TestCase):
    def setUp(self):
        self.deployment = self.enterContext(Deployment())
        self.agent = self.deployment.agent("web-01")
        self.listener = self.enterContext(self.deployment.pairing_mode())

    def test_request_is_shown_on_both_sides_with_the_code_of_its_csr(self):
        with self.agent.request_pairing(self.listener) as asking:
            request = self.deployment.wait_request("web-01")
            self.assertEqual(list(request)[:7], ["id", "hostname", "ip", "csr", "nonce", "received", "code"])
            self.assertRegex(request["id"], r"^[0-9a-f]{16}$")
            self.assertRegex(request["nonce"], r"^[0-9a-f]{32}$")
            self.assertEqual(request["ip"], "127.0.0.1")
            digest = hashlib.sha256(request["csr"].encode()).digest()
            code = f"{int.from_bytes(digest[:4], 'big') % 1_000_000:06}"
            self.assertEqual(request["code"], code)

            asking.wait_output(rf"^Pairing request sent: {request['id']}$")
            asking.wait_output(rf"^Pairing code: {code}$")
            self.listener.wait_output(rf"^Pairing request from web-01 \(127\.0\.0\.1\) - ID: {request['id']}\n"
                                      rf"  Received: {ISO}\n  Code: {code}$")
            titles, rule, row = self.deployment.dispatcher("list-requests").stdout.decode().splitlines()
            self.assertEqual(titles.split(), ["ID", "HOSTNAME", "IP", "CODE", "RECEIVED", "TRUST"])
            self.assertRegex(rule, r"^-+$")
            self.assertEqual(row.split(), [request["id"], "web-01", "127.0.0.1", code, request["received"], "sas"])
            asking.kill()

    def test_approval_pairs_the_agent(self):
        with self.agent.request_pairing(self.listener) as asking:
            request = self.deployment.wait_request("web-01")
            approved = self.deployment.dispatcher("approve", request["id"]).stdout.decode()
            self.assertRegex(approved, rf"^Approved: web-01 \(127\.0\.0\.1\), certificate valid until {TIME}\.\n$")
            self.assertEqual(asking.wait_exit(), 0, asking.describe())
            self.assertIn(f"Paired: certificate stored in {self.agent.certificate}\n", asking.output)
        self.listener.wait_output(rf"^Pairing request {request['id']} from web-01: approved$")
        self.assertEqual(self.deployment.requests(), [])
        self.assertEqual([path.name for path in (self.deployment.state / "pairing").glob("[!.]*")], [])

        self.assertEqual([mode(path) for path in
                          (self.agent.key, self.agent.certificate, self.agent.ca, self.agent.serial)],
                         ["0640", "0640", "0644", "0644"])
        self.assertEqual(self.agent.ca.read_bytes(), (self.deployment.ca / "ca.crt").read_bytes())
        status = self.agent.command("pairing-status").stdout.decode()
        self.assertRegex(status, rf"^Paired\. Certificate expires: {TIME}\n$")

    def test_registry_record(self):
        self.agent.pair(self.listener)
        path = self.deployment.state / "agents" / "web-01.json"
        self.assertEqual(mode(path), "0644")
        [record] = self.deployment.json("list-agents")["agents"]
        self.assertEqual(list(record)[:9], ["hostname", "ip", "paired", "expiry", "reqid", "dispatcher_serial",
                                            "serial_status", "serial_broadcast", "serial_confirmed"])
        self.assertRegex(record["paired"], ISO)
        self.assertRegex(record["expiry"], TIME)
        self.assertEqual(record["serial_status"], "current")
        self.assertEqual(record["dispatcher_serial"], self.agent.serial.read_text().strip())
        titles, rule, row = self.deployment.dispatcher("list-agents").stdout.decode().splitlines()
        self.assertEqual(re.split(r"  +", titles), ["HOSTNAME", "IP", "PAIRED", "CERT EXPIRY", "DAYS LEFT",
                                                    "TRUST"])
        self.assertRegex(rule, r"^-+$")
        self.assertRegex(row, rf"^web-01 +127\.0\.0\.1 +{record['paired']} +{record['expiry']} +36[45] +unchecked$")

    def test_denial_leaves_the_agent_unpaired(self):
        with self.agent.request_pairing(self.listener) as asking:
            request = self.deployment.wait_request("web-01")
            denied = self.deployment.dispatcher("deny", request["id"]).stdout.decode()
            self.assertEqual(denied, "Denied: web-01 (127.0.0.1).\n")
            self.assertEqual(asking.wait_exit(), 1)
            self.assertIn("rejected by operator", asking.log)
        self.listener.wait_output(rf"^Pairing request {request['id']} from web-01: denied$")
        self.assertEqual(sorted(path.name for path in self.agent.directory.iterdir()), ["agent.conf", "scripts.conf"])
        self.assertEqual(self.deployment.json("list-agents"), {"ok": 1, "agents": []})
        status = self.agent.command("pairing-status", check=1).stdout.decode()
        self.assertEqual(status, f"Not paired. Reason: {self.agent.certificate} does not exist\n")

    def test_json_of_approve_and_deny(self):
        with self.agent.request_pairing(self.listener) as asking:
            request = self.deployment.wait_request("web-01")
            self.assertEqual(self.deployment.json("deny", request["id"]), {"ok": 1, "id": request["id"]})
            self.assertEqual(asking.wait_exit(), 1)
        with self.agent.request_pairing(self.listener) as asking:
            approved = self.deployment.json("approve", self.deployment.wait_request("web-01")["id"])
            self.assertEqual(asking.wait_exit(), 0)
        [listed] = self.deployment.json("list-agents")["agents"]
        self.assertEqual({**approved["agent"], "days_left": listed["days_left"]}, listed)

    def test_pairing_again_replaces_the_registration(self):
        self.agent.pair(self.listener)
        first = self.agent.certificate.read_bytes()
        with self.agent.request_pairing(self.listener) as asking:
            request = self.deployment.wait_request("web-01")
            [before] = self.deployment.json("list-agents")["agents"]
            output = self.deployment.dispatcher("approve", request["id"], "--replace").stdout.decode()
            self.assertEqual(output.splitlines()[1:], ["It replaces the earlier registration of web-01, whose "
                                                       f"certificate is revoked (serial {before['serial']})."])
            self.assertEqual(asking.wait_exit(), 0)
        self.assertNotEqual(self.agent.certificate.read_bytes(), first)
        [record] = self.deployment.json("list-agents")["agents"]
        self.assertEqual(record["reqid"], request["id"])

    def test_unpair(self):
        self.agent.pair(self.listener)
        [record] = self.deployment.json("list-agents")["agents"]
        output = self.deployment.dispatcher("unpair", "web-01").stdout.decode()
        self.assertEqual(output, f"Unpaired: web-01. Its certificate stays valid until {record['expiry']}.\n")
        self.assertEqual(self.deployment.json("list-agents"), {"ok": 1, "agents": []})
        self.agent.pair(self.listener)
        [record] = self.deployment.json("list-agents")["agents"]
        self.assertEqual(self.deployment.json("unpair", "web-01"),
                         {"ok": 1, "hostname": "web-01", "expiry": record["expiry"]})
        answer = self.deployment.json("unpair", "web-01", check=1)
        self.assertEqual(answer["ok"], 0)
        self.assertIn("web-01", answer["error"])

    def test_empty_lists_are_json_too(self):
        self.assertEqual(self.deployment.dispatcher("list-requests", "--json").stdout, b'{"ok":1,"requests":[]}\n')
        self.assertEqual(self.deployment.dispatcher("list-agents", "--json").stdout, b'{"ok":1,"agents":[]}\n')


class Work(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.deployment = cls.enterClassContext(Deployment())
        cls.agent = cls.deployment.paired_agent("web-01")
        cls.agent.script("greet", '#!/bin/sh\necho "hello $1"\n')
        cls.agent.script("fails", "#!/bin/sh\necho oops >&2\nprintf unfinished\nexit 3\n")
        cls.agent.serve()

    def test_ping_table(self):
        output = self.deployment.dispatcher("ping", self.agent.target).stdout.decode()
        titles, rule, row = output.splitlines()
        self.assertEqual(re.split(r"  +", titles), ["HOST", "STATUS", "RTT", "CERT EXPIRY", "VERSION",
                                                    "DAYS LEFT"])
        self.assertRegex(rule, r"^-+$")
        self.assertRegex(row, rf"^127\.0\.0\.1  ok +\d+ms +{TIME}  \d+\.\d+\.\d+ +36[45]$")

    def test_ping_json(self):
        [result] = self.deployment.json("ping", self.agent.target)["results"]
        self.assertEqual(list(result)[:6], ["host", "status", "rtt", "expiry", "version", "reqid"])
        self.assertEqual((result["host"], result["status"]), ("127.0.0.1", "ok"))
        self.assertEqual(result["reported_hostname"], "web-01")
        self.assertEqual(result["expiry"], self.deployment.json("list-agents")["agents"][0]["expiry"])

    def test_run_for_people(self):
        output = self.deployment.dispatcher("run", self.agent.target, "greet", "--", "you").stdout.decode()
        self.assertRegex(output, r"^==> 127\.0\.0\.1  \[OK  exit:0  \d+ms  req:[0-9a-f]{16}\]\nhello you\n$")

    def test_failed_run_for_people(self):
        output = self.deployment.dispatcher("run", self.agent.target, "fails", check=1).stdout.decode()
        self.assertRegex(output, r"^==> 127\.0\.0\.1  \[FAIL  exit:3  \d+ms  req:[0-9a-f]{16}\]\n"
                                 r"unfinished\n    STDERR: oops\n$")

    def test_refused_run_for_people(self):
        output = self.deployment.dispatcher("run", self.agent.target, "reboot", check=REFUSED).stdout.decode()
        self.assertRegex(output, r"^==> 127\.0\.0\.1  \[REFUSED  exit:-1  \d+ms  req:[0-9a-f]{16}\]\n"
                                 r"    ERROR: script not permitted\n$")

    def test_run_json_is_one_line_without_spaces(self):
        output = self.deployment.dispatcher("run", "--json", self.agent.target, "greet", "--", "you").stdout.decode()
        self.assertRegex(output, r'^\{"ok":1,"results":\[\{"host":"127\.0\.0\.1","script":"greet","exit":0,'
                                 r'"stdout":"hello you\\n","stderr":"","rtt":"\d+ms","reqid":"[0-9a-f]{16}",'
                                 r'"outcome":"ok"\}\]\}\n$')

    def test_failed_and_refused_run_json(self):
        answer = self.deployment.json("run", self.agent.target, "fails", check=1)
        [result] = answer["results"]
        self.assertEqual((answer["ok"], result["exit"], result["stdout"], result["stderr"]),
                         (1, 3, "unfinished", "oops\n"))
        self.assertNotIn("error", result)
        [result] = self.deployment.json("run", self.agent.target, "reboot", check=REFUSED)["results"]
        self.assertEqual((result["exit"], result["error"]), (-1, "script not permitted"))
        self.assertNotIn("stdout", result)

    def test_same_reqid_in_the_logs_of_both_sides(self):
        done = self.deployment.dispatcher("run", self.agent.target, "greet", "--json",
                                          environment=self.deployment.environment(log="stderr"))
        reqid = re.search(rb'"reqid":"(\w+)"', done.stdout)[1].decode()
        self.assertRegex(done.stderr.decode(), rf"ACTION=dispatch HOSTS=\S+ REQID={reqid} SCRIPT=greet USER=operator")
        self.agent.daemon.wait_log(rf"ACTION=run DISPATCHER=\S+ EXIT=0 PEER=127\.0\.0\.1 REQID={reqid} SCRIPT=greet$")

    def test_registered_name_is_reached_at_the_address_of_its_pairing(self):
        [result] = self.deployment.json("ping", f"web-01:{self.agent.daemon.port}")["results"]
        self.assertEqual((result["host"], result["status"]), ("web-01", "ok"))
        self.assertNotIn("reported_hostname", result)


if __name__ == "__main__":
    unittest.main()
