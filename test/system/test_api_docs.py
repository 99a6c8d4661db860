"""GET /docs, in a real browser: the page shows the whole document, can try a call, and loads nothing from elsewhere."""

import json
import re
import unittest

from api import Client, serve_api
from browser import Browser
from deployment import Deployment
from processes import poll


class Docs(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.deployment = cls.enterClassContext(Deployment(api_port=0, api_auth_default="allow"))
        cls.agent = cls.deployment.paired_agent("web-01")
        cls.agent.script("hello", "#!/bin/sh\necho \"hello $1\"\n")
        cls.agent.serve()
        cls.api = serve_api(cls.deployment)
        cls.browser = cls.enterClassContext(Browser())

    def setUp(self):
        self.browser.open(f"http://{self.api.address}/docs")
        self.browser.find("body[data-ready=yes]")

    def send(self, operation):
        """What the page shows as the answer to that operation's form."""
        self.browser.find(f"#{operation} button").click()
        output = self.browser.find(f"#{operation} form pre")
        return poll("an answer", lambda: output.text if output.text != "…" else None)

    def unfold(self, operation):
        self.browser.find(f"#{operation} summary").click()

    def test_every_operation_of_the_document_is_shown(self):
        with Client(self.api.address) as client:
            document = client.call("GET", "/openapi.json")[1]
        expected = [operation["operationId"] for item in document["paths"].values() for operation in item.values()]
        shown = self.browser.run("return [...document.querySelectorAll('details')].map(each => each.id)")
        self.assertEqual(sorted(shown), sorted(expected))
        self.assertIn(document["info"]["version"], self.browser.find("h1").text)

    def test_a_call_can_be_tried(self):
        self.unfold("run")
        self.browser.find("#run textarea").type(json.dumps(
            {"hosts": [self.agent.target], "script": "hello", "args": ["<b>world</b>"]}))
        answer = self.send("run")
        self.assertTrue(answer.startswith("200 OK\n"), answer)
        self.assertIn('"stdout": "hello <b>world</b>\\n"', answer)

    def test_path_parameters_and_errors_are_shown_as_they_are(self):
        self.unfold("status")
        self.browser.find("#status input[name=reqid]").type("00000000000000ff")
        self.assertTrue(self.send("status").startswith("404 Not Found\n"))

    def test_the_token_goes_into_the_header(self):
        self.browser.find("#token").type("t0ken")
        self.unfold("health")
        self.assertTrue(self.send("health").startswith("200 OK\n"))
        self.assertNotIn("t0ken", self.api.log)

    def test_its_policy_lets_nothing_else_in(self):
        self.assertEqual([line for line in self.browser.console() if "favicon" not in line], [])
        with Client(self.api.address) as client:
            _, page = client.call("GET", "/docs")
            policy = client.headers["content-security-policy"]
        self.assertEqual(client.headers["content-type"], "text/html; charset=utf-8")
        self.assertIn("default-src 'none'", policy)
        self.assertNotIn("unsafe", policy)
        self.assertNotRegex(page, re.compile(r"(src|href)\s*=|https?://|@import", re.I))
        self.browser.run("const s = document.createElement('script'); s.textContent = 'window.foreign = 1'; "
                         "document.head.append(s);")
        self.assertIsNone(self.browser.run("return window.foreign ?? null"))


if __name__ == "__main__":
    unittest.main()
