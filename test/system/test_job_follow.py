"""Looking on at a detached job: its output as it comes, from where the caller wants it, and its result at the end."""

import base64
import json
import unittest

from job_agent import JobAgent, new_reqid
from processes import poll
from wire import request

STEPS = """#!/bin/sh
echo first
echo oops >&2
while [ ! -e {directory}/go ]; do sleep 0.05; done
echo last
exit 3
"""


class Following(unittest.TestCase):
    def setUp(self):
        self.agent = JobAgent(self, output_limit="64K")
        self.folder = self.agent.deployment.directory / "steps"
        self.folder.mkdir()
        self.agent.script("steps", STEPS.format(directory=self.folder))

    def follow(self, reqid, **offsets):
        """A connection on which the lines come."""
        client = self.enterContext(self.agent.caller.connect(self.agent))
        client.send(request("POST", "/follow", {"reqid": reqid, **offsets}, "X-Ctrl-Exec: 1"))
        head = client.read_head()
        self.assertEqual((head.status, head.headers["content-type"]), (200, "application/x-ndjson"))
        return client

    def to_end(self, client):
        """(bytes of stdout, bytes of stderr, what was skipped, the result)."""
        streams, skipped, result = {"stdout": b"", "stderr": b""}, [], None
        while (line := client.read_line()) is not None:
            piece = json.loads(line)
            self.assertIsNone(result, "something comes after the result")
            if "result" in piece:
                result = piece["result"]
            elif "skipped" in piece:
                skipped.append((piece["stream"], piece["offset"], piece["skipped"]))
            elif "heartbeat" not in piece:
                data = piece["data"].encode()
                streams[piece["stream"]] += base64.b64decode(piece["data_b64"]) if "data_b64" in piece else data
        return streams["stdout"], streams["stderr"], skipped, result

    def test_shows_lines_as_they_come_and_the_result(self):
        self.agent.serve()
        reqid = self.agent.accepted("steps")
        client = self.follow(reqid)
        pieces = []
        poll("both lines", lambda: pieces.append(json.loads(client.read_line())) or len(pieces) >= 2)
        self.assertIn({"stream": "stdout", "offset": 0, "data": "first\n"}, pieces)
        self.assertIn({"stream": "stderr", "offset": 0, "data": "oops\n"}, pieces)
        (self.folder / "go").touch()
        out, err, skipped, result = self.to_end(client)
        self.assertEqual((out, err, skipped), (b"last\n", b"", []))
        self.assertEqual((result["exit"], result["stdout"], result["stderr"]), (3, "first\nlast\n", "oops\n"))

    def test_goes_on_from_an_offset_after_the_agent_was_killed(self):
        self.agent.serve()
        reqid = self.agent.accepted("steps")
        poll("output", lambda: self.agent.status(reqid)["stdout_bytes"] == 6)
        self.agent.kill()
        (self.folder / "go").touch()
        self.agent.serve()
        out, err, skipped, result = self.to_end(self.follow(reqid, stdout=4, stderr=5))
        self.assertEqual((out, err, skipped, result["exit"]), (b"t\nlast\n", b"", [], 3))

    def test_of_one_that_has_ended_shows_what_is_kept_and_says_what_is_not(self):
        self.agent.script("much", "#!/bin/sh\nprintf 'begin\\377\\n'\nyes 0123456789abcde | head -c 10000000\n")
        self.agent.serve()
        reqid = self.agent.accepted("much")
        whole = b"begin\xff\n" + 625_000 * b"0123456789abcde\n"
        self.assertEqual(self.agent.result(reqid)["stdout_bytes"], len(whole))
        out, _, skipped, result = self.to_end(self.follow(reqid))
        self.assertEqual(out, whole[:32768] + whole[-32768:])
        self.assertEqual(skipped, [("stdout", 32768, len(whole) - 65536)])
        self.assertEqual(result["exit"], 0)
        out, _, skipped, _ = self.to_end(self.follow(reqid, stdout=len(whole) - 3))
        self.assertEqual((out, skipped), (b"de\n", []))
        self.assertEqual(self.to_end(self.follow(reqid, stdout=10**15))[0], b"")

    def test_of_a_script_that_prints_all_the_time_neither_hangs_nor_lies(self):
        self.agent.script("busy", "#!/bin/sh\nseq 1 3000000\n")
        self.agent.serve()
        whole = "".join(f"{n}\n" for n in range(1, 3_000_001)).encode()
        client = self.follow(self.agent.accepted("busy"))
        at = 0
        while True:
            piece = json.loads(client.read_line())
            if "result" in piece:
                break
            self.assertEqual(piece["offset"], at)
            if "skipped" in piece:
                at += piece["skipped"]
            else:
                data = piece["data"].encode()
                self.assertEqual(data, whole[at:at + len(data)])
                at += len(data)
        self.assertEqual(at, len(whole))

    def test_of_one_that_is_not_there_says_so(self):
        self.agent.serve()
        reqid = new_reqid()
        self.assertEqual(self.agent.ask("/follow", {"reqid": reqid}),
                         {"status": "ok", "state": "unknown", "reqid": reqid})

    def test_ends_without_a_result_when_the_agent_stops_and_does_not_hold_it_up(self):
        self.agent.serve()
        reqid = self.agent.accepted("steps")
        client = self.follow(reqid)
        client.read_line()
        self.agent.daemon.stop()
        with self.assertRaises(Exception):
            self.to_end(client)
        (self.folder / "go").touch()
        self.agent.serve()
        self.assertEqual(self.agent.result(reqid)["exit"], 3)


if __name__ == "__main__":
    unittest.main()
