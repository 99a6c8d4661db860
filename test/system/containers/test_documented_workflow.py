"""The pairing workflow of the user's document and what follows it, with compose.yml and the commands as written."""

import json
import pathlib
import re
import shlex
import tempfile
import unittest

from container_case import AGENT, ComposeCase, Container, DISPATCHER
from docker_engine import ROOT
from processes import poll

QUESTION = r"Accept, Deny, or Skip\? \[a/d/s\]: "
SCRIPT = "#!/bin/sh\nexec df -h \"$@\"\n"


class Workflow(ComposeCase):
    def start_dispatcher(self):
        self.compose("up", "-d", "dispatcher")
        self.dispatcher.wait_log(r"listening on ")

    def request_on_screen(self, terminal):
        shown = terminal.expect(r"Pairing request from agent \(\d+\.\d+\.\d+\.\d+\) - ID: ([0-9a-f]+)\n"
                                r"  Received: \d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ\n")
        terminal.expect(QUESTION)
        return shown[1]

    def pair(self):
        self.start_dispatcher()
        self.compose("up", "-d", "agent")
        self.dispatcher.listen_for_pairing()
        self.dispatcher.approve("agent")
        self.agent.wait_log(r"listening on ")

    def assert_works(self):
        self.assertIn("agent", self.dispatcher.dispatcher("ping", "agent").stdout)
        self.add_check_disk_as_documented()
        self.assertIn("Filesystem", self.dispatcher.dispatcher("run", "agent", "check-disk").stdout)

    def add_check_disk_as_documented(self):
        with tempfile.TemporaryDirectory() as folder:
            script = pathlib.Path(folder) / "check-disk.sh"
            script.write_text(SCRIPT)
            self.engine.docker("cp", script, "agent:/opt/ctrl-exec-scripts/")
        self.agent.exec("chmod", "750", "/opt/ctrl-exec-scripts/check-disk.sh")
        self.agent.exec("chown", "root:ctrl-exec-agent", "/opt/ctrl-exec-scripts/check-disk.sh")
        self.agent.exec("sh", "-c", 'echo "check-disk = /opt/ctrl-exec-scripts/check-disk.sh" '
                        ">> /etc/ctrl-exec-agent/scripts.conf")
        self.agent.exec("kill", "-HUP", "1")
        poll("check-disk is allowed", lambda: self.dispatcher.run_result("agent", "check-disk")["exit"] == 0)

    # --- steps 1 to 6 --------------------------------------------------------------------------------------------

    def test_all_steps_with_the_default_serving_at_once(self):
        self.start_dispatcher()
        self.assertRegex(self.dispatcher.logs, r"(?s)\[entrypoint\] Generating ctrl-exec.conf\.\.\.\n.*"
                         r"\[entrypoint\] ctrl-exec\.conf written\.\n.*"
                         r"\[entrypoint\] First start: initialising CA\.\.\.\n.*"
                         r"\[entrypoint\] CA and ctrl-exec cert created\.\n.*"
                         r"\[entrypoint\] Example auth hook copied to /etc/ctrl-exec/auth-hook\.example\n.*"
                         r"\[entrypoint\] Starting ctrl-exec-api\.\.\.\n")
        with self.dispatcher.pairing_terminal() as pairing, self.foreground("up", "agent") as up:
            self.agent.wait_created()  # before that docker-compose may be busy for longer than anything else here
            up.expect(r"\[entrypoint\] No cert found - requesting pairing with dispatcher\.\.\.")
            self.request_on_screen(pairing)
            pairing.type("a\n")
            pairing.expect(r"^Approved: agent ")
            up.expect(r"\[entrypoint\] Cert found - starting ctrl-exec-agent serve\.\.\.")
            up.expect(r"listening on ")
            self.compose("up", "-d", "agent")
            self.assertTrue(self.agent.state["Running"])
            self.assert_works()

    def test_all_steps_in_two_phases(self):
        self.start_dispatcher()
        with self.dispatcher.pairing_terminal() as pairing:
            self.up_with("-d", "agent", AGENT_PAIRING="exit")
            self.request_on_screen(pairing)
            pairing.type("a\n")
            pairing.expect(r"^Approved: agent ")
            self.assertEqual(self.agent.wait_exit(), 0)
        self.assertIn("[entrypoint] No cert found - requesting pairing with dispatcher...\n", self.agent.logs)
        self.assertIn("[entrypoint] Pairing request sent. Approve on the dispatcher, then restart this container.\n",
                      self.agent.logs)
        self.assertEqual(self.agent.inspect()["RestartCount"], 0)
        self.compose("up", "-d", "agent")
        self.agent.wait_log(r"\[entrypoint\] Cert found - starting ctrl-exec-agent serve\.\.\.")
        self.agent.wait_log(r"listening on ")
        self.assert_works()

    def test_approval_from_a_third_terminal(self):
        self.start_dispatcher()
        self.dispatcher.listen_for_pairing()
        self.compose("up", "-d", "agent")
        request = self.dispatcher.wait_request("agent")
        self.assertIn(request["id"], self.dispatcher.dispatcher("list-requests").stdout)
        self.assertIn(request["code"], self.agent.logs, "both sides show the same code")
        self.dispatcher.dispatcher("approve", request["id"])
        self.agent.wait_log(r"listening on ")
        self.assert_works()

    def test_page_for_newcomers(self):
        """From nothing to a run: each command block of the page, as it stands there."""
        page = (ROOT / "docs/containers.md").read_text(encoding="utf-8")
        section = page.partition("## From nothing to a run\n")[2].partition("\n## ")[0]
        up, pairing_mode, script, run = re.findall(r"```sh\n(.*?)```", section, re.S)

        def execute(block):
            compose = shlex.join(str(word) for word in self.compose_words())
            return self.engine.run(["sh", "-ec", "cd \"$1\"\n" + block.replace("docker compose ", f"{compose} "), "sh",
                                    folder]).stdout

        with tempfile.TemporaryDirectory() as folder:
            execute(up)
            self.assertEqual(pairing_mode, "docker exec -it dispatcher ctrl-exec-dispatcher pairing-mode\n")
            with self.dispatcher.pairing_terminal() as terminal:
                self.request_on_screen(terminal)
                terminal.type("a\n")
                self.agent.wait_log(r"listening on ")
            execute(script)
            self.assertEqual(execute(run).count("[OK  exit:0"), 2)

    # --- what comes later ----------------------------------------------------------------------------------------

    def test_volumes_outlive_images_and_their_end_means_pairing_again(self):
        self.pair()
        self.add_check_disk_as_documented()
        authority = self.dispatcher.exec("cat", "/etc/ctrl-exec/ca.crt").stdout
        before = [container.inspect()["Image"] for container in (self.dispatcher, self.agent)]

        self.engine.docker("build", "-t", "alpine:other", "-", input="FROM alpine:3.21\nRUN touch /other\n")
        self.compose("build", "--build-arg", "ALPINE_IMAGE=alpine:other", "dispatcher", "agent", timeout=600)
        self.compose("up", "-d", "dispatcher", "agent")
        self.dispatcher.exec("ls", "/other")
        self.assertFalse(set(before) & {container.inspect()["Image"] for container in (self.dispatcher, self.agent)})
        self.agent.wait_log(r"listening on ")
        self.assertIn("[entrypoint] Cert found", self.agent.logs)
        self.assertNotIn("initialising CA", self.dispatcher.logs)
        self.assertEqual(self.dispatcher.exec("cat", "/etc/ctrl-exec/ca.crt").stdout, authority)
        self.assertEqual(self.dispatcher.registered(), ["agent"])
        self.assertEqual(self.dispatcher.run_result("agent", "check-disk")["exit"], 0)

        self.compose("down", "-v")
        self.pair()
        self.assertNotEqual(self.dispatcher.exec("cat", "/etc/ctrl-exec/ca.crt").stdout, authority)
        self.assert_works()

    def test_allow_and_disallow(self):
        self.pair()
        with tempfile.TemporaryDirectory() as folder:
            script = pathlib.Path(folder) / "check-disk.sh"
            script.write_text(SCRIPT)
            script.chmod(0o755)
            self.engine.docker("cp", script, "agent:/opt/ctrl-exec-scripts/")
        self.agent.exec("ctrl-exec-agent", "allow", "check-disk", "/opt/ctrl-exec-scripts/check-disk.sh")
        poll("check-disk is allowed", lambda: self.dispatcher.run_result("agent", "check-disk")["exit"] == 0)
        self.agent.exec("ctrl-exec-agent", "disallow", "check-disk")
        poll("check-disk is allowed no more", lambda: self.dispatcher.run_result("agent", "check-disk").get("error")
             == "script not permitted")
        self.agent.exec("ctrl-exec-agent", "reload")

    def test_backup_of_the_ca_key(self):
        self.start_dispatcher()
        with tempfile.TemporaryDirectory() as folder:
            passphrase, exported = pathlib.Path(folder) / "passphrase", pathlib.Path(folder) / "ca.key.enc"
            passphrase.write_text("correct horse battery staple\n")
            passphrase.chmod(0o600)
            self.engine.docker("cp", passphrase, "dispatcher:/tmp/passphrase")
            self.dispatcher.dispatcher("export-ca-key", "--out", "/tmp/ca.key.enc", "--passphrase-file", "/tmp/passphrase")
            self.engine.docker("cp", "dispatcher:/tmp/ca.key.enc", exported)
            self.dispatcher.exec("rm", "/tmp/ca.key.enc", "/tmp/passphrase")
            key = self.engine.run(["openssl", "pkey", "-in", exported, "-passin", f"file:{passphrase}"]).stdout
        self.assertEqual(key.strip(), self.dispatcher.exec("cat", "/etc/ctrl-exec/ca.key").stdout.strip())

    def test_published_ports(self):
        """The agent's is reached from outside; the API's is not as long as API_BIND is 127.0.0.1."""
        self.pair()
        shown = self.engine.inside("openssl", "s_client", "-connect", "127.0.0.1:7443", check=False).stdout
        self.assertRegex(shown, r"CN *= *agent\b")
        answer = self.dispatcher.exec("wget", "-qO-", "http://127.0.0.1:7445/livez").stdout
        self.assertTrue(answer)
        refused = self.engine.inside("curl", "-s", "-m", "5", "http://127.0.0.1:7445/livez", check=False)
        self.assertNotEqual(refused.returncode, 0)


