"""The pairing port as an agent of version 2 sees it, and what the operator sees of such an agent."""

import concurrent.futures
import re
import ssl
import unittest

from deployment import Deployment
from pairing_v2 import JoinToken, V2Agent, der_of
from processes import poll
from terminal import Terminal
from wire import request

MISMATCH = {"status": "denied", "reason": "commitment mismatch", "pair_v": 2}
INVALID = {"status": "error", "reason": "invalid request"}
REQID = "[0-9a-f]{16}"
QUESTION = r"Accept, Deny, or Skip\? \[a/d/s\]: $"


def error(reason):
    return {"status": "error", "reason": reason}


def other_code(sas):
    return "0000-0000" if sas != "0000-0000" else "0000-0001"


class Case(unittest.TestCase):
    settings = {}

    def setUp(self):
        self.deployment = self.enterContext(Deployment(**self.settings))
        self.listener = self.enterContext(self.deployment.pairing_mode())

    def agent(self, name="web-01", **options):
        return self.enterContext(V2Agent(self.listener.address, name, **options))

    def approve(self, *words, check=0):
        done = self.deployment.dispatcher("approve", *words, check=check)
        return done.stdout.decode(), done.stderr.decode()

    def registered(self):
        return {agent["hostname"]: agent for agent in self.deployment.json("list-agents")["agents"]}

    def unknown_token(self):
        return JoinToken.invented(der_of((self.deployment.ca / "ca.crt").read_text()))


class Answers(Case):
    def test_both_answers_and_the_check_code(self):
        agent = self.agent().connect(ssl.TLSVersion.TLSv1_2)
        first = agent.ask()
        self.assertEqual(list(first), ["status", "reqid", "pair_v", "ca", "dispatcher_id", "dispatcher_serial",
                                       "sas_nonce"])
        self.assertEqual((first["status"], first["pair_v"]), ("pending", 2))
        self.assertRegex(first["sas_nonce"], "^[0-9a-f]{64}$")
        agent.check_first()
        agent.reveal()
        queued = self.deployment.wait_request("web-01")
        self.assertEqual((queued["sas"], queued["trust"], queued["pair_v"]), (agent.sas, "sas", 2))
        said, warned = self.approve(first["reqid"], "--sas", agent.sas)
        self.assertIn("The check code matched", said)
        self.assertIn(f"ctrl-exec-agent pairing-confirm {agent.sas}", said)
        self.assertEqual(warned, "")
        self.assertEqual(list(agent.read_last()), ["status", "cert", "ca", "nonce", "dispatcher_serial",
                                                   "dispatcher_id", "pair_v"])
        agent.check_last()
        self.assertEqual(agent.client.records(), 2, "one record for one answer")
        self.assertEqual(self.registered()["web-01"]["trust"], "sas")
        self.assertRegex(self.listener.log, rf"ACTION=pair-request CODE={agent.code} HOST=web-01 PAIR_V=2 ")
        self.assertNotIn(agent.sas, self.listener.log, "nobody may copy the check code from the dispatcher's log")

    def test_denials_are_of_version_2(self):
        agent = self.agent().wait()
        self.deployment.dispatcher("deny", self.deployment.wait_request("web-01")["id"])
        self.assertEqual(agent.read_last(), {"status": "denied", "reason": "rejected by operator", "pair_v": 2})

    def test_two_nonces_are_never_the_same(self):
        first, second = (self.agent(name).ask() for name in ("web-01", "web-02"))
        self.assertNotEqual(first["sas_nonce"], second["sas_nonce"])

    def test_versions(self):
        for version, answer in (("2", INVALID), (0, INVALID), (-1, INVALID), (2.5, INVALID), (True, INVALID),
                                ([2], INVALID), (1, ["status", "reqid"])):
            with self.subTest(version=version), V2Agent(self.listener.address, "web-01") as agent:
                first = agent.ask(pair_v=version)
                self.assertEqual(first if answer is INVALID else list(first), answer)
        for version in (3, 2 ** 63, 2 ** 64 - 1):
            with self.subTest(version=version), V2Agent(self.listener.address, "web-01") as agent:
                self.assertEqual(agent.ask(pair_v=version)["pair_v"], 2)

    def test_members_that_must_be_there(self):
        join = {"kid": "0" * 16, "mac": "0" * 64}
        for changes in ({"sas_commit": None}, {"sas_commit": "A" * 64}, {"sas_commit": "a" * 63}, {"sas_commit": 1},
                        {"join": "x"}, {"join": {}}, {"join": {**join, "kid": "x"}}, {"join": {**join, "mac": "0" * 63}},
                        {"join": join, "pair_v": 1}, {"join": join, "pair_v": None}):
            with self.subTest(changes), V2Agent(self.listener.address, "web-01") as agent:
                self.assertEqual(agent.ask(**changes), INVALID)

    def test_no_agent_gets_the_name_of_the_dispatchers(self):
        for name in ("ctrl-exec", "Ctrl-Exec"):
            self.assertEqual(self.agent(name).ask(), INVALID)
        self.listener.wait_log(r"pair-reject .*'Ctrl-Exec' is that of dispatchers")


