#include "core/pairing_proof.h"

#include <fmt/format.h>

#include <cstdint>

#include "core/digest.h"

namespace ctrlexec {
namespace {

class HashInput {
  public:
    HashInput() = default;
    explicit HashInput(std::string_view label) : bytes_(label) { bytes_ += '\0'; }

    HashInput& add(std::string_view item) {
        const auto size = static_cast<std::uint32_t>(item.size());
        for (const int shift : {24, 16, 8, 0}) bytes_ += static_cast<char>((size >> shift) & 255);
        bytes_ += item;
        return *this;
    }
    const std::string& bytes() const { return bytes_; }

  private:
    std::string bytes_;
};

}  // namespace

std::string digest_of(std::string_view data) {
    const auto digest = sha256(data);
    return {reinterpret_cast<const char*>(digest.data()), digest.size()};
}

std::string sas_commitment(std::string_view agent_nonce, std::string_view csr_digest) {
    HashInput input("ctrl-exec/sas-commit/2");
    input.add(agent_nonce).add(csr_digest);
    return to_hex(sha256(input.bytes()));
}

std::string short_authentication_string(std::string_view agent_nonce, std::string_view dispatcher_nonce,
                                        const PairingTranscript& transcript) {
    HashInput input("ctrl-exec/sas/2");
    input.add(transcript.csr_digest)
        .add(transcript.ca_key_digest)
        .add(transcript.leaf_key_digest)
        .add(transcript.hostname)
        .add(transcript.dispatcher_id)
        .add(transcript.dispatcher_serial)
        .add(transcript.reqid);
    const auto mac = hmac_sha256(fmt::format("{}{}", agent_nonce, dispatcher_nonce), input.bytes());
    std::uint64_t number = 0;
    for (std::size_t i = 0; i < 8; ++i) number = (number << 8) | mac[i];
    number %= 100'000'000;
    return fmt::format("{:04}-{:04}", number / 10'000, number % 10'000);
}

std::string check_code_of(std::string_view typed) {
    std::string digits(typed);
    if (digits.size() == 9 && digits[4] == '-') digits.erase(4, 1);
    if (digits.size() != 8 || digits.find_first_not_of("0123456789") != std::string::npos) return {};
    return digits.insert(4, 1, '-');
}

std::string join_key(std::string_view secret, std::string_view ca_key_digest) {
    return hkdf_sha256(secret, ca_key_digest, "ctrl-exec/join/2");
}

std::string join_request_mac(std::string_view join_key, std::string_view nonce, std::string_view csr_digest,
                             std::string_view leaf_key_digest, std::string_view hostname) {
    HashInput input;
    input.add("req").add(nonce).add(csr_digest).add(leaf_key_digest).add(hostname);
    return to_hex(hmac_sha256(join_key, input.bytes()));
}

std::string join_answer_mac(std::string_view join_key, std::string_view nonce,
                            std::string_view certificate_digest, std::string_view ca_key_digest,
                            std::string_view dispatcher_serial, std::string_view dispatcher_id) {
    HashInput input;
    input.add("resp")
        .add(nonce)
        .add(certificate_digest)
        .add(ca_key_digest)
        .add(dispatcher_serial)
        .add(dispatcher_id);
    return to_hex(hmac_sha256(join_key, input.bytes()));
}

}  // namespace ctrlexec
