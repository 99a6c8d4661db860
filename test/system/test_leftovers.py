"""An agent that has worked is as it was before: no descriptor, no zombie and no process of a script is left."""

import os
import unittest

from deployment import Deployment
from processes import poll, processes_naming
from wire import TlsClient, request


def children(pid):
    """Ids of the process's children, zombies included."""
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
        return file.read().split()


class Leftovers(unittest.TestCase):
    def setUp(self):
        self.deployment = self.enterContext(Deployment())
        self.agent = self.deployment.paired_agent("web-01")

    def connect(self):
        identity = (self.deployment.ca / "ctrl-exec.crt", self.deployment.ca / "ctrl-exec.key")
        return self.enterContext(TlsClient(self.agent.address, self.deployment.ca / "ca.crt", identity))

    def test_two_hundred_requests_leave_no_descriptor_and_no_zombie(self):
        self.agent.script("work", "#!/bin/sh\necho out; echo err >&2\n")
        self.agent.serve()
        pid = self.agent.daemon.pid

        def descriptors():
            return len(os.listdir(f"/proc/{pid}/fd"))

        def ask(times):
            for i in range(times):
                with self.connect() as client:
                    if i % 4 == 3:
                        client.send(request("POST", "/run", {"script": "nope", "reqid": "r"})[:-5])  # and hang up
                        continue
                    client.send(request("POST", "/run", {"script": "work", "args": [], "reqid": "r"}))
                    self.assertEqual(client.only_answer().json["stdout"], "out\n")

        ask(8)
        idle = poll("only the listener is open", lambda: descriptors() < 20 and descriptors())
        ask(200)
        poll(f"{idle} descriptors again", lambda: descriptors() <= idle, 20)
        self.assertEqual(children(pid), [])

    def test_caller_that_hangs_up_does_not_stop_the_script_and_leaves_no_process(self):
        started, go, done = (self.deployment.directory / name for name in ("started", "go", "done"))
        self.agent.script("wait", f"#!/bin/sh\n: >{started}\nuntil [ -e {go} ]; do sleep 0.02; done\n: >{done}\n")
        self.agent.serve()
        client = self.connect()
        client.send(request("POST", "/run", {"script": "wait", "args": [], "reqid": "r"}))
        poll("the script runs", started.exists)
        client.close()
        go.touch()
        poll("the script ends by itself", done.exists)
        self.agent.daemon.wait_log("ACTION=run .*EXIT=0 .*SCRIPT=wait$")
        poll("it is reaped", lambda: not children(self.agent.daemon.pid))

    def test_background_process_of_a_script_is_killed(self):
        self.agent.script("leaves", "#!/bin/sh\n"
                                    f"sh -c 'while :; do sleep 1; done' {self.deployment.directory}/left &\n")
        self.agent.serve()
        self.deployment.dispatcher("run", self.agent.target, "leaves")
        poll("it is gone", lambda: processes_naming(self.deployment.directory) == [self.agent.daemon.pid], 5)


if __name__ == "__main__":
    unittest.main()
