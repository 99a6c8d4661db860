"""PID 1 and what Docker does to it: stopping under load, orphans, health, a network that goes away."""

import concurrent.futures
import json
import time
import unittest

from container_case import ContainerCase
from processes import poll

HEALTH = ("--health-interval", "1s", "--health-timeout", "2s", "--health-retries", "1", "--health-start-period", "0s")


class Stopping(ContainerCase):
    def test_agent_under_load(self):
        """Runs that end in time are answered; one that does not is ended, and its caller told so."""
        dispatcher, agent = self.paired()
        self.add_script(agent, "short", "#!/bin/sh\n: >/tmp/short-$1\nsleep 3\necho done\n")
        self.add_script(agent, "endless", "#!/bin/sh\n: >/tmp/short-endless\nsleep 1000\n")
        # Each under a name of its own: a script runs once at a time on a host.
        for number in range(4):
            agent.exec("ctrl-exec-agent", "allow", f"short-{number}", "/opt/ctrl-exec-scripts/short.sh")
        with concurrent.futures.ThreadPoolExecutor() as pool:
            runs = [pool.submit(dispatcher.run_result, "agent", f"short-{number}", "--", str(number))
                    for number in range(4)]
            endless = pool.submit(dispatcher.run_result, "agent", "endless")
            poll("all of them run",
                 lambda: len(agent.exec("sh", "-c", "ls /tmp/short-*", check=False).stdout.split()) == 5)
            seconds, code = agent.stop()
            self.assertLess(seconds, 10)
            self.assertEqual(code, 0, agent.logs)
            for run in runs:
                self.assertEqual((run.result()["exit"], run.result()["stdout"]), (0, "done\n"), run.result())
            self.assertNotEqual(endless.result()["exit"], 0, endless.result())
        self.engine.docker("start", agent.name)
        agent.wait_log(r"listening on ", count=2)
        self.assertEqual(dispatcher.run_result("agent", "short-0", "--", "0")["exit"], 0)

    def test_dispatcher_under_load(self):
        dispatcher, agent = self.paired()
        self.add_script(agent, "short", "#!/bin/sh\n: >/tmp/started\nsleep 2\necho done\n")
        dispatcher.exec("sed", "-i", "s/^api_auth_default.*/api_auth_default = allow/",
                        "/etc/ctrl-exec/ctrl-exec.conf")
        dispatcher.exec("sed", "-i", "s/^api_bind.*/api_bind = 0.0.0.0/", "/etc/ctrl-exec/ctrl-exec.conf")
        self.engine.docker("restart", dispatcher.name)
        dispatcher.wait_log(r"listening on ", count=2)
        body = json.dumps({"hosts": ["agent"], "script": "short"})
        with concurrent.futures.ThreadPoolExecutor() as pool:
            run = pool.submit(self.engine.inside, "curl", "-s", "-d", body, "-H", "Content-Type: application/json",
                              f"http://{dispatcher.address}:7445/run")
            poll("it runs", lambda: agent.exec("test", "-e", "/tmp/started", check=False).returncode == 0)
            seconds, code = dispatcher.stop()
            self.assertLess(seconds, 10)
            self.assertEqual(code, 0, dispatcher.logs)
            [result] = json.loads(run.result().stdout)["results"]
            self.assertEqual((result["exit"], result["stdout"]), (0, "done\n"))

    def test_grace_of_compose(self):
        """25 s by a variable: a script that needs longer than the default 8 s is waited for."""
        dispatcher, agent = self.paired(environment={"CTRL_EXEC_AGENT_SHUTDOWN_GRACE": "25"},
                                        options=["--stop-timeout", "30"])
        self.add_script(agent, "long", "#!/bin/sh\n: >/tmp/started\nsleep 10\necho done\n")
        with concurrent.futures.ThreadPoolExecutor() as pool:
            run = pool.submit(dispatcher.run_result, "agent", "long")
            poll("it runs", lambda: agent.exec("test", "-e", "/tmp/started", check=False).returncode == 0)
            _, code = agent.stop()
            self.assertEqual(code, 0)
            self.assertEqual((run.result()["exit"], run.result()["stdout"]), (0, "done\n"))

    def test_stop_signal_of_both_roles_when_idle(self):
        for container in self.paired():
            seconds, code = container.stop()
            self.assertLess(seconds, 3)
            self.assertEqual(code, 0, container.logs)


