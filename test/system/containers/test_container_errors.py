"""Bad input of containers: a clear line, the right exit code, and nothing lost."""

import concurrent.futures
import unittest

from container_case import AGENT, ContainerCase, DISPATCHER, SCRATCH

CONFIG = 78


class Environment(ContainerCase):
    def assert_ends(self, image, code, pattern, environment, volumes=None):
        container = self.container(image, environment=environment, volumes=volumes)
        self.assertEqual(container.wait_exit(), code, container.logs)
        self.assertRegex(container.logs, pattern)
        return container

    def test_agent_without_dispatcher_host(self):
        for image in (AGENT, SCRATCH):
            with self.subTest(image):
                self.assert_ends(image, 1, r"\[entrypoint\] ERROR: DISPATCHER_HOST environment variable not set\.\n",
                                 {"ROLE": "agent"})

    def test_garbage_for_the_dispatcher(self):
        for name, value in (("API_BIND", "everywhere"), ("API_PORT", "banana"), ("API_PORT", "99999"),
                            ("API_PORT", "7445\napi_auth_default = allow"), ("API_AUTH_DEFAULT", "maybe"),
                            ("READ_TIMEOUT", "-1"), ("READ_TIMEOUT", "1\nauth_hook ="),
                            ("CTRL_EXEC_SHUTDOWN_GRACE", "soon")):
            with self.subTest(f"{name}={value!r}"):
                volume = self.volume()
                self.assert_ends(DISPATCHER, CONFIG, name, {name: value}, {volume: "/etc/ctrl-exec"})
                self.assertNotIn("ca.key", self.shell("ls /volume", {volume: "/volume"}), "nothing is made")

    def test_garbage_for_the_agent(self):
        for name, value in (("DISPATCHER_HOST", "no host"), ("DISPATCHER_HOST", "a" * 5000), ("AGENT_PAIRING", "maybe"),
                            ("AGENT_TAGS", "no-value"), ("AGENT_TAGS", "=x"), ("AGENT_ENV", "a\nport = 1"),
                            ("CTRL_EXEC_AGENT_PORT", "banana")):
            with self.subTest(f"{name}={value[:40]!r}"):
                self.assert_ends(AGENT, CONFIG, name, {"DISPATCHER_HOST": "dispatcher", name: value})

    def test_role(self):
        self.assert_ends(SCRATCH, CONFIG, r"ROLE", {"ROLE": "king"})

    def test_both_a_token_and_a_file_of_one(self):
        dispatcher = self.start_dispatcher(environment={"ENVEXEC_TOKEN": "secret"})
        done = dispatcher.dispatcher("run", "agent", "check-disk", options=["-e", "ENVEXEC_TOKEN_FILE=/run/secrets/token"],
                                     check=False)
        self.assertNotEqual(done.returncode, 0)
        self.assertRegex(done.stderr, "ENVEXEC_TOKEN.*ENVEXEC_TOKEN_FILE")
        self.assertNotIn("secret ", done.stderr)


