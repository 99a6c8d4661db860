"""The API and stand-ins for agents: who is asked to keep a connection, and when a request is sent again."""

import json
import unittest

from api import Client, serve_api
from old_peers import OldAgent, OldVolumes, header_lines, old_answer, read_head, say_goodbye, value_of


class NewAgent(OldAgent):
    """A stand-in for an agent of ours. `script`: what it does with each request on a connection, in turn."""

    def __init__(self, *deeds):
        super().__init__()
        self._deeds = iter(deeds)

    def converse(self, connection):
        while head := read_head(connection):
            headers = header_lines(head)
            body = json.loads(connection.recv(int(value_of(headers, "content-length") or 0)) or b"{}")
            self.requests.append((head.split()[1].decode(), value_of(headers, "connection"), body))
            if not next(self._deeds)(connection, body):
                return


def answer(connection, body, more=b""):
    if "script" in body:
        told = {"script": body["script"], "exit": 0, "stdout": "", "stderr": "", "reqid": body["reqid"]}
    else:
        told = {"status": "ok", "host": "agent1", "version": "0.9.0", "expiry": "", "reqid": body["reqid"]}
    data = old_answer(told).replace(b"HTTP/1.0", b"HTTP/1.1").replace(b"\r\n", b"\r\nX-Ctrl-Exec: 1\r\n", 1)
    connection.sendall(data + more)
    return True


def answer_and_more(connection, body):
    return answer(connection, body, b"HTTP/1.1 200 OK\r\n")


def answer_as_old(connection, body):
    connection.sendall(old_answer({"script": body["script"], "exit": 0, "reqid": body["reqid"]}))
    return False


def answer_and_go(connection, body):
    answer(connection, body)
    say_goodbye(connection)
    return False


def go_with_a_goodbye(connection, _):
    say_goodbye(connection)
    return False


def break_off(*_):
    return False


def half_an_answer(connection, _):
    connection.sendall(b"HTTP/1.1 200 OK\r\nX-Ctrl-Exec: 1\r\nContent-Le")
    say_goodbye(connection)
    return False


class StandIns(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.deployment = cls.enterClassContext(OldVolumes(api_port=0, api_auth_default="allow"))
        cls.api = serve_api(cls.deployment)

    def setUp(self):
        self.client = self.enterContext(Client(self.api.address))

    def call(self, agent, path="/run"):
        status, body = self.client.call("POST", path, {"hosts": [agent.address], "script": "true"})
        self.assertEqual(status, 200, body)
        return body["results"][0]

    def calls(self, agent, count):
        return [self.call(agent).get("exit") for _ in range(count)]

    def test_old_agent_is_never_asked_to_keep_one(self):
        with OldAgent() as agent:
            self.assertEqual(self.calls(agent, 4), [0] * 4)
            self.assertEqual([value_of(each.headers, "connection") for each in agent.requests], ["close"] * 4)
            self.assertEqual(agent.connections, 4)

    def test_agent_of_ours_is_asked_once_it_is_known(self):
        with NewAgent(*[answer] * 4) as agent:
            self.assertEqual(self.calls(agent, 4), [0] * 4)
            self.assertEqual([each[1] for each in agent.requests], ["close"] + ["keep-alive"] * 3)
            self.assertEqual(agent.connections, 2)

    def test_old_agent_in_the_place_of_one_of_ours(self):
        with NewAgent(answer, answer, answer_as_old, answer_as_old, answer_as_old) as agent:
            self.assertEqual(self.calls(agent, 5), [0] * 5)
            self.assertEqual([each[1] for each in agent.requests], ["close", "keep-alive", "keep-alive", "close", "close"])

    def test_run_is_sent_again_when_the_agent_said_goodbye_instead_of_taking_it(self):
        with NewAgent(answer, answer, go_with_a_goodbye, answer) as agent:
            self.assertEqual(self.calls(agent, 3), [0, 0, 0])
            self.assertEqual(agent.connections, 3)
            self.assertEqual(agent.requests[2], agent.requests[3], "the same request")

    def test_run_is_not_sent_again_when_the_connection_just_breaks(self):
        with NewAgent(answer, answer, break_off, answer) as agent:
            self.assertEqual(self.calls(agent, 2), [0, 0])
            result = self.call(agent)
            self.assertEqual(result["exit"], -1)
            self.assertIn("may have been carried out", result["error"])
            self.assertEqual(len(agent.requests), 3)
            self.assertEqual(self.calls(agent, 1), [0])

    def test_run_is_not_sent_again_when_half_an_answer_came(self):
        with NewAgent(answer, answer, half_an_answer) as agent:
            self.assertEqual(self.calls(agent, 3), [0, 0, -1])
            self.assertEqual(len(agent.requests), 3)

    def test_run_on_a_fresh_connection_is_never_sent_again(self):
        with NewAgent(answer, go_with_a_goodbye) as agent:
            self.assertEqual(self.calls(agent, 2), [0, -1])
            self.assertEqual(len(agent.requests), 2)

    def test_ping_is_sent_again_also_when_the_connection_just_breaks(self):
        with NewAgent(answer, answer, break_off, answer) as agent:
            self.assertEqual([self.call(agent, "/ping").get("status") for _ in range(3)], ["ok"] * 3)
            self.assertEqual(agent.requests[2], agent.requests[3])

    def test_connection_on_which_more_came_than_was_asked_for_is_not_used_again(self):
        with NewAgent(answer, answer_and_more, answer) as agent:
            self.assertEqual(self.calls(agent, 2), [0, 0])
            self.assertEqual(self.calls(agent, 1), [0])
            self.assertEqual(agent.connections, 3)

    def test_connection_that_the_agent_ended_right_after_its_answer_is_not_used_again(self):
        with NewAgent(answer, answer_and_go, answer) as agent:
            self.assertEqual(self.calls(agent, 3), [0, 0, 0])
            self.assertEqual(agent.connections, 3)


if __name__ == "__main__":
    unittest.main()