class Reveal(Case):
    settings = {"pairing_max_queue": 2}

    def test_before_it_nobody_sees_or_answers_the_request_but_it_counts(self):
        agent = self.agent()
        reqid = agent.ask()["reqid"]
        self.assertEqual(self.deployment.requests(), [])
        for verb in ("approve", "deny"):
            self.deployment.dispatcher(verb, reqid, check=1)
        self.agent("web-02").ask()
        self.assertEqual(self.agent("web-03").ask(), error("pairing queue full"))
        agent.reveal()
        self.deployment.wait_request("web-01")
        self.assertNotIn("web-02", self.listener.output)

    def test_that_does_not_come(self):
        agent = self.agent()
        agent.ask()
        self.assertEqual(agent.read_last(), {"status": "denied", "reason": "no reveal", "pair_v": 2})


class Commitment(Case):
    settings = {"pairing_max_queue": 100}

    def test_of_anything_else_than_what_was_committed_to(self):
        reveals = {
            "another nonce": {"sas_nonce": "00" * 32}, "upper case": {"sas_nonce": "AB" * 32}, "too short": {"sas_nonce": "00"},
            "no nonce": {"sas_nonce": None}, "another request": {"reqid": "0" * 16}, "no request": {"reqid": None},
        }
        for name, changes in reveals.items():
            with self.subTest(name), V2Agent(self.listener.address, "web-01") as agent:
                agent.ask()
                agent.reveal(**changes)
                self.assertEqual(agent.read_last(), MISMATCH)
        for body, target in ((b"{", "/pair/reveal"), (b"[]", "/pair/reveal"), (None, "/pair")):
            with self.subTest(body=body, target=target), V2Agent(self.listener.address, "web-01") as agent:
                agent.ask()
                agent.reveal(body=body, target=target)
                self.assertEqual(agent.read_last(), MISMATCH)
        self.listener.wait_log(rf"ACTION=pair-commit-mismatch HOST=web-01 PEER=127\.0\.0\.1 REASON=.* REQID={REQID}")
        self.assertNotIn("Pairing request", self.listener.output)
        poll("the queue is empty", lambda: not list(self.deployment.state.glob("pairing/*.json")))


