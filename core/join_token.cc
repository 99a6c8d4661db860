#include "core/join_token.h"

#include <fmt/format.h>

#include <algorithm>

#include "core/base32.h"
#include "core/digest.h"
#include "core/utf8.h"

namespace ctrlexec {
namespace {

constexpr std::string_view pin_prefix = "sha256:";
constexpr std::string_view token_prefix = "cej2_";
constexpr std::size_t kid_digits = 16;
constexpr std::size_t pin_digits = 64;
constexpr std::size_t secret_digits = join_secret_bytes * 8 / 5;

std::string lower(std::string_view text) {
    std::string result(text);
    std::transform(result.begin(), result.end(), result.begin(),
                   [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
    return result;
}

// A token or pin comes from a file, whose last line has an end.
std::string_view without_blanks(std::string_view text) {
    constexpr std::string_view blanks = " \t\r\n";
    const auto first = text.find_first_not_of(blanks);
    if (first == std::string_view::npos) return {};
    return text.substr(first, text.find_last_not_of(blanks) - first + 1);
}

Error not_a_token(std::string_view why) {
    return fail(Errc::config,
                fmt::format("not a join token ({}); ctrl-exec-dispatcher join-token create prints one", why));
}

}  // namespace

Result<CaPin> CaPin::parse(std::string_view text) {
    text = without_blanks(text);
    if (text.starts_with(pin_prefix) && text.size() == pin_prefix.size() + pin_digits) {
        if (auto digest = from_hex(lower(text.substr(pin_prefix.size())))) return CaPin{std::move(*digest)};
    }
    return fail(Errc::usage, fmt::format("'{}' is no pin: sha256: and 64 hex digits, as ctrl-exec-dispatcher "
                                         "ca-pin prints it",
                                         printable(text.substr(0, 80))));
}

std::string CaPin::text() const {
    return fmt::format("{}{}", pin_prefix, hex_of(digest));
}

bool is_valid_kid(std::string_view kid) {
    return kid.size() == kid_digits && from_hex(kid).has_value();
}

Result<JoinToken> JoinToken::parse(std::string_view text) {
    text = without_blanks(text);
    if (!text.starts_with(token_prefix)) return not_a_token("it does not begin with cej2_");
    text.remove_prefix(token_prefix.size());
    if (text.size() != kid_digits + 1 + secret_digits + 1 + pin_digits) {
        return not_a_token("its length is wrong: is it cut off?");
    }
    JoinToken token;
    token.kid = lower(text.substr(0, kid_digits));
    const auto secret = from_base32(text.substr(kid_digits + 1, secret_digits));
    const auto pin = from_hex(lower(text.substr(kid_digits + 1 + secret_digits + 1)));
    const bool parted = text[kid_digits] == '_' && text[kid_digits + 1 + secret_digits] == '_';
    if (!parted || !is_valid_kid(token.kid) || !secret || !pin)
        return not_a_token("a part of it has a wrong form");
    token.secret = *secret;
    token.pin.digest = *pin;
    return token;
}

std::string JoinToken::text() const {
    return fmt::format("{}{}_{}_{}", token_prefix, kid, base32(secret), hex_of(pin.digest));
}

}  // namespace ctrlexec
