"""A headless Chromium, driven through WebDriver (W3C), with nothing but the standard library."""

import http.client
import json
import re
import subprocess
import tempfile

from processes import DEADLINE

ELEMENT = "element-6066-11e4-a52e-4f735466cecf"  # the specification's name for a reference to an element
ARGUMENTS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-dev-shm-usage",
             "--disable-background-networking", "--disable-component-update", "--disable-sync"]


class Browser:
    def __enter__(self):
        self._profile = tempfile.TemporaryDirectory(prefix="ctrl-exec-browser.", ignore_cleanup_errors=True)
        self._driver = subprocess.Popen(["/usr/bin/chromedriver", "--port=0"], stdout=subprocess.PIPE,
                                        stderr=subprocess.DEVNULL, text=True)
        for line in self._driver.stdout:
            if found := re.search(r"started successfully on port (\d+)", line):
                self._port = int(found[1])
                break
        options = {"binary": "/usr/bin/chromium", "args": [*ARGUMENTS, f"--user-data-dir={self._profile.name}"]}
        capabilities = {"alwaysMatch": {"goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"},
                                        "timeouts": {"implicit": DEADLINE * 1000}}}
        self._session = ""
        self._session = "/" + self._call("POST", "session", {"capabilities": capabilities})["sessionId"]
        return self

    def __exit__(self, *_):
        try:
            if self._session:
                self._call("DELETE", "")
        finally:
            self._driver.kill()
            self._driver.wait()
            self._driver.stdout.close()
            self._profile.cleanup()

    def _call(self, method, path, body=None):
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=2 * DEADLINE)
        try:
            url = f"/session{self._session}{'/' + path if path and self._session else ''}"
            connection.request(method, url, None if body is None else json.dumps(body),
                               {"Content-Type": "application/json"})
            answer = connection.getresponse()
            value = json.loads(answer.read())["value"]
        finally:
            connection.close()
        if answer.status != 200:
            raise AssertionError(f"{method} {path}: {value['error']}: {value['message']}")
        return value

    def open(self, url):
        self._call("POST", "url", {"url": url})

    def find(self, selector):
        """The element, waited for."""
        found = self._call("POST", "element", {"using": "css selector", "value": selector})
        return Element(self, found[ELEMENT])

    def run(self, script, *arguments):
        return self._call("POST", "execute/sync", {"script": script, "args": list(arguments)})

    def console(self):
        """The errors in the page's console since the last look; refusals of its policy are some."""
        return [entry["message"] for entry in self._call("POST", "se/log", {"type": "browser"})
                if entry["level"] == "SEVERE"]


class Element:
    def __init__(self, browser, name):
        self._browser, self._path = browser, f"element/{name}"

    def _call(self, method, what, body=None):
        return self._browser._call(method, f"{self._path}/{what}", body)

    @property
    def text(self):
        return self._call("GET", "text")

    def click(self):
        self._call("POST", "click", {})

    def type(self, text):
        self._call("POST", "clear", {})
        self._call("POST", "value", {"text": text})