class SeveralAgents(ComposeCase):
    files = ("compose.yml", "compose.agents.yml")

    def images(self):
        return {"dispatcher": DISPATCHER, "agent": AGENT, "agent-db": AGENT, "agent-web": AGENT}

    def test_two_agents_and_their_tags(self):
        self.compose("up", "-d", "dispatcher", "agent-db", "agent-web")
        self.dispatcher.wait_log(r"listening on ")
        self.dispatcher.listen_for_pairing()
        for name in ("agent-db", "agent-web"):
            self.dispatcher.approve(name)
            Container(self.engine, name).wait_log(r"listening on ")
        self.assertEqual(self.dispatcher.registered(), ["agent-db", "agent-web"])
        self.dispatcher.dispatcher("ping", "agent-db", "agent-web")

        # The API of this dispatcher refuses everybody; another one on the same volumes shows what it would say.
        self.dispatcher.exec("sed", "-i", "s/^api_auth_default.*/api_auth_default = allow/",
                             "/etc/ctrl-exec/ctrl-exec.conf")
        self.dispatcher.exec("kill", "-HUP", "1")
        hosts = poll("the API allows", self.discover)
        self.assertEqual({name: host["tags"] for name, host in hosts.items()},
                         {"agent-db": {"env": "production", "role": "database"},
                          "agent-web": {"env": "production", "role": "web", "zone": "eu-1"}})

    def discover(self):
        answer = self.dispatcher.exec("wget", "-qO-", "http://127.0.0.1:7445/discovery", check=False)
        return json.loads(answer.stdout)["hosts"] if answer.returncode == 0 else None


