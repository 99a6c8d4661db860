"""Requests as they are, and their answers to the last header."""

import http.client
import json
import socket

from openapi_document import Answer
from processes import DEADLINE
from wire import split_address


class Connection:
    """One connection that must stay usable: it is never opened a second time."""

    def __init__(self, address):
        self._connection = http.client.HTTPConnection(*split_address(address), timeout=DEADLINE)
        self._connection.connect()
        self._connection.auto_open = 0

    def send(self, method, target, body=None, headers=()):
        """The answer. `body`: bytes, or something that becomes JSON; None for no body."""
        headers = dict(headers)
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
            headers.setdefault("Content-Type", "application/json")
        self._connection.request(method, target, body, headers)
        return taken(self._connection.getresponse())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._connection.close()


def taken(response):
    body = response.read()
    return Answer(response.status, [(name.lower(), value) for name, value in response.getheaders()], body)


def send_once(address, *request, **options):
    with Connection(address) as connection:
        return connection.send(*request, **options)


def send_bytes(address, data, method="GET"):
    """The answer to exactly these bytes, after which the server may close."""
    with socket.create_connection(split_address(address), DEADLINE) as plain:
        plain.sendall(data)
        response = http.client.HTTPResponse(plain, method=method)
        response.begin()
        return taken(response)
