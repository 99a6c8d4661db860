"""Stand-ins for agents, registered without pairing: they count what they refuse, and can be off for a while."""

import json
import socket
import ssl
import threading

from old_peers import old_answer, read_head, header_lines, value_of
from processes import DEADLINE

FORBIDDEN = old_answer({"error": "serial mismatch", "status": "forbidden"}, b"403 Error")
UNKNOWN = old_answer({"error": "not found"}, b"404 Error")


def normal(serial):
    digits = serial.lower().lstrip("0") or "0"
    return "0" * (len(digits) % 2) + digits


class StandIn:
    """`kind`: "ours"; "stubborn", ours that cannot store a serial; "old" with the script of 0.8.4; "deaf", without it."""

    def __init__(self, deployment, name, kind="ours"):
        self.deployment, self.name, self.kind = deployment, name, kind
        self.off, self.refusals, self.runs, self.revoked = False, 0, [], []
        self.trusted, self.until = [], None
        key, csr, self.certificate = (deployment.directory / f"{name}.{end}" for end in ("key", "csr", "crt"))
        deployment.execute(["openssl", "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                            "-keyout", key, "-out", csr, "-subj", f"/CN={name}"])
        deployment.execute(["openssl", "x509", "-req", "-in", csr, "-CA", deployment.ca / "ca.crt", "-CAkey",
                            deployment.ca / "ca.key", "-CAcreateserial", "-CAserial", deployment.directory / "serials",
                            "-days", "3000", "-out", self.certificate])
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(self.certificate, key)
        self.context.load_verify_locations(deployment.ca / "ca.crt")
        self.context.verify_mode = ssl.CERT_REQUIRED
        self.lock = threading.Lock()

    @property
    def serial(self):
        return normal(self.deployment.execute(["openssl", "x509", "-in", self.certificate, "-noout", "-serial"])
                      .stdout.decode().strip().partition("=")[2])

    def record(self):
        return json.loads((self.deployment.state / "agents" / f"{self.name}.json").read_text())

    def __enter__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        agents = self.deployment.state / "agents"
        agents.mkdir(parents=True, exist_ok=True)
        self.trusted = [self.deployment.json("serial-status")["current_serial"]]
        (agents / f"{self.name}.json").write_text(json.dumps({
            "hostname": self.name, "ip": "127.0.0.1", "paired": "2026-01-01T00:00:00Z",
            "expiry": "Jun  7 16:28:00 2030 GMT", "reqid": "0011223344556677", "dispatcher_serial": self.trusted[0],
            "serial_status": "current", "serial_broadcast": "", "serial_confirmed": "2026-01-01T00:00:00Z",
            "agent_port": self.port, "lookup_by": "ip", "serial": self.serial}))
        self.threads = []
        self.thread = threading.Thread(target=self.accept)
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.thread.join()
        for thread in self.threads:
            thread.join()

    def accept(self):
        while True:
            try:
                plain, _ = self.listener.accept()
            except OSError:
                return
            thread = threading.Thread(target=self.serve, args=(plain,))
            thread.start()
            self.threads.append(thread)

    def serve(self, plain):
        plain.settimeout(DEADLINE)
        try:
            with plain:
                if self.off:
                    return
                with self.context.wrap_socket(plain, server_side=True) as connection:
                    head = read_head(connection)
                    length = int(value_of(header_lines(head), "content-length") or 0)
                    body = b""
                    while len(body) < length:
                        body += connection.recv(length - len(body))
                    peer = normal(connection.getpeercert()["serialNumber"])
                    with self.lock:
                        answer = self.answer(head.split(b" ")[1].decode(), body and json.loads(body), peer)
                    connection.sendall(answer)
                    connection.unwrap()
        except OSError:
            pass

    def trusts(self, serial):
        return serial in self.trusted

    def answer(self, target, body, peer):
        ours = self.kind in ("ours", "stubborn")
        if target in ("/rotate-serial", "/revoke") and not ours:
            return UNKNOWN
        if not self.trusts(peer):
            self.refusals += 1
            return FORBIDDEN
        if target == "/rotate-serial":
            return self.rotate(body)
        if target == "/revoke":
            self.revoked += body["serials"]
            return old_answer({"status": "ok", "added": len(body["serials"]), "reqid": body["reqid"]})
        if target == "/ping":
            return old_answer({"status": "ok", "host": self.name, "version": "0.8.4", "reqid": body["reqid"],
                               "expiry": "Jun  7 16:28:00 2030 GMT"})
        if target == "/run":
            return self.run(body)
        return UNKNOWN

    def rotate(self, body):
        if self.kind == "stubborn":
            return old_answer({"status": "error", "error": "disk full", "reqid": body["reqid"]})
        serial = body["serial"]
        self.trusted = [each for each in self.trusted if each != serial][-1:] + [serial]
        self.until = body.get("until")
        return old_answer({"status": "ok", "serial": serial, "reqid": body["reqid"]})

    def run(self, body):
        if body["script"] == "update-ctrl-exec-serial" and self.kind == "old":
            self.trusted = [normal(body["args"][0])]
        elif body["script"] != "true":
            return old_answer({"exit": -1, "error": "script not permitted", "script": body["script"],
                               "reqid": body["reqid"]})
        else:
            self.runs.append(body["reqid"])
        return old_answer({"exit": 0, "script": body["script"], "stdout": "", "stderr": "", "reqid": body["reqid"]})
