"""An agent with detached jobs, and a caller of ours that submits and watches them."""

import json
import os
import pathlib
import secrets
import signal

from deployment import Deployment
from dispatcher_client import Caller, Signer
from processes import poll
from wire import request

WAIT = 30  # seconds that an answer of /result may take


def new_reqid():
    return secrets.token_hex(8)


def is_running(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def children(pid):
    return [int(child) for child in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


class JobAgent:
    """`case` is the test; settings go into agent.conf."""

    def __init__(self, case, **settings):
        self.deployment = case.enterContext(Deployment())
        self.state = pathlib.Path(settings.pop("state_dir", self.deployment.directory / "agent-state"))
        self.agent = self.deployment.paired_agent("web-01", state_dir=self.state, **settings)
        self.caller = Caller.of(self.deployment)
        self.jobs = self.state / "jobs"
        [self.dispatcher] = (d["id"] for d in json.loads((self.agent.directory / "dispatchers.json").read_text())
                             ["dispatchers"])

    def __getattr__(self, name):
        return getattr(self.agent, name)

    def add_dispatcher(self, name):
        """Another one that the agent obeys."""
        signer = Signer(self.deployment.directory / name, self.deployment.ca / "ca.crt", self.deployment.ca / "ca.key")
        caller = Caller(signer, name, "abcd")
        path = self.agent.directory / "dispatchers.json"
        document = json.loads(path.read_text())
        document["dispatchers"].insert(0, {"id": name, "paired": "2026-01-02T03:04:05Z", "serials": [
            {"serial": caller.serial, "added": "2026-01-02T03:04:05Z", "until": None}]})
        path.write_text(json.dumps(document))
        return caller

    def ask(self, target, body=None, method="POST", headers=(), caller=None):
        with (caller or self.caller).connect(self.agent) as client:
            client.send(request(method, target, {} if body is None else body, "X-Ctrl-Exec: 1", *headers))
            answer = client.read_answer()
        if answer.status != 200:
            raise AssertionError(answer)
        return answer.json

    def submit(self, script, *arguments, reqid=None, caller=None, **members):
        """The answer to a submission."""
        return self.ask("/runs", {"script": script, "args": list(arguments), "reqid": reqid or new_reqid(),
                                  "username": "operator", "token": "s3cret", "mode": "detach", **members}, caller=caller)

    def accepted(self, script, *arguments, **members):
        """The id of a new job."""
        answer = self.submit(script, *arguments, **members)
        if answer["status"] != "accepted":
            raise AssertionError(answer)
        return answer["reqid"]

    def status(self, reqid, wait=0, caller=None):
        headers = [f"Prefer: wait={wait}"] if wait else []
        return self.ask(f"/result/{reqid}", method="GET", headers=headers, caller=caller)

    def ended(self, reqid):
        """The body of /result once the job has ended."""
        return poll(f"the end of {reqid}", lambda: (s := self.status(reqid, WAIT))["state"] != "running" and s)

    def result(self, reqid):
        return self.ended(reqid)["result"]

    def cancel(self, reqid, caller=None):
        return self.ask("/cancel", {"reqid": reqid}, caller=caller)["state"]

    def directory_of(self, reqid):
        return self.jobs / f"{reqid}-{self.dispatcher}"

    def read(self, reqid, name):
        """A JSON file of a job, once it is there."""
        path = self.directory_of(reqid) / name
        poll(str(path), path.exists)
        return json.loads(path.read_text())

    def supervisor(self, reqid):
        return self.read(reqid, "started.json")["pid"]

    def script_process(self, reqid):
        return poll("the script's process", lambda: self._pid_of_script(reqid))

    def _pid_of_script(self, reqid):
        try:
            return json.loads((self.directory_of(reqid) / "script.json").read_text())["pid"]
        except (OSError, ValueError):
            return None

    def kill(self):
        self.agent.daemon.process.kill()
        self.agent.daemon.process.wait()

    def kill_supervisor(self, reqid):
        os.kill(self.supervisor(reqid), signal.SIGKILL)
