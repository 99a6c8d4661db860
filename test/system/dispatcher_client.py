"""A dispatcher that is not ours: signs with openssl, asks agents over mutual TLS, and says whatever a test wants."""

import subprocess
import time

from wire import TlsClient, request

# Of `openssl ca`, with the directory to fill in; whoever needs other extensions adds sections of his own.
CA_CONFIGURATION = """
[ca]
default_ca = own
[own]
database = {0}/index
new_certs_dir = {0}
rand_serial = yes
unique_subject = no
default_md = sha256
policy = any
[any]
commonName = supplied
[both]
extendedKeyUsage = clientAuth, serverAuth
"""


def openssl(*words, **options):
    done = subprocess.run(["openssl", *map(str, words)], capture_output=True, timeout=30, check=False, **options)
    if done.returncode:
        raise AssertionError(f"{done.args}: {done.stderr.decode()}")
    return done.stdout


def facts(certificate):
    """Serial (lower case), end and public key of a certificate file or PEM text."""
    pem = certificate.encode() if isinstance(certificate, str) else certificate.read_bytes()
    lines = openssl("x509", "-noout", "-serial", "-enddate", "-pubkey", input=pem).decode().splitlines()
    return {"serial": lines[0].partition("=")[2].lower(), "end": lines[1].partition("=")[2], "key": lines[2:]}


class Signer:
    """A CA, by its certificate and key."""

    def __init__(self, directory, certificate, key):
        self.directory, self.certificate, self.key = directory, certificate, key
        directory.mkdir()
        self._config = directory / "config"
        self._config.write_text(CA_CONFIGURATION.format(directory))
        (directory / "index").write_text("")

    @classmethod
    def new(cls, directory, days=3650):
        certificate, key = directory.with_suffix(".ca.crt"), directory.with_suffix(".ca.key")
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", key,
                "-subj", "/CN=ctrl-exec CA", "-days", days, "-out", certificate)
        return cls(directory, certificate, key)

    def sign(self, csr, days=400, start=0, subject=None):
        """PEM. Valid from `start` days after now (negative: before) until `days` after now."""
        words = ["ca", "-config", self._config, "-batch", "-notext", "-in", "/dev/stdin", "-cert", self.certificate,
                 "-keyfile", self.key, "-extensions", "both"]
        for option, offset in (("-startdate", start - 0.01), ("-enddate", days)):
            words += [option, time.strftime("%Y%m%d%H%M%SZ", time.gmtime(time.time() + offset * 86400))]
        if subject:
            words += ["-subj", subject]
        return openssl(*words, input=csr.encode()).decode()

    def renewed(self, days, key=None):
        """PEM of this CA's certificate with other dates, and with another key if one is given."""
        return openssl("req", "-x509", "-new", "-key", key or self.key, "-subj", "/CN=ctrl-exec CA", "-days",
                       days).decode()


class Caller:
    """A certificate of that CA. `serial`: lower-case hex, an even number of digits."""

    def __init__(self, signer, name, serial):
        self.authority, self.serial = signer.certificate, serial
        self.identity = tuple(signer.directory / f"{name}.{kind}" for kind in ("crt", "key"))
        openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", self.identity[1])
        csr = openssl("req", "-new", "-key", self.identity[1], "-subj", "/CN=ctrl-exec")
        openssl("x509", "-req", "-CA", signer.certificate, "-CAkey", signer.key, "-set_serial", f"0x{serial}", "-days",
                "30", "-out", self.identity[0], input=csr)

    @classmethod
    def of(cls, deployment):
        """The deployment's own dispatcher."""
        caller = cls.__new__(cls)
        caller.authority = deployment.ca / "ca.crt"
        caller.identity = (deployment.ca / "ctrl-exec.crt", deployment.ca / "ctrl-exec.key")
        caller.serial = facts(caller.identity[0])["serial"]
        return caller

    def connect(self, agent):
        return TlsClient(agent.address, self.authority, self.identity)

    def ask(self, agent, target, body=None, method="POST"):
        with self.connect(agent) as client:
            client.send(request(method, target, {} if body is None else body, "X-Ctrl-Exec: 1"))
            return client.read_answer()

    def ping(self, agent):
        return self.ask(agent, "/ping", {"reqid": "p"}).status

