// Join tokens as text, and pins: cej2_<kid>_<secret>_<pin>.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "core/result.h"

namespace ctrlexec {

inline constexpr std::size_t join_secret_bytes = 20;

// SHA-256 of a CA's SubjectPublicKeyInfo, by which an agent knows it before it has seen it.
struct CaPin {
    std::string digest;  // 32 bytes

    // "sha256:" and 64 hex digits of either case. Errc::usage.
    static Result<CaPin> parse(std::string_view text);
    std::string text() const;  // "sha256:…"
    friend bool operator==(const CaPin&, const CaPin&) = default;
};

struct JoinToken {
    std::string kid;     // 16 lower-case hex digits: names it in lists and logs
    std::string secret;  // 20 bytes
    CaPin pin;

    // Errc::config; the message never holds a part of the text. Blanks around it are ignored.
    static Result<JoinToken> parse(std::string_view text);
    std::string text() const;  // secret
};

bool is_valid_kid(std::string_view kid);

}  // namespace ctrlexec
