// The values were computed with Python's hashlib and hmac (test/system/test_pairing_vectors.py does it anew).
#include "core/pairing_proof.h"

#include <doctest/doctest.h>

#include "core/digest.h"
#include "core/join_token.h"

using namespace ctrlexec;

namespace {

std::string counting(int first, int count) {
    std::string bytes;
    for (int i = 0; i < count; ++i) bytes += static_cast<char>(first + i);
    return bytes;
}

std::string hex_of(const std::string& bytes) {
    return to_hex({reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()});
}

PairingTranscript transcript() {
    return {digest_of("csr"),   digest_of("ca"), digest_of("leaf"), "web-01",
            "0123456789abcdef", "1a2b",          "00c9845e0001ab42"};
}

}  // namespace

TEST_CASE("the hashes of pairing have known answers") {
    const std::string agent_nonce = counting(0, 32);
    const std::string dispatcher_nonce = counting(32, 32);
    CHECK(sas_commitment(agent_nonce, digest_of("csr")) ==
          "0c3723a8d734ba594f1a3fb965ab324acb53133cbd651a09daf4209c1308d4fc");
    CHECK(short_authentication_string(agent_nonce, dispatcher_nonce, transcript()) == "6185-1057");
    const std::string key = join_key(counting(100, 20), digest_of("ca"));
    CHECK(hex_of(key) == "8b420e48276a47eaa39eeaf98aeebb8b0a9242288bb9883f99ea2e88d4f24485");
    const std::string nonce = "00112233445566778899aabbccddeeff";
    CHECK(join_request_mac(key, nonce, digest_of("csr"), digest_of("leaf"), "web-01") ==
          "1338ccf53d4a50c3e35b2407d3e46eb782412d0b658784a52fdc4c8ab43e91c0");
    CHECK(join_answer_mac(key, nonce, digest_of("cert"), digest_of("ca"), "1a2b", "0123456789abcdef") ==
          "2237c2ea79f7f1392cc8d8377b583884c1bd4d0b68e255de9eb0907faad93cee");
}

TEST_CASE("each item of the transcript counts, and so does where one ends") {
    const std::string agent_nonce = counting(0, 32);
    const std::string dispatcher_nonce = counting(32, 32);
    const std::string sas = short_authentication_string(agent_nonce, dispatcher_nonce, transcript());
    for (std::string PairingTranscript::*item :
         {&PairingTranscript::csr_digest, &PairingTranscript::ca_key_digest,
          &PairingTranscript::leaf_key_digest, &PairingTranscript::hostname,
          &PairingTranscript::dispatcher_id, &PairingTranscript::dispatcher_serial,
          &PairingTranscript::reqid}) {
        PairingTranscript other = transcript();
        (other.*item) += "x";
        CHECK(short_authentication_string(agent_nonce, dispatcher_nonce, other) != sas);
    }
    PairingTranscript moved = transcript();
    moved.hostname = "web-010";
    moved.dispatcher_id = "123456789abcdef";
    CHECK(short_authentication_string(agent_nonce, dispatcher_nonce, moved) != sas);
    CHECK(short_authentication_string(dispatcher_nonce, agent_nonce, transcript()) != sas);
}

TEST_CASE("a join token is read as it is written") {
    const std::string text =
        "cej2_0123456789abcdef_MRSWMZ3INFVGW3DNNZXXA4LSON2HK5TX_"
        "6959097001d10501ac7d54c0bdb8db61420f658f2922cc26e46d536119a31126";
    const auto token = JoinToken::parse(" " + text + "\n");
    REQUIRE(token);
    CHECK(token->kid == "0123456789abcdef");
    CHECK(token->secret == counting(100, 20));
    CHECK(token->pin.digest == digest_of("ca"));
    CHECK(token->text() == text);
    for (std::size_t i = 0; i < text.size(); ++i) {
        CHECK_FALSE(JoinToken::parse(text.substr(0, i)));
        std::string broken = text;
        broken[i] = '!';
        const auto refused = JoinToken::parse(broken);
        REQUIRE_FALSE(refused);
        CHECK(refused.error().text().find("MRSWMZ3I") == std::string::npos);
    }
    CHECK_FALSE(JoinToken::parse(text + "0"));
}

TEST_CASE("a pin is a digest with its name in front") {
    const std::string text = "sha256:6959097001d10501ac7d54c0bdb8db61420f658f2922cc26e46d536119a31126";
    const auto pin = CaPin::parse(text);
    REQUIRE(pin);
    CHECK(pin->text() == text);
    CHECK(CaPin::parse("sha256:6959097001D10501AC7D54C0BDB8DB61420F658F2922CC26E46D536119A31126")->text() ==
          text);
    for (const char* bad : {"", "sha256:", "6959097001d10501ac7d54c0bdb8db61420f658f2922cc26e46d536119a31126",
                            "sha1:6959097001d10501ac7d54c0bdb8db61420f658f2922cc26e46d536119a31126",
                            "sha256:6959097001d10501ac7d54c0bdb8db61420f658f2922cc26e46d536119a3112"})
        CHECK_FALSE(CaPin::parse(bad));
}
