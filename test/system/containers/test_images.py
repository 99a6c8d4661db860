"""What is in the images, how large they are, and what they say of themselves."""

import json
import re
import unittest

from container_case import AGENT, ALPINE, ContainerCase, DISPATCHER, SCRATCH
from docker_engine import ROOT

LINKS = {"usr/bin/" + name for name in ("cea", "ced", "ctrl-exec-agent", "ctrl-exec-api", "ctrl-exec-dispatcher")}
VOLUMES = {"/etc/ctrl-exec", "/var/lib/ctrl-exec", "/etc/ctrl-exec-agent", "/opt/ctrl-exec-scripts",
           "/var/lib/ctrl-exec-agent"}


class Images(ContainerCase):
    def image(self, name):
        return json.loads(self.engine.docker("image", "inspect", name).stdout)[0]

    def test_scratch_holds_the_program_and_nothing_else(self):
        self.engine.docker("create", "--name", "exported", SCRATCH)
        self.addCleanup(self.engine.docker, "rm", "-v", "exported")
        listed = self.engine.run(["sh", "-ec", "docker export exported | tar tv"]).stdout.splitlines()
        entries = {line.split(None, 5)[5].partition(" -> ")[0]: line for line in listed}
        made_by_docker = re.compile(r"\.dockerenv|dev/.*|proc/|sys/|etc/(hostname|hosts|mtab|resolv\.conf)")
        entries = {name: line for name, line in entries.items() if not made_by_docker.fullmatch(name)}
        folders = {name for name, line in entries.items() if line.startswith("d")}
        self.assertEqual(entries.keys() - folders, {"usr/bin/ctrl-exec", *LINKS})
        self.assertEqual(folders, {"etc/", "usr/", "usr/bin/", "var/", "var/lib/", "opt/",
                                   *(volume[1:] + "/" for volume in VOLUMES)})
        for volume in VOLUMES:
            self.assertTrue(entries[volume[1:] + "/"].startswith("drwxrwxrwt"), entries[volume[1:] + "/"])
        self.assertTrue(all(" 0/0 " in line or " root/root " in line for line in entries.values()))

    def test_scratch_has_at_most_6_mb(self):
        self.assertLessEqual(self.image(SCRATCH)["Size"], 6_000_000)

    def test_configuration(self):
        ports = {SCRATCH: {"7443", "7444", "7445"}, DISPATCHER: {"7444", "7445"}, AGENT: {"7443"}}
        volumes = {SCRATCH: VOLUMES, DISPATCHER: {"/etc/ctrl-exec", "/var/lib/ctrl-exec"},
                   AGENT: {"/etc/ctrl-exec-agent", "/opt/ctrl-exec-scripts", "/var/lib/ctrl-exec-agent"}}
        version = re.search(r"version: '([\d.]+)'", (ROOT / "meson.build").read_text())[1]
        for name in (SCRATCH, DISPATCHER, AGENT):
            with self.subTest(name):
                config = self.image(name)["Config"]
                self.assertEqual(config["StopSignal"], "SIGTERM")
                self.assertEqual(config["Healthcheck"]["Test"], ["CMD", "/usr/bin/ctrl-exec", "healthcheck"])
                self.assertEqual(set(config["ExposedPorts"]), {port + "/tcp" for port in ports[name]})
                self.assertEqual(set(config["Volumes"]), volumes[name])
                self.assertEqual(config["User"], "7440:7440" if name == SCRATCH else "")
                labels = config["Labels"]
                self.assertEqual(labels["org.opencontainers.image.version"], version)
                self.assertEqual(labels["org.opencontainers.image.licenses"], "Apache-2.0")
                shown = self.engine.docker("run", "--rm", "--entrypoint", "ctrl-exec", name, "--version").stdout
                self.assertEqual(shown, f"ctrl-exec {version}\n")

    def test_users_and_groups_of_alpine(self):
        for name in ("ctrl-exec", "ctrl-exec-agent"):
            done = self.engine.docker("run", "--rm", "--entrypoint", "id", ALPINE, name).stdout
            self.assertTrue(done.startswith("uid=7440("), done)
            self.assertIn("gid=7440(", done)

    def test_scratch_needs_a_role(self):
        container = self.container(SCRATCH)
        self.assertEqual(container.wait_exit(), 2)

    def test_role_as_an_operand(self):
        dispatcher = self.container(SCRATCH, "entrypoint", "dispatcher")
        dispatcher.wait_log(r"listening on ")
        dispatcher.exec("ctrl-exec", "healthcheck", "--ready", "dispatcher")

    def test_entrypoint_scripts_run_in_ash_and_have_room_for_additions(self):
        """The marked place: what is put there runs after the configuration exists and before anything listens."""
        for role, file in (("dispatcher", "/etc/ctrl-exec/ctrl-exec.conf"), ("agent", "/etc/ctrl-exec-agent/agent.conf")):
            with self.subTest(role):
                script = (ROOT / f"packaging/alpine/{role}-entrypoint.sh").read_text()
                marked = re.subn(r"(?m)^(# --- your additions.*)$", rf"\1\ntest -s {file}\necho 'here I am'", script)
                self.assertEqual(marked[1], 1)
                image = f"own-{role}"
                self.engine.docker("build", "-t", image, "-", input=(
                    f"FROM ctrl-exec-{role}\nENTRYPOINT [\"/bin/sh\", \"-c\", {json.dumps(marked[0])}]\n"))
                container = self.container(image, environment={"DISPATCHER_HOST": "nobody"})
                container.wait_log(r"here I am")
                container.wait_log(r"Starting ctrl-exec-api|No cert found")

    def test_auth_hook_example(self):
        """Refuses without its list, and then allows what the list says."""
        digest = self.shell("printf %s secret | sha256sum").split()[0]
        ask = "env ENVEXEC_ACTION={} ENVEXEC_SCRIPT={} ENVEXEC_TOKEN={} /hook/auth-hook"
        volume = self.volume()
        self.fill(volume, {"auth-hook": ((ROOT / "packaging/auth-hook.example").read_bytes(), 0o755, 0, 0)})

        def verdict(action, script, token):
            return int(self.shell(f"{ask.format(action, script, token)} && echo 0 || echo $?", {volume: "/hook"}))

        self.assertEqual(verdict("run", "check-disk", "secret"), 1)
        self.fill(volume, {"auth-hook.tokens": (f"# list\n{digest} ann check-disk df\n{'0' * 64} bob *\n", 0o600, 0, 0)})
        self.assertEqual(verdict("api", "", "secret"), 0)
        self.assertEqual(verdict("ping", "", "secret"), 0)
        self.assertEqual(verdict("run", "df", "secret"), 0)
        self.assertEqual(verdict("run", "other", "secret"), 3)
        self.assertEqual(verdict("shutdown", "df", "secret"), 1)
        self.assertEqual(verdict("run", "df", "wrong"), 2)
        self.assertEqual(verdict("run", "df", "''"), 2)


if __name__ == "__main__":
    unittest.main()
