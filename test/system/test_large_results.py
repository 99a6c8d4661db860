"""Large results of many hosts stream through the command: it needs a small part of the memory that they are together."""

import json
import os
import subprocess
import threading
import unittest

from deployment import BUILD, Deployment
from processes import DEADLINE

HOSTS = 200 if BUILD == "release" else 50  # memory is looked at in the release build only
MEBIBYTE = 1 << 20
LINE = b"a line of the output\n"
MOST_MEMORY = 0.6 * HOSTS * MEBIBYTE


class Finished:
    """A command that has ended: what it said, how, and the most memory that it has had (bytes)."""

    def __init__(self, argv, environment, reader):
        self.process = subprocess.Popen([str(word) for word in argv], env=environment, stdin=subprocess.DEVNULL,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        errors = []
        drain = threading.Thread(target=lambda: errors.append(self.process.stderr.read()))
        drain.start()
        self.read = reader(self.process.stdout)
        self.process.stdout.close()
        drain.join(DEADLINE)
        self.process.stderr.close()
        _, status, usage = os.wait4(self.process.pid, 0)
        self.process.returncode = os.waitstatus_to_exitcode(status)
        self.errors, self.status, self.peak = errors[0].decode(), self.process.returncode, usage.ru_maxrss * 1024


def count_lines(stream):
    return sum(line == LINE for line in stream)


class LargeResults(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.deployment = cls.enterClassContext(Deployment(connect_timeout=60))
        agent = cls.deployment.paired_agent("web-01", bind="0.0.0.0", rate_limit_disable="yes")
        cls.large = cls.deployment.directory / "large"
        cls.large.write_bytes((LINE * (MEBIBYTE // len(LINE) + 1))[:MEBIBYTE])
        # No shell and no pipe: so many processes would leave the agent no time for its handshakes.
        agent.allow("print", "/bin/cat")
        agent.serve()
        cls.port = agent.daemon.port

    def run_on(self, hosts, *words, reader):
        targets = [f"127.0.{1 + i // 200}.{1 + i % 200}:{self.port}" for i in range(hosts)]
        done = Finished(self.deployment.argv("run", *words, *targets, "print", "--", self.large), self.deployment.environment(), reader)
        self.assertEqual(done.status, 0, done.errors)
        return done

    def check_memory(self, done):
        if BUILD != "debug":  # sanitizers keep what is freed
            self.assertLess(done.peak, MOST_MEMORY, f"{done.peak / MEBIBYTE:.0f} MiB")

    def test_for_people(self):
        done = self.run_on(HOSTS, reader=count_lines)
        self.assertEqual(done.read, HOSTS * (MEBIBYTE // len(LINE)))
        self.check_memory(done)

    def test_one_document(self):
        done = self.run_on(HOSTS, "--json", reader=lambda stream: json.loads(stream.read()))
        results = done.read["results"]
        self.assertEqual(len(results), HOSTS)
        self.assertEqual({(result["outcome"], len(result["stdout"])) for result in results}, {("ok", MEBIBYTE)})
        self.check_memory(done)


if __name__ == "__main__":
    unittest.main()
