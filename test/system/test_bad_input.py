"""What is wrong is named, with the remedy and the right exit code; nothing is half written, nothing overwritten."""

import itertools
import os
import re
import time
import unittest

from deployment import BIN, Deployment


def snapshot(directory):
    return {str(path): path.read_bytes() for path in sorted(directory.rglob("*")) if path.is_file()}


class Configuration(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.deployment = cls.enterClassContext(Deployment())
        cls.agent = cls.deployment.paired_agent("web-01")

    def commands(self):
        """Name of the configuration, and the command that is to read it."""
        yield "ctrl-exec.conf", lambda path: [BIN / "ctrl-exec-dispatcher", "--config", path, "list-agents"]
        yield "ctrl-exec.conf", lambda path: [BIN / "ctrl-exec-dispatcher", "--config", path, "pairing-mode"]
        yield "agent.conf", lambda path: [BIN / "ctrl-exec-agent", "--config", path, "pairing-status"]
        yield "agent.conf", lambda path: [BIN / "ctrl-exec-agent", "--config", path, "serve"]
        yield "agent.conf", lambda path: [BIN / "ctrl-exec-agent", "--config", path, "request-pairing",
                                          "--dispatcher", "127.0.0.1"]

    def assert_config_error(self, path, argv, *patterns):
        done = self.deployment.execute(argv(path), check=78)
        self.assertEqual(done.stdout, b"")
        for pattern in patterns:
            self.assertRegex(done.stderr.decode(), pattern)

    def edited(self, name, edit):
        """A copy of the configuration with edit(its lines)."""
        original = self.deployment.config if name == "ctrl-exec.conf" else self.agent.config
        path = self.deployment.directory / f"bad-{name}"
        path.write_text("".join(f"{line}\n" for line in edit(original.read_text().splitlines())))
        return path

    def test_malformed_line_is_named(self):
        dispatchers, agents = (itertools.cycle([pair for pair in self.commands() if pair[0] == name])
                               for name in ("ctrl-exec.conf", "agent.conf"))
        for bad in ("no equals sign", "= value", "two words = x", "[unfinished", "port = 0x1bb", "port = 99999999999",
                    "port =", "key_type = dsa", "cert = a\x01b", "cert ="):
            for name, argv in (next(dispatchers), next(agents)):
                with self.subTest(line=bad, command=argv("conf")[3]):
                    path = self.edited(name, lambda lines, bad=bad: [*lines, "# comment", bad])
                    number = len(path.read_text().splitlines())
                    self.assert_config_error(path, argv, rf"{re.escape(str(path))}:{number}: ")

    def test_missing_key_is_named(self):
        for name, argv in self.commands():
            for key in ("cert", "key", "ca"):
                with self.subTest(key=key, command=argv("conf")[3]):
                    path = self.edited(name, lambda lines, key=key: [
                        line for line in lines if not line.startswith(f"{key} ")])
                    self.assert_config_error(path, argv, re.escape(str(path)), f"'{key}' is missing", f"{key} = ")

    def test_absent_file_is_named(self):
        path = self.deployment.directory / "absent.conf"
        for _, argv in self.commands():
            self.assert_config_error(path, argv, rf"{path} does not exist")

    def test_unreadable_file_is_named(self):
        path = self.deployment.directory / "secret.conf"
        path.write_text("")
        path.chmod(0)
        self.deployment.directory.chmod(0o755)  # so that the file is what is refused
        for _, argv in self.commands():
            done = self.deployment.execute(argv(path), check=78, user="nobody", group="nogroup", extra_groups=[])
            self.assertIn(f"{path}: Permission denied".encode(), done.stderr)

    def test_directory_is_no_file(self):
        for _, argv in self.commands():
            self.assert_config_error(self.deployment.directory, argv, re.escape(str(self.deployment.directory)))

    def test_unknown_key_is_a_warning(self):
        path = self.edited("ctrl-exec.conf", lambda lines: ["colour = blue", *lines])
        done = self.deployment.execute([BIN / "ctrl-exec-dispatcher", "--config", path, "list-agents"])
        self.assertIn(f"{path}:1: unknown key 'colour'".encode(), done.stderr)

    def test_json_says_it_too(self):
        done = self.deployment.dispatcher("--config", "/nonexistent", "list-agents", "--json", check=78)
        self.assertRegex(done.stdout, rb'^\{"ok":0,"error":"[^\n]*/nonexistent[^\n]*"\}\n$')


class Files(unittest.TestCase):
    def test_second_setup_ca_changes_nothing(self):
        with Deployment() as deployment:
            before = snapshot(deployment.ca)
            done = deployment.dispatcher("setup-ca", check=1)
            self.assertIn(f"{deployment.ca}/ca.crt exists".encode(), done.stderr)
            self.assertEqual(snapshot(deployment.ca), before)

    def test_setup_ca_uses_a_key_that_is_there(self):
        with Deployment() as deployment:
            key = (deployment.ca / "ca.key").read_bytes()
            (deployment.ca / "ca.crt").unlink()
            deployment.dispatcher("setup-ca")
            self.assertEqual((deployment.ca / "ca.key").read_bytes(), key)

    def test_setup_ctrl_exec_asks_before_it_cuts_off_agents(self):
        with Deployment() as deployment:
            deployment.paired_agent("web-01")
            before = snapshot(deployment.ca)
            done = deployment.dispatcher("setup-ctrl-exec", check=1)
            self.assertIn(b"--yes", done.stderr)
            self.assertEqual(snapshot(deployment.ca), before)
            deployment.dispatcher("setup-ctrl-exec", "--yes")
            self.assertNotEqual(snapshot(deployment.ca), before)

    def test_what_has_not_been_set_up_says_how_to(self):
        with Deployment(set_up=False) as deployment:
            for words, remedy in ((("setup-ctrl-exec",), "setup-ca"), (("ping", "127.0.0.1"), "setup-ca"),
                                  (("pairing-mode",), "setup-ca")):
                done = deployment.dispatcher(*words, check=None)
                self.assertEqual(done.returncode, 78, (words, done.stderr))
                self.assertIn(f"ctrl-exec-dispatcher {remedy}".encode(), done.stderr)
            agent = deployment.agent("web-01")
            self.assertIn(b"request-pairing", agent.command("serve", check=78).stderr)

    def test_key_that_everybody_may_read_is_refused(self):
        with Deployment() as deployment:
            agent = deployment.paired_agent("web-01")
            for path, argv in ((deployment.ca / "ctrl-exec.key", deployment.argv("pairing-mode")),
                               (agent.key, agent.argv("serve"))):
                path.chmod(0o644)
                done = deployment.execute(argv, check=None)
                self.assertNotEqual(done.returncode, 0)
                self.assertRegex(done.stderr.decode(), rf"{path}.*chmod")

    def test_damaged_certificate_and_key_are_named(self):
        with Deployment() as deployment:
            agent = deployment.paired_agent("web-01")
            for path in (agent.certificate, agent.key, agent.ca):
                with self.subTest(path.name):
                    whole = path.read_bytes()
                    path.write_bytes(whole[:len(whole) // 2])
                    for verb in ("serve", "pairing-status"):
                        done = agent.command(verb, check=None)
                        self.assertIn(done.returncode, (1, 78))
                        self.assertIn(str(path).encode(), done.stdout + done.stderr)
                    path.write_bytes(whole)

    def test_agent_whose_directory_is_not_writable_does_not_even_connect(self):
        with Deployment() as deployment, deployment.pairing_mode() as listener:
            agent = deployment.agent("web-01", cert="/nonexistent/directory/agent.crt")
            done = agent.command("request-pairing", "--dispatcher", listener.address, check=1)
            self.assertIn(b"/nonexistent/directory", done.stderr)
            self.assertNotIn("ACTION=pair", listener.log.replace("ACTION=pairing-mode-start", ""))

    def test_approval_and_denial_of_an_unknown_id(self):
        with Deployment() as deployment:
            before = snapshot(deployment.ca)
            for verb in ("approve", "deny"):
                for name in ("0123456789abcdef", "../../etc/passwd", "x"):
                    done = deployment.dispatcher(verb, name, check=1)
                    self.assertIn(b"list-requests", done.stderr)
            after = {path: data for path, data in snapshot(deployment.ca).items() if not path.endswith(".lock")}
            self.assertEqual(after, {path: data for path, data in before.items() if not path.endswith(".lock")})

    def test_damaged_registry_record_does_not_hide_the_others(self):
        with Deployment() as deployment:
            deployment.paired_agent("web-01")
            (deployment.state / "agents" / "web-00.json").write_text('{"hostname":"web-00",')
            done = deployment.dispatcher("list-agents", check=1)
            self.assertIn(b"\nweb-01 ", done.stdout)
            self.assertIn(b"web-00.json", done.stderr)


class CommandLine(unittest.TestCase):
    def test_unknown_options_and_commands_are_errors(self):
        with Deployment() as deployment:
            for words in (("ping", "--frobnicate", "127.0.0.1"), ("run", "-x", "127.0.0.1", "true"), ("frobnicate",),
                          ("ping",), ("run", "127.0.0.1"), ("ping", "--port", "0", "127.0.0.1"), ("ping", "a b"),
                          ("ping", "127.0.0.1:99999"), ("approve",), ("approve", "a", "b"), ("list-agents", "--", "x")):
                with self.subTest(words):
                    done = deployment.dispatcher(*words, check=2)
                    self.assertTrue(done.stderr.startswith(b"ctrl-exec-dispatcher: "), done.stderr)
                    self.assertEqual(done.stdout, b"")

    def test_output_that_cannot_be_written_is_a_failure(self):
        with Deployment() as deployment, open("/dev/full", "wb") as full:
            for words in (("list-agents",), ("list-agents", "--json"), ("help",)):
                done = deployment.dispatcher(*words, check=1, stdout=full)
                self.assertIn(b"output", done.stderr)


class HangUp(unittest.TestCase):
    def test_request_of_an_agent_that_is_gone_disappears_at_once(self):
        with Deployment() as deployment, deployment.pairing_mode() as listener:
            agent = deployment.agent("web-01")
            with agent.request_pairing(listener) as asking:
                request_id = deployment.wait_request("web-01")["id"]
                asking.kill()
            start = time.monotonic()
            listener.wait_output(f"^Pairing request {request_id} from web-01: gone$")
            self.assertLess(time.monotonic() - start, 1.5, "by the event, not by looking now and then")
            self.assertEqual(deployment.requests(), [])
            self.assertIn(b"list-requests", deployment.dispatcher("approve", request_id, check=1).stderr)

    def test_listener_that_is_gone_ends_the_waiting(self):
        with Deployment() as deployment:
            agent = deployment.agent("web-01")
            with deployment.pairing_mode() as listener, agent.request_pairing(listener) as asking:
                asking.wait_output("^Pairing request sent")
                listener.kill()
                self.assertEqual(asking.wait_exit(), 1)
                self.assertIn("the operator's answer", asking.log)
            self.assertEqual(sorted(os.listdir(agent.directory)), [".pairing-request.json", "agent.conf", "scripts.conf"])


if __name__ == "__main__":
    unittest.main()
