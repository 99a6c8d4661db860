"""Without privileges: a read-only image, no capabilities, any user; volumes of another user."""

import pathlib
import unittest

from container_case import AGENT, ContainerCase, DISPATCHER, HARDENED, SCRATCH

BUSYBOX = pathlib.Path("/bin/busybox")


class Hardened(ContainerCase):
    def assert_pairs_and_runs(self, user, dispatcher_image, agent_image):
        network = self.network()
        options = [*HARDENED, *(["--user", user] if user else [])]
        dispatcher = self.start_dispatcher(dispatcher_image, options=options, network=network)
        agent_data, scripts = self.volume(), self.volume()
        # A static program, since the scratch image has no interpreter: busybox looks at the name it is called by.
        self.fill(scripts, {"id": (BUSYBOX.read_bytes(), 0o755, 0, 0)})
        agent = self.start_agent("agent", dispatcher.name, agent_image, options=options, network=network,
                                 volumes={agent_data: "/etc/ctrl-exec-agent", scripts: "/opt/ctrl-exec-scripts"})
        self.pair(dispatcher, agent)
        agent.exec("ctrl-exec-agent", "allow", "id", "/opt/ctrl-exec-scripts/id")
        result = dispatcher.run_result("agent", "id", "--", "-u")
        self.assertEqual((result["exit"], result["stdout"]), (0, (user or "7440").partition(":")[0] + "\n"), result)
        for container in (dispatcher, agent):
            container.exec("ctrl-exec", "healthcheck", "--ready")
            self.assertEqual(self.engine.docker("diff", container.name).stdout.replace(
                "A /dev/console", "").strip(), "", "nothing is written but to the volumes")
            self.engine.docker("restart", container.name)
            container.wait_log(r"listening on ", count=2)
        self.assertEqual(dispatcher.run_result("agent", "id", "--", "-g")["exit"], 0)
        for container in (dispatcher, agent):
            self.assertEqual(container.stop()[1], 0)

    def test_role_images_as_their_user(self):
        self.assert_pairs_and_runs("7440:7440", DISPATCHER, AGENT)

    def test_role_images_as_any_user(self):
        self.assert_pairs_and_runs("12345:12345", DISPATCHER, AGENT)

    def test_role_images_as_root(self):
        self.assert_pairs_and_runs("0:0", DISPATCHER, AGENT)

    def test_scratch_as_its_user_with_nothing_but_volumes(self):
        self.assert_pairs_and_runs(None, SCRATCH, SCRATCH)

    def test_scratch_as_any_user(self):
        self.assert_pairs_and_runs("12345:12345", SCRATCH, SCRATCH)

    def test_scratch_as_root(self):
        self.assert_pairs_and_runs("0:0", SCRATCH, SCRATCH)


class ForeignVolumes(ContainerCase):
    def test_directory_of_another_user(self):
        """One line that names the path, its owner, our uid and the remedy."""
        for role, place in (("dispatcher", "/etc/ctrl-exec"), ("dispatcher", "/var/lib/ctrl-exec"),
                            ("agent", "/etc/ctrl-exec-agent")):
            with self.subTest(place):
                volume = self.volume()
                # Not empty: an empty volume would get owner and mode of the image's directory.
                self.shell("touch /volume/kept; chown 999:999 /volume; chmod 750 /volume", {volume: "/volume"})
                container = self.container(SCRATCH, options=HARDENED, volumes={volume: place},
                                           environment={"ROLE": role, "DISPATCHER_HOST": "dispatcher"})
                self.assertIn(container.wait_exit(), (1, 78))
                lines = [line for line in container.logs.splitlines() if place in line and "999" in line]
                self.assertTrue(lines, container.logs)
                self.assertIn("7440", lines[-1])
                self.assertIn("chown", lines[-1])

    def test_key_of_another_user(self):
        """A volume of root's, and then another user: whoever cannot read the key says so, and nothing is replaced."""
        data, state = self.volume(), self.volume()
        volumes = {data: "/etc/ctrl-exec", state: "/var/lib/ctrl-exec"}
        dispatcher = self.start_dispatcher(options=["--user", "0:0"], volumes=volumes)
        dispatcher.stop()
        before = self.shell("cd /volume && sha256sum ca.* ctrl-exec.*", {data: "/volume"})
        other = self.container(DISPATCHER, options=["--user", "7440:7440", *HARDENED], volumes=volumes)
        self.assertIn(other.wait_exit(), (1, 78))
        self.assertIn("/etc/ctrl-exec/", other.logs)
        self.assertEqual(self.shell("cd /volume && sha256sum ca.* ctrl-exec.*", {data: "/volume"}), before)


if __name__ == "__main__":
    unittest.main()
