"""A stand-in for an agent that is asked to renew its certificate: honest, forging, dying, or one that cannot."""

import json
import pathlib
import shutil
import socket
import ssl
import subprocess
import threading

from processes import DEADLINE


def make_csr(key, name):
    """A certificate request for that key, PEM."""
    return subprocess.run(["openssl", "req", "-new", "-key", str(key), "-subj", f"/CN={name}"], check=True,
                          capture_output=True, timeout=30).stdout.decode()


def make_key(path):
    subprocess.run(["openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", str(path)],
                   check=True, capture_output=True, timeout=30)
    return path


class RenewingAgent:
    """Serves with the files of a paired Agent, of which it takes copies, at `port`.

    `answers` replaces its own answers: {target: (status, body)}; a body that is None closes without an answer.
    `requests` are the targets it was asked for, in order.
    """

    def __init__(self, agent, port, name=None, answers=None):
        self.name, self.port, self.answers = name or agent.name, port, answers or {}
        self.directory = pathlib.Path(agent.directory) / f"stand-in-{port}"
        self.directory.mkdir(exist_ok=True)
        self.certificate, self.key = self.directory / "agent.crt", self.directory / "agent.key"
        shutil.copy(agent.certificate, self.certificate)
        shutil.copy(agent.key, self.key)
        self.authority = agent.ca
        self.requests, self.completed = [], []
        self._threads = []

    def __enter__(self):
        self._listener = socket.create_server(("127.0.0.1", self.port))
        self._stopping = False
        self._thread = threading.Thread(target=self._accept)
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stopping = True
        socket.create_connection(("127.0.0.1", self.port)).close()  # wakes accept()
        self._thread.join()
        self._listener.close()
        for thread in self._threads:
            thread.join()

    def _accept(self):
        while True:
            plain, _ = self._listener.accept()
            if self._stopping:
                plain.close()
                return
            thread = threading.Thread(target=self._serve, args=(plain,))
            self._threads.append(thread)
            thread.start()

    def _serve(self, plain):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate, self.key)
        context.load_verify_locations(self.authority)
        context.verify_mode = ssl.CERT_REQUIRED
        plain.settimeout(DEADLINE)
        try:
            with context.wrap_socket(plain, server_side=True) as connection:
                self._talk(connection)
        except (OSError, ssl.SSLError):
            plain.close()  # the caller has gone away, or does not want us

    def _talk(self, connection):
        data = b""
        while b"\r\n\r\n" not in data:
            more = connection.recv(65536)
            if not more:
                return
            data += more
        head, _, body = data.partition(b"\r\n\r\n")
        target = head.split(b" ")[1].decode()
        length = next((int(line.partition(b":")[2]) for line in head.split(b"\r\n")
                       if line.lower().startswith(b"content-length:")), 0)
        while len(body) < length:
            body += connection.recv(65536)
        self.requests.append(target)
        status, answer = self.answers[target] if target in self.answers else self._answer(target, json.loads(body or b"{}"))
        if answer is None:
            return
        text = json.dumps(answer).encode()
        connection.sendall(b"HTTP/1.1 %d X\r\nContent-Type: application/json\r\nContent-Length: %d\r\n"
                           b"X-Ctrl-Exec: 1\r\nConnection: close\r\n\r\n" % (status, len(text)) + text)

    def _answer(self, target, asked):
        reqid = asked.get("reqid", "")
        if target == "/ping":
            return 200, {"status": "ok", "host": self.name, "version": "0.9.0", "expiry": self.expiry(), "reqid": reqid}
        if target == "/run":
            return 200, {"script": asked["script"], "exit": 0, "stdout": "ran\n", "stderr": "", "reqid": reqid}
        if target == "/renew":
            return 200, {"status": "ok", "csr": self.csr(), "reqid": reqid}
        if target == "/renew-complete":
            self.completed.append(asked)
            self.store(asked["cert"])
            return 200, {"status": "ok", "reqid": reqid}
        return 404, {"error": "not found"}

    def csr(self):
        return make_csr(self.key, self.name)

    def store(self, certificate):
        fresh = self.directory / "new.crt"
        fresh.write_text(certificate)
        fresh.rename(self.certificate)

    def _fact(self, option):
        return subprocess.run(["openssl", "x509", "-in", self.certificate, "-noout", option], check=True,
                              capture_output=True, timeout=30).stdout.decode().partition("=")[2].strip()

    def expiry(self):
        return self._fact("-enddate")

    def serial(self):
        return self._fact("-serial").lower()
