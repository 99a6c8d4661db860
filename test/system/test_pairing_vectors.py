"""Known answers of pairing version 2, and that the program's own check codes and macs are those of Python's hashlib.

test/core/pairing_proof_test.cc has the same values, so two implementations that share no code agree on them.
docs/pairing-protocol.md shows them as its example.
"""

import re
import pathlib
import unittest

from pairing_v2 import (JoinToken, commitment, hkdf, join_answer_mac, join_key, join_request_mac, pin_text, sha256,
                        short_string)

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
CSR, CA, LEAF, CERTIFICATE = map(sha256, (b"csr", b"ca", b"leaf", b"cert"))
AGENT_NONCE, DISPATCHER_NONCE, SECRET = bytes(range(32)), bytes(range(32, 64)), bytes(range(100, 120))
NONCE = "00112233445566778899aabbccddeeff"

ANSWERS = {
    "commitment": (lambda: commitment(AGENT_NONCE, CSR),
                   "0c3723a8d734ba594f1a3fb965ab324acb53133cbd651a09daf4209c1308d4fc"),
    "check code": (lambda: short_string(AGENT_NONCE, DISPATCHER_NONCE, CSR, CA, LEAF, "web-01", "0123456789abcdef",
                                        "1a2b", "00c9845e0001ab42"), "6185-1057"),
    "join key": (lambda: join_key(SECRET, CA).hex(),
                 "8b420e48276a47eaa39eeaf98aeebb8b0a9242288bb9883f99ea2e88d4f24485"),
    "mac of the request": (lambda: join_request_mac(join_key(SECRET, CA), NONCE, CSR, LEAF, "web-01"),
                           "1338ccf53d4a50c3e35b2407d3e46eb782412d0b658784a52fdc4c8ab43e91c0"),
    "mac of the answer": (lambda: join_answer_mac(join_key(SECRET, CA), NONCE, CERTIFICATE, CA, "1a2b",
                                                  "0123456789abcdef"),
                          "2237c2ea79f7f1392cc8d8377b583884c1bd4d0b68e255de9eb0907faad93cee"),
    "join token": (lambda: JoinToken("0123456789abcdef", SECRET, CA).text,
                   "cej2_0123456789abcdef_MRSWMZ3INFVGW3DNNZXXA4LSON2HK5TX_"
                   "6959097001d10501ac7d54c0bdb8db61420f658f2922cc26e46d536119a31126"),
}


class KnownAnswers(unittest.TestCase):
    def test_answers(self):
        for name, (computed, known) in ANSWERS.items():
            with self.subTest(name):
                self.assertEqual(computed(), known)

    def test_hkdf_is_that_of_the_standard(self):
        """RFC 5869, test case 1, whose first 32 bytes are one block."""
        self.assertEqual(hkdf(b"\x0b" * 22, bytes(range(13)), bytes(range(0xf0, 0xfa))).hex(),
                         "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf")

    def test_the_program_has_the_same(self):
        text = (ROOT / "test/core/pairing_proof_test.cc").read_text()
        text = re.sub(r'"\s*\n\s*"', "", text)  # literals over two lines
        page = (ROOT / "docs/pairing-protocol.md").read_text()
        for name, (_, known) in ANSWERS.items():
            with self.subTest(name):
                self.assertIn(f'"{known}"', text)
                self.assertIn(known, page)


if __name__ == "__main__":
    unittest.main()