class FirstProcess(ContainerCase):
    def test_orphans_are_reaped(self):
        dispatcher, agent = self.paired()
        # Each run leaves a process whose parent has gone, in a session of its own, which then ends.
        self.add_script(agent, "orphan", "#!/bin/sh\nsetsid sh -c 'sleep 0.3; exit 3' >/dev/null 2>&1 </dev/null &\n")
        for _ in range(5):
            self.assertEqual(dispatcher.run_result("agent", "orphan")["exit"], 0)
        # A zombie would stay, and be named [sh] or [sleep].
        agent.wait_for("only PID 1 and what serves are left",
                       lambda: all("entrypoint" in command for _, command in agent.processes()))
        self.assertEqual(len(agent.processes()), 2)

    def test_orphans_do_not_disturb_results(self):
        dispatcher, agent = self.paired()
        self.add_script(agent, "both", "#!/bin/sh\nsetsid sh -c 'exit 3' >/dev/null 2>&1 </dev/null &\nexit 7\n")
        for _ in range(10):
            self.assertEqual(dispatcher.run_result("agent", "both")["exit"], 7)

    def test_program_is_pid_1_of_the_role_images(self):
        """No shell is left in between that would swallow signals."""
        for container, command in zip(self.paired(), ("dispatcher", "agent")):
            words = container.exec("cat", "/proc/1/cmdline").stdout.split("\0")
            self.assertEqual((words[0].rpartition("/")[2], words[1:3]), ("ctrl-exec", ["entrypoint", command]))


class Health(ContainerCase):
    def test_dispatcher(self):
        dispatcher = self.start_dispatcher(options=HEALTH, wait=False)
        self.assertIn(dispatcher.state["Health"]["Status"], ("starting", "healthy"))
        dispatcher.wait_health("healthy")
        dispatcher.exec("ctrl-exec", "healthcheck", "--ready")
        dispatcher.freeze("STOP")
        dispatcher.wait_health("unhealthy")
        dispatcher.freeze("CONT")
        dispatcher.wait_health("healthy")

    def test_agent_is_ready_when_it_is_paired(self):
        network = self.network()
        dispatcher = self.start_dispatcher(network=network)
        agent = self.start_agent("agent", dispatcher.name, options=HEALTH, network=network)
        agent.wait_health("healthy")
        self.assertNotEqual(agent.exec("ctrl-exec", "healthcheck", "--ready", check=False).returncode, 0)
        self.pair(dispatcher, agent)
        agent.wait_health("healthy")
        agent.exec("ctrl-exec", "healthcheck", "--ready")
        agent.exec("ctrl-exec", "healthcheck", "--ready", "agent")
        agent.exec("sh", "-c", "echo broken >>/etc/ctrl-exec-agent/agent.conf")
        agent.wait_health("unhealthy")
        agent.exec("sed", "-i", "/^broken$/d", "/etc/ctrl-exec-agent/agent.conf")
        agent.wait_health("healthy")
        agent.freeze("STOP")
        agent.wait_health("unhealthy")
        agent.freeze("CONT")
        agent.wait_health("healthy")


class Network(ContainerCase):
    def test_agent_that_is_cut_off_and_comes_back(self):
        dispatcher, agent = self.paired()
        dispatcher.dispatcher("ping", "agent")
        [network] = agent.inspect()["NetworkSettings"]["Networks"]
        self.engine.docker("network", "disconnect", network, agent.name)
        started = time.monotonic()
        self.assertEqual(dispatcher.dispatcher("ping", "agent", check=False).returncode, 1)
        self.assertLess(time.monotonic() - started, 25)
        self.engine.docker("network", "connect", network, agent.name)
        poll("it answers again", lambda: dispatcher.dispatcher("ping", "agent", check=False).returncode == 0)

    def test_ipv6(self):
        network = self.network("--ipv6", "--subnet", "fd00:7440::/64")
        dispatcher = self.start_dispatcher(network=network)
        sixth = dispatcher.inspect()["NetworkSettings"]["Networks"][network]["GlobalIPv6Address"]
        self.assertTrue(sixth)
        agent = self.start_agent("agent", sixth, network=network)
        self.pair(dispatcher, agent)
        [record] = dispatcher.json("list-agents")["agents"]
        agent_sixth = agent.inspect()["NetworkSettings"]["Networks"][network]["GlobalIPv6Address"]
        self.assertEqual(record["ip"], agent_sixth)
        dispatcher.dispatcher("ping", "agent")
        dispatcher.dispatcher("ping", f"[{agent_sixth}]:7443")


if __name__ == "__main__":
    unittest.main()
