"""The stand-ins for pairing version 2 are what they claim: they pair with each other, and see each other's lies."""

import pathlib
import tempfile
import unittest

from pairing_v2 import Authority, JoinToken, NotBelieved, V2Agent, V2Dispatcher, key_digest, pin_text


class Peers(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.directory = pathlib.Path(cls.enterClassContext(tempfile.TemporaryDirectory(prefix="ctrl-exec-system.")))
        cls.authority = Authority(cls.directory / "ca")

    def dispatcher(self, **options):
        return self.enterContext(V2Dispatcher(self.directory, authority=self.authority, **options))

    def agent(self, dispatcher, **options):
        return self.enterContext(V2Agent(dispatcher.address, "web-01", **options))

    def test_pair_and_see_the_same_check_code(self):
        dispatcher = self.dispatcher()
        agent = self.agent(dispatcher)
        agent.pair()
        self.assertEqual(agent.sas, dispatcher.sessions[0].sas)
        self.assertRegex(agent.sas, r"^\d{4}-\d{4}$")
        self.assertTrue(dispatcher.sessions[0].committed)

    def test_agent_with_pin_and_token(self):
        token = JoinToken.invented(self.authority.der)
        dispatcher = self.dispatcher(token=token)
        agent = self.agent(dispatcher, token=token.text, pins=[key_digest(self.authority.der)])
        agent.pair()
        self.assertEqual(agent.retry().key, agent.key)
        self.assertEqual(JoinToken.parse(token.text), token)
        self.assertEqual(pin_text(self.authority.der), f"sha256:{token.pin.hex()}")

    def test_lies_of_the_dispatcher_are_seen(self):
        other = Authority(self.directory / "other")
        for name, options in {
                "another CA": {"first": lambda _, answer: {**answer, "ca": other.pem}},
                "another serial": {"serial": "1234"},
                "no version": {"first": lambda _, answer: {"status": "pending", "reqid": answer["reqid"]}},
                "another id at last": {"last": lambda _, answer: {**answer, "dispatcher_id": "0" * 16}},
                "another nonce": {"last": lambda _, answer: {**answer, "nonce": "00"}},
                "a certificate of another CA": {"last": lambda session, answer: {
                    **answer, "cert": other.sign(session.asked["csr"])}},
        }.items():
            with self.subTest(name), self.assertRaises(NotBelieved):
                self.agent(self.dispatcher(**options)).pair()
        with self.assertRaisesRegex(NotBelieved, "pinned"):
            self.agent(self.dispatcher(), pins=[key_digest(other.der)]).pair()
        with self.assertRaisesRegex(NotBelieved, "token"):
            self.agent(self.dispatcher(token=JoinToken.invented(self.authority.der)),
                       token=JoinToken.invented(self.authority.der)).pair()

    def test_lies_of_the_agent_are_seen(self):
        dispatcher = self.dispatcher()
        agent = self.agent(dispatcher)
        agent.ask()
        agent.reveal(sas_nonce="00" * 32)
        agent.read_last()
        self.assertFalse(dispatcher.sessions[0].committed)


if __name__ == "__main__":
    unittest.main()