class BrokenOff(Case):
    def break_off(self, times, after=lambda agent: None):
        for _ in range(times):
            with V2Agent(self.listener.address, "web-01") as agent:
                self.assertEqual(agent.ask()["status"], "pending")
                after(agent)
        poll("the queue is empty", lambda: not list(self.deployment.state.glob("pairing/*.json")))

    def test_an_agent_that_refuses_the_first_answer_is_no_probe(self):
        self.break_off(9)
        self.assertEqual(self.agent().ask()["status"], "pending")
        self.assertNotIn("mismatch", self.listener.log)
        self.assertNotIn("rate-block", self.listener.log)

    def test_check_codes_cannot_be_tried_out(self):
        """Who has the first answer can compute the code, and hang up when it is not that of the host he poses as."""
        def show_and_go(agent):
            agent.reveal()
            self.deployment.wait_request("web-01")
        self.break_off(8)
        self.break_off(2, show_and_go)
        self.assertEqual(self.agent().ask(), error("pairing queue full"))
        token = self.deployment.dispatcher("join-token", "create").stdout.decode().strip()
        with V2Agent(self.listener.address, "web-02", token) as joining:
            joining.pair()  # who has a token needs no place

    def test_nor_with_many_connections_at_once(self):
        def ask_and_go(_):
            with V2Agent(self.listener.address, "web-01") as agent:
                return agent.ask()["status"]
        with concurrent.futures.ThreadPoolExecutor(40) as pool:
            self.assertEqual(sorted(pool.map(ask_and_go, range(40))), ["error"] * 30 + ["pending"] * 10)

    def test_people_are_told_how_many_attempts_broke_off(self):
        self.break_off(3)
        agent = self.agent().wait()
        queued = self.deployment.wait_request("web-01")
        self.assertEqual(queued["broken_off"], 3)
        note = "3 earlier requests in the name of web-01 broke off before anybody could decide"
        self.assertIn(f"{queued['id']}: {note}", self.deployment.dispatcher("list-requests").stderr.decode())
        self.listener.wait_output(f"Careful: {note}")
        self.approve(queued["id"], "--sas", agent.sas)
        self.agent("web-02").wait()
        self.assertNotIn("broken_off", self.deployment.wait_request("web-02"))


class Approval(Case):
    def test_a_wrong_check_code_approves_nothing_and_tells_nothing(self):
        agent = self.agent().wait()
        reqid = self.deployment.wait_request("web-01")["id"]
        said, warned = self.approve(reqid, "--sas", other_code(agent.sas), check=1)
        self.assertIn("not the check code", warned)
        for code in (agent.sas, agent.sas.replace("-", "")):
            self.assertNotIn(code, said + warned)
        self.assertEqual(self.registered(), {})
        self.approve(reqid, "--sas", agent.sas.replace("-", ""))
        self.assertEqual(agent.read_last()["status"], "approved")

    def test_without_a_check_code_it_says_what_nobody_checked(self):
        agent = self.agent().wait()
        _, warned = self.approve(self.deployment.wait_request("web-01")["id"])
        self.assertIn("NOT CHECKED", warned)
        self.assertIn(agent.sas, warned, "the agent's side can still compare")
        self.assertEqual(self.registered()["web-01"]["trust"], "unchecked")

    def test_an_old_agent_has_no_check_code(self):
        agent = self.agent()
        agent.ask(pair_v=None, sas_commit=None)
        reqid = self.deployment.wait_request("web-01")["id"]
        self.assertIn("has no check code", self.approve(reqid, "--sas", "4831-1920", check=1)[1])
        self.assertIn("first version", self.approve(reqid)[1])
        self.assertEqual(self.registered()["web-01"]["trust"], "legacy")
        self.assertEqual(list(agent.read_last()), ["status", "cert", "ca", "nonce", "dispatcher_serial",
                                                   "dispatcher_id"])

    def test_the_same_agent_asks_again_after_a_lost_answer(self):
        agent = self.agent().wait()
        self.approve(self.deployment.wait_request("web-01")["id"])
        agent.read_last()
        serial = self.registered()["web-01"]["serial"]
        again = self.enterContext(agent.retry()).wait()
        said, _ = self.approve(self.deployment.wait_request("web-01")["id"], "--sas", again.sas)
        self.assertIn(f"is revoked (serial {serial})", said)
        self.assertIn(serial, (self.deployment.ca / "revoked-serials").read_text())
        again.read_last()
        again.check_last()
        stranger = self.agent().wait()
        self.assertIn("--replace", self.approve(self.deployment.wait_request("web-01")["id"], "--sas", stranger.sas,
                                                check=1)[1])

    def refused_and_asked_again(self, become_another):
        agent = self.agent().wait()
        reqid = self.deployment.wait_request("web-01")["id"]
        become_another()
        self.assertIn("was replaced after the agent had asked", self.approve(reqid, "--sas", agent.sas, check=1)[1])
        self.listener.wait_log("ACTION=identity-reload")
        again = self.enterContext(agent.retry()).wait()
        self.approve(again.first["reqid"], "--sas", again.sas)
        again.read_last()
        again.check_last()

    def test_a_dispatcher_that_was_set_up_anew_meanwhile_approves_nothing(self):
        self.refused_and_asked_again(lambda: self.deployment.dispatcher("setup-ctrl-exec", "--yes"))

    def test_a_certificate_that_was_revoked_meanwhile_approves_nothing(self):
        def rotate_since_the_key_was_stolen():
            stolen = self.deployment.json("serial-status")["current_serial"]
            self.deployment.dispatcher("rotate-cert")
            self.deployment.dispatcher("revoke", stolen)
        self.refused_and_asked_again(rotate_since_the_key_was_stolen)


