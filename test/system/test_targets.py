"""Words that stand for many hosts: what they select is what runs, and a tag counts as it was last discovered."""

import json
import unittest

from api import call_once, serve_api
from deployment import Deployment

USAGE, MISCONFIGURED = 2, 78
FLEET = {"db-01": {"env": "production", "role": "db"}, "web-01": {"env": "production"}, "web-02": {"env": "staging"},
         "web-03": {}}


def serve_under_its_name(agent):
    """From then on dispatcher commands reach it by name."""
    agent.serve()
    agent.deployment.dispatcher("edit-agent", agent.name, "--ip", "127.0.0.1", "--lookup-by", "ip", "--agent-port",
                                agent.daemon.port)


def set_tags(agent, tags):
    text = agent.config.read_text().partition("[tags]")[0]
    agent.config.write_text(text + "[tags]\n" + "".join(f"{key} = {value}\n" for key, value in tags.items()))


class Fleet(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.deployment = cls.enterClassContext(Deployment(api_port=0, api_auth_default="allow"))
        cls.tags = cls.deployment.state / "tags.json"
        cls.agents = {}
        for agent in cls.deployment.paired_agents(*FLEET):
            set_tags(agent, FLEET[agent.name])
            agent.script("ran", f"#!/bin/sh\n: >{agent.directory}/ran\necho $1\n")
            agent.script("fails", "#!/bin/sh\nexit 3\n")
            serve_under_its_name(agent)
            cls.agents[agent.name] = agent

    def who_ran(self):
        """The agents on which the script has run since we were asked last."""
        found = []
        for name, agent in self.agents.items():
            if (agent.directory / "ran").exists():
                (agent.directory / "ran").unlink()
                found.append(name)
        return found

    def run_on(self, *words, check=0):
        """(agents that ran it, hosts that have a result)"""
        results = self.deployment.json("run", *words, check=check)["results"]
        return self.who_ran(), sorted(result["host"] for result in results)

    def both(self, *names):
        return list(names), list(names)


class Targets(Fleet):
    def setUp(self):
        self.deployment.dispatcher("discover")
        self.who_ran()

    def test_globs_and_all_select_by_name(self):
        self.assertEqual(self.run_on("web-*", "ran"), self.both("web-01", "web-02", "web-03"))
        self.assertEqual(self.run_on("?b-0?", "ran"), self.both("db-01"))
        self.assertEqual(self.run_on("all", "--exclude", "db-*", "--exclude", "web-02", "ran"),
                         self.both("web-01", "web-03"))
        self.assertEqual(self.run_on("*", "web-01", "--limit", "2", "ran"), self.both("db-01", "web-01"))

    def test_tags_select_by_what_was_discovered(self):
        self.assertEqual(self.run_on("tag:env=production", "ran"), self.both("db-01", "web-01"))
        self.assertEqual(self.run_on("tag:env", "--exclude", "tag:role=db,tag:env=stag*", "ran"), self.both("web-01"))
        agent = self.agents["web-03"]
        set_tags(agent, {"env": "production"})
        agent.command("reload")
        self.assertEqual(self.run_on("tag:env=production", "ran"), self.both("db-01", "web-01"))
        self.deployment.dispatcher("discover", "web-03")
        self.assertEqual(self.run_on("tag:env=production", "ran"), self.both("db-01", "web-01", "web-03"))
        set_tags(agent, {})
        agent.command("reload")

    def test_discovery_through_the_api_counts_as_well(self):
        self.tags.unlink()
        unknown = self.deployment.dispatcher("run", "tag:env=staging", "ran", check=USAGE)
        self.assertIn(b"the tags of 4 agents are not known", unknown.stderr)
        with serve_api(self.deployment) as api:
            status, _ = call_once(api, "POST", "/discovery", {"hosts": ["web-02", "web-03"]})
            self.assertEqual(status, 200)
            some = self.deployment.dispatcher("run", "tag:env", "ran")
            self.assertIn(b"the tags of 2 agents are not known", some.stderr)
            self.assertEqual(self.who_ran(), ["web-02"])
            self.assertEqual(call_once(api, "GET", "/discovery")[0], 200)
        every = self.deployment.dispatcher("run", "tag:env", "ran")
        self.assertEqual((every.stderr, self.who_ran()), (b"", ["db-01", "web-01", "web-02"]))

    def test_who_answers_at_a_port_that_was_named_changes_no_tags(self):
        before = self.tags.read_bytes()
        other = self.agents["db-01"].daemon.port
        self.deployment.dispatcher("discover", f"127.0.0.1:{other}", f"web-03:{other}", check=1)
        self.assertEqual(self.tags.read_bytes(), before)

    def test_tags_that_cannot_be_kept_are_told(self):
        self.tags.unlink()
        self.tags.mkdir()
        self.addCleanup(self.tags.rmdir)
        done = self.deployment.dispatcher("discover", "web-01", check=1, environment=self.deployment.environment("stderr"))
        self.assertIn(b"env=production", done.stdout)
        self.assertIn(f"ctrl-exec-dispatcher: the tags are not kept: cannot replace {self.tags}: ".encode(), done.stderr)
        self.assertIn(b"ACTION=tag-store-fail ERROR=", done.stderr)

    def test_discover_tells_scripts_and_tags(self):
        table = self.deployment.dispatcher("discover", "web-01", "db-01").stdout.decode().splitlines()
        self.assertEqual(table[0].split(), ["HOST", "STATUS", "VERSION", "SCRIPTS", "TAGS"])
        self.assertRegex(table[2], r"^db-01   ok +\S+ +fails ran +env=production role=db$")
        self.assertRegex(table[3], r"^web-01  ok +\S+ +fails ran +env=production$")
        [result] = self.deployment.json("discover", "web-01")["results"]
        self.assertEqual((result["host"], result["tags"]), ("web-01", {"env": "production"}))

    def test_groups_hold_words_and_groups(self):
        groups = self.deployment.directory / "groups.conf"
        self.addCleanup(groups.unlink)
        groups.write_text("front = web-0[ x\n")
        bad = self.deployment.dispatcher("run", "@front", "ran", check=MISCONFIGURED)
        self.assertIn(f"{groups}:1: group front: 'web-0['".encode(), bad.stderr)
        groups.write_text(f"front = web-0?\nshop = @front tag:role=db 127.0.0.1:{self.agents['db-01'].daemon.port}\n")
        self.assertEqual(self.run_on("@front", "ran"), self.both("web-01", "web-02", "web-03"))
        ran, hosts = self.run_on("@shop", "--exclude", "@front", "ran")
        self.assertEqual((ran, hosts), (["db-01"], ["127.0.0.1", "db-01"]))

    def test_nobody_is_never_a_success(self):
        for words in (["web-9*"], ["web-01", "tag:env=nowhere"], ["@nowhere"], ["web-01", "--exclude", "all"]):
            with self.subTest(words=words):
                self.deployment.dispatcher("run", *words, "ran", check=USAGE)
                self.assertEqual(self.who_ran(), [])

    def test_hook_and_log_are_told_every_host(self):
        asked = self.deployment.directory / "asked"
        hook = self.deployment.directory / "hook"
        hook.write_text(f"#!/bin/sh\ncat >{asked}\nexit 1\n")
        hook.chmod(0o755)
        words = ["run", "web-*", "ran", "--exclude", "web-02"]
        environment = self.deployment.environment(log="stderr", CTRL_EXEC_AUTH_HOOK=str(hook))
        denied = self.deployment.dispatcher(*words, check=1, environment=environment)
        self.assertEqual(json.loads(asked.read_text())["hosts"], ["web-01", "web-03"])
        self.assertIn(b"ACTION=dispatch HOSTS=web-01,web-03 ", denied.stderr)
        self.assertEqual(self.who_ran(), [])

    def test_min_success_counts_who_was_selected(self):
        self.deployment.dispatcher("run", "web-*", "127.0.0.1:1", "ran", "--min-success", "75%")
        self.deployment.dispatcher("run", "web-*", "127.0.0.1:1", "ran", "--min-success", "76%", check=6)
        self.deployment.dispatcher("run", "web-*", "ran", "--min-success", "4", check=USAGE)


class Damage(Fleet):
    def test_damaged_record_is_selected_and_fails(self):
        record = self.deployment.state / "agents" / "web-02.json"
        text = record.read_bytes()
        record.write_bytes(b"{")
        self.addCleanup(record.write_bytes, text)
        done = self.deployment.dispatcher("--json", "run", "web-*", "ran", check=6)
        outcomes = {each["host"]: each["outcome"] for each in json.loads(done.stdout)["results"]}
        self.assertEqual(outcomes, {"web-01": "ok", "web-02": "missing", "web-03": "ok"})


if __name__ == "__main__":
    unittest.main()
