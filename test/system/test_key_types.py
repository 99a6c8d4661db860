"""CA, dispatcher and agent may each have an ECDSA or an RSA key, in any mix."""

import subprocess
import unittest

from deployment import Deployment, write_settings

TYPES = ("ecdsa", "rsa")
SHOWN = {"ecdsa": "Public-Key: (256 bit)", "rsa": "Public-Key: (4096 bit)"}
SIGNED = {"ecdsa": "Signature Algorithm: ecdsa-with-SHA256", "rsa": "Signature Algorithm: sha256WithRSAEncryption"}


def text(certificate):
    return subprocess.run(["openssl", "x509", "-in", certificate, "-noout", "-text"], check=True, capture_output=True,
                          timeout=30).stdout.decode()


class Mixes(unittest.TestCase):
    """One CA of each type; both kinds of dispatcher and of agent with each. RSA keys take seconds to make."""

    def check_ca(self, ca_type):
        with Deployment(set_up=False, key_type=ca_type) as deployment:
            deployment.dispatcher("setup-ca")
            self.assertIn(SHOWN[ca_type], text(deployment.ca / "ca.crt"))
            dispatchers = {key_type: self.make_dispatcher(deployment, key_type) for key_type in TYPES}
            agents = {}
            for key_type in TYPES:  # each is paired through the dispatcher of the other type
                other = TYPES[1 - TYPES.index(key_type)]
                deployment.config, serial = dispatchers[other]
                agents[key_type] = deployment.paired_agent(f"agent-{key_type}", key_type=key_type)
                agents[key_type].script("echo", '#!/bin/sh\necho "$1"\n')
                self.assertEqual(agents[key_type].serial.read_text().strip(), serial)
            for certificate, key_type in [(agent.certificate, key_type) for key_type, agent in agents.items()]:
                self.assertIn(SHOWN[key_type], text(certificate))
                self.assertIn(SIGNED[ca_type], text(certificate))
            for agent_type, agent in agents.items():
                for dispatcher_type, (config, serial) in dispatchers.items():
                    with self.subTest(ca=ca_type, dispatcher=dispatcher_type, agent=agent_type):
                        agent.serial.write_text(serial + "\n")
                        with agent.serve().daemon:
                            [result] = deployment.json("run", "--config", config, agent.target, "echo", "--",
                                                       "hello")["results"]
                            self.assertEqual((result["exit"], result["stdout"]), (0, "hello\n"))
                            [result] = deployment.json("ping", "--config", config, agent.target)["results"]
                            self.assertEqual(result["status"], "ok")

    def make_dispatcher(self, deployment, key_type):
        """(configuration, serial) of a dispatcher of its own under the same CA."""
        certificate = deployment.ca / f"{key_type}.crt"
        config = deployment.directory / f"{key_type}.conf"
        write_settings(config, {**deployment.settings, "cert": certificate, "key": deployment.ca / f"{key_type}.key",
                                "key_type": key_type})
        made = deployment.json("setup-ctrl-exec", "--config", config)
        self.assertIn(SHOWN[key_type], text(certificate))
        return config, made["serial"]

    def test_ecdsa_ca(self):
        self.check_ca("ecdsa")

    def test_rsa_ca(self):
        self.check_ca("rsa")


if __name__ == "__main__":
    unittest.main()