class Rotation(unittest.TestCase):
    def test_who_asked_before_the_rotation_is_paired_and_introduced(self):
        deployment = self.enterContext(Deployment())
        agent = deployment.agent("web-01")
        with deployment.pairing_mode() as listener:
            asking = agent.request_pairing(listener)
            request = deployment.wait_request("web-01")
            before = deployment.json("serial-status")["current_serial"]
            current = deployment.json("rotate-cert")["serial"]
            self.assertNotEqual(current, before)
            deployment.dispatcher("approve", request["id"], "--sas", request["sas"])
            self.assertEqual(asking.wait_exit(), 0, asking.describe())
        record, = deployment.json("list-agents")["agents"]
        self.assertEqual((record["dispatcher_serial"], record["serial_status"]), (before, "pending"))
        agent.script("hello", "#!/bin/sh\necho hello\n")
        agent.serve()
        result, = deployment.json("run", f"web-01:{agent.daemon.port}", "hello")["results"]
        self.assertEqual(result["stdout"], "hello\n")
        record, = deployment.json("list-agents")["agents"]
        self.assertEqual((record["dispatcher_serial"], record["serial_status"]), (current, "current"))


class Policy(Case):
    settings = {"pairing_min": "v2"}

    def test_version_2_is_needed(self):
        self.assertEqual(self.agent().ask(pair_v=None, sas_commit=None), error("pairing version 2 required"))
        self.listener.wait_log("pair-reject .*REASON=\"pairing version 2 required\"")
        self.assertEqual(self.agent().ask()["status"], "pending")


class TokenPolicy(Case):
    settings = {"pairing_min": "token"}

    def test_a_token_is_needed(self):
        self.assertEqual(self.agent().ask(), error("join token required"))
        self.assertEqual(self.agent().ask(pair_v=1), error("pairing version 2 required"))


