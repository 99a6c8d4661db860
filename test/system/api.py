"""The HTTP API as its clients see it."""

import http.client
import json
import subprocess

from deployment import BIN
from processes import DEADLINE
from wire import split_address


def serve_api(deployment):
    """The API of this deployment, listening; settings are in its ctrl-exec.conf (api_port = 0)."""
    return deployment.start([BIN / "ctrl-exec-api", "--config", deployment.config], "api").wait_listening()


def api_certificate(directory):
    """The settings for TLS with a certificate of its own."""
    certificate, key = directory / "api.crt", directory / "api.key"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days",
                    "9", "-subj", "/CN=localhost", "-keyout", key, "-out", certificate], check=True, capture_output=True)
    key.chmod(0o600)
    return {"api_cert": certificate, "api_key": key}


def call_once(api, *words):
    with Client(api.address) as client:
        return client.call(*words)


class Client:
    """One keep-alive connection."""

    def __init__(self, address, context=None):
        host, port = split_address(address)
        if context:
            self._connection = http.client.HTTPSConnection(host, port, timeout=DEADLINE, context=context)
        else:
            self._connection = http.client.HTTPConnection(host, port, timeout=DEADLINE)

    def call(self, method, path, body=None, headers=None):
        """(status, headers, parsed JSON or text). `body`: bytes, or something that becomes JSON."""
        headers = dict(headers or {})
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
            headers.setdefault("Content-Type", "application/json")
        self._connection.request(method, path, body, headers)
        answer = self._connection.getresponse()
        data = answer.read()
        self.headers = {name.lower(): value for name, value in answer.getheaders()}
        is_json = data and self.headers.get("content-type") == "application/json"
        return answer.status, (json.loads(data) if is_json else data.decode())

    def close(self):
        self._connection.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