class Files(ContainerCase):
    def test_directory_where_a_file_should_be(self):
        """What Docker makes when the host's side of a mount is missing."""
        for image, place, name in ((DISPATCHER, "/etc/ctrl-exec", "ctrl-exec.conf"),
                                   (DISPATCHER, "/etc/ctrl-exec", "ca.crt"),
                                   (DISPATCHER, "/etc/ctrl-exec", "ctrl-exec.key"),
                                   (AGENT, "/etc/ctrl-exec-agent", "agent.conf"),
                                   (AGENT, "/etc/ctrl-exec-agent", "agent.crt")):
            with self.subTest(name):
                volume = self.volume()
                self.fill(volume, {name: (None, 0o755, 0, 0)})
                container = self.container(image, environment={"DISPATCHER_HOST": "nobody", "AGENT_PAIRING": "exit"},
                                           volumes={volume: place})
                self.assertIn(container.wait_exit(), (1, CONFIG))
                self.assertRegex(container.logs, rf"{place}/{name}: not a regular file")

    def test_existing_files_are_never_overwritten(self):
        data = self.volume()
        text = "# mine\ncert = /etc/ctrl-exec/ctrl-exec.crt\nkey = /etc/ctrl-exec/ctrl-exec.key\n" \
               "ca = /etc/ctrl-exec/ca.crt\napi_port = 7000\n"
        self.fill(data, {"ctrl-exec.conf": (text, 0o644, 0, 0), "auth-hook.example": ("mine", 0o644, 0, 0)})
        dispatcher = self.start_dispatcher(volumes={data: "/etc/ctrl-exec"}, environment={"API_PORT": "7445"})
        self.assertIn(":7000", dispatcher.logs)
        self.assertEqual(self.read(data, "ctrl-exec.conf"), text)
        self.assertEqual(self.read(data, "auth-hook.example"), "mine")

    def test_full_volume(self):
        """A dispatcher that could not be set up leaves nothing that hinders the next start."""
        for place in ("/etc/ctrl-exec", "/var/lib/ctrl-exec"):
            with self.subTest(place):
                volume = self.volume("-o", "type=tmpfs", "-o", "device=tmpfs", "-o", "o=size=256k,mode=1777")
                # A volume in memory lasts as long as a container uses it.
                self.container("alpine:3.21", "sh", "-c", "trap exit TERM; while :; do sleep 1000 & wait; done",
                               volumes={volume: "/volume"}, name=f"holder-{volume}")
                self.shell("dd if=/dev/zero of=/volume/filler bs=4k 2>/dev/null || :", {volume: "/volume"})
                container = self.container(SCRATCH, environment={"ROLE": "dispatcher"}, volumes={volume: place})
                code = container.wait_exit() if place == "/etc/ctrl-exec" else self.end_or_stop(container)
                if place == "/etc/ctrl-exec":
                    self.assertEqual(code, 1, container.logs)
                    self.assertRegex(container.logs, rf"{place}/\S+.*No space left")
                self.shell("rm /volume/filler", {volume: "/volume"})
                self.start_dispatcher(SCRATCH, volumes={volume: place})
                self.engine.docker("rm", "-f", f"holder-{volume}")

    def end_or_stop(self, container):
        """A full registry may stop the start or not; either way it says so or serves."""
        container.engine.docker("stop", container.name)
        return container.state["ExitCode"]

    def test_full_volume_of_an_agent_loses_no_approval(self):
        network = self.network()
        dispatcher = self.start_dispatcher(network=network)
        volume = self.volume("-o", "type=tmpfs", "-o", "device=tmpfs", "-o", "o=size=256k,mode=1777")
        self.container("alpine:3.21", "sh", "-c", "trap exit TERM; while :; do sleep 1000 & wait; done",
                       volumes={volume: "/volume"}, name="holder")
        self.shell("dd if=/dev/zero of=/volume/filler bs=4k 2>/dev/null || :", {volume: "/volume"})
        agent = self.start_agent("agent", dispatcher.name, network=network, volumes={volume: "/etc/ctrl-exec-agent"})
        self.assertEqual(agent.wait_exit(), 1, agent.logs)
        self.assertRegex(agent.logs, r"/etc/ctrl-exec-agent/\S+.*No space left")
        self.assertEqual(dispatcher.json("list-requests")["requests"], [], "nothing was asked for")
        self.shell("rm /volume/filler", {volume: "/volume"})
        self.engine.docker("start", agent.name)
        self.pair(dispatcher, agent)


class Concurrency(ContainerCase):
    def test_two_dispatchers_start_on_one_volume(self):
        for _ in range(3):
            volumes = {self.volume(): "/etc/ctrl-exec", self.volume(): "/var/lib/ctrl-exec"}
            with concurrent.futures.ThreadPoolExecutor() as pool:
                starts = [pool.submit(self.start_dispatcher, SCRATCH, volumes=volumes) for _ in range(2)]
                containers = [start.result() for start in starts]
            logs = "".join(container.logs for container in containers)
            self.assertEqual(logs.count("[entrypoint] ctrl-exec.conf written."), 1, logs)
            for container in containers:
                container.exec("ctrl-exec", "healthcheck", "--ready")
            for made in (r"CA created: ", r"Dispatcher certificate created: "):
                self.assertEqual(logs.count(made), 1, logs)

    def test_two_agents_start_on_one_volume(self):
        network = self.network()
        dispatcher = self.start_dispatcher(network=network)
        dispatcher.listen_for_pairing()
        volumes = {self.volume(): "/etc/ctrl-exec-agent", self.volume(): "/opt/ctrl-exec-scripts"}
        agents = [self.start_agent(name, dispatcher.name, SCRATCH, network=network, volumes=volumes)
                  for name in ("agent-one", "agent-two")]
        request = dispatcher.wait_request_of_any()
        dispatcher.dispatcher("approve", request["id"])
        for agent in agents:
            agent.wait_log(r"listening on ")


if __name__ == "__main__":
    unittest.main()