class RateLimit(Case):
    settings = {"pairing_rate_limit": "3/600/600"}

    def refused(self):
        return self.agent(token=self.unknown_token()).ask()

    def test_bad_tokens_block_the_address_for_all_but_good_ones(self):
        good = self.deployment.dispatcher("join-token", "create").stdout.decode().strip()
        for _ in range(3):
            self.assertEqual(self.refused(), error("join token refused"))
        self.listener.wait_log(r"ACTION=rate-block KIND=pairing LIMIT=3/600/600 PEER=127\.0\.0\.1")
        self.listener.wait_log(rf"ACTION=join-refuse HOST=web-01 KID={REQID} PEER=127\.0\.0\.1 REASON=\"join token refused\"")
        self.assertEqual(self.refused(), error("rate limited"))
        self.assertEqual(self.agent().ask(), error("rate limited"))
        self.assertEqual(self.agent().ask(pair_v=None), error("rate limited"))
        self.assertEqual(self.agent().ask(body=b"{"), error("rate limited"))
        agent = self.agent("web-02", token=good)
        agent.pair()
        self.assertEqual(self.registered()["web-02"]["trust"], "token")

    def test_so_do_commitments_that_are_not_kept(self):
        for _ in range(3):
            with V2Agent(self.listener.address, "web-01") as agent:
                agent.ask()
                agent.reveal(sas_nonce="00" * 32)
                self.assertEqual(agent.read_last(), MISMATCH)
        self.assertEqual(self.agent().ask(), error("rate limited"))


class OnATerminal(unittest.TestCase):
    def setUp(self):
        self.deployment = self.enterContext(Deployment())
        self.terminal = self.enterContext(
            Terminal(self.deployment.argv("pairing-mode"), self.deployment.environment()))
        self.address = self.terminal.expect(r"^Pairing mode: listening on (127\.0\.0\.1:\d+)\n")[1]

    def ask(self, name):
        agent = self.enterContext(V2Agent(self.address, name)).wait()
        self.terminal.expect(rf"^Pairing request from {name} \(127\.0\.0\.1\) - ID: {REQID}\n  Received: .*\n"
                             rf"  Code: {agent.code}\n  Check code: type the 8 digits that the agent shows, or 'a' to "
                             r"accept without\n")
        return agent

    def trusts(self):
        return {agent["hostname"]: agent["trust"] for agent in self.deployment.json("list-agents")["agents"]}

    def test_the_typed_code_accepts(self):
        agent = self.ask("web-01")
        self.terminal.expect(QUESTION)
        self.terminal.type(f"{agent.sas}\n")
        self.terminal.expect(r"^The check code matched\.")
        self.assertEqual(agent.read_last()["status"], "approved")
        self.assertEqual(self.trusts(), {"web-01": "sas"})

    def test_a_wrong_code_does_not_and_a_alone_says_what_nobody_checked(self):
        agent = self.ask("web-01")
        for answer in (other_code(agent.sas), f"a {other_code(agent.sas)}", f"a1 {other_code(agent.sas)}"):
            self.terminal.expect(QUESTION)
            self.terminal.type(f"{answer}\n")
            self.terminal.expect(r"^that is not the check code of web-01:")
        self.assertEqual(self.trusts(), {})
        self.terminal.expect(QUESTION)
        self.terminal.type("a\n")
        self.terminal.expect(rf"^NOT CHECKED: .*The agent must show {agent.sas};")
        self.assertEqual(self.trusts(), {"web-01": "unchecked"})

    def test_among_several_the_code_finds_its_request(self):
        first, second = self.ask("web-01"), self.ask("web-02")
        self.terminal.expect(r"list, quit\]: $")
        self.terminal.type("00000000\n")
        self.terminal.expect(r"^No request has that check code")
        self.terminal.type(f"{second.sas.replace('-', '')}\n")
        self.terminal.expect(r"^Approved: web-02 ")
        self.terminal.type(f"a1 {first.sas}\n")
        self.terminal.expect(r"^Approved: web-01 ")
        self.assertEqual(self.trusts(), {"web-01": "sas", "web-02": "sas"})

    def test_an_old_agent_cannot_check_who_answers(self):
        agent = self.enterContext(V2Agent(self.address, "web-01"))
        agent.ask(pair_v=None, sas_commit=None)
        self.terminal.expect(r"^  Code: \d{6}\n  The agent is of the first version of pairing: it cannot check who "
                             r"answers it\.\n")


if __name__ == "__main__":
    unittest.main()