class Fleet(ComposeCase):
    """compose.fleet.yml: as many agents as are asked for join by themselves, with the token that the dispatcher made."""

    files = ("compose.fleet.yml",)

    def up(self, count):
        self.compose("up", "-d", "--scale", f"agent={count}")
        agents = [Container(self.engine, f"{self.project}_agent_{i + 1}") for i in range(count)]
        for agent in agents:
            agent.wait_log(r"listening on ")
        return agents

    def test_agents_join_without_a_further_command(self):
        self.dispatcher = Container(self.engine, f"{self.project}_dispatcher_1")
        agents = self.up(3)
        self.assertEqual(len(self.dispatcher.registered()), 3)
        self.dispatcher.dispatcher("ping", "all")
        starts = [agent.state["StartedAt"] for agent in agents]
        self.assertEqual([agent.state["StartedAt"] for agent in self.up(5)][:3], starts)
        self.assertEqual(len(self.dispatcher.registered()), 5)
        self.assertEqual(len(re.findall(r"Join token \w+ written to /join/token", self.dispatcher.logs)), 1)
        self.engine.docker("restart", self.dispatcher.name)
        self.dispatcher.wait_log(r"listening on ", 2)
        self.dispatcher.dispatcher("ping", "all")
        self.assertEqual(len(self.up(6)), 6)
        self.assertEqual(len(re.findall(r"Join token \w+ written", self.dispatcher.logs)), 1)
        for agent in agents:
            self.assertNotIn("cej2_", agent.logs)


class OtherFiles(ComposeCase):
    """compose.dispatcher.yml and compose.agent.yml: two projects, one network in common."""

    files = ("compose.dispatcher.yml",)

    def images(self):
        return {"dispatcher": DISPATCHER}

    def test_dispatcher_and_agent_in_projects_of_their_own(self):
        self.compose("up", "-d")
        self.dispatcher.wait_log(r"listening on ")
        other = OtherAgent("compose")
        other.engine = self.engine
        other.setUp()
        self.addCleanup(other.doCleanups)
        other.compose("up", "-d")
        self.agent.wait_log(r"No cert found")
        self.engine.docker("network", "disconnect", "other_ctrl-exec-net-agent", "agent")
        self.engine.docker("network", "connect", "stack_default", "agent")
        self.dispatcher.listen_for_pairing()
        self.dispatcher.approve("agent")
        self.agent.wait_log(r"listening on ")
        self.dispatcher.dispatcher("ping", "agent")
        self.assertIn(":7444", self.engine.docker("port", "dispatcher", "7444").stdout)


class OtherAgent(ComposeCase):
    files = ("compose.agent.yml",)
    project = "other"

    def images(self):
        return {"agent": AGENT}

    def compose_words(self, *words):
        return ["env", "DISPATCHER_HOST=dispatcher", *super().compose_words(*words)]


if __name__ == "__main__":
    unittest.main()
