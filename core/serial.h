// Certificate serial numbers as text. Normal form: lower-case hex, an even number of digits, no superfluous
// leading "00" ("02", "0a", "ffee"); old peers compare that text exactly, we compare it after normalising.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace ctrlexec {

// Accepts hex digits in any case with any leading zeros; nullopt for anything else, empty, or over 40 digits
// (RFC 5280, 4.1.2.2: 20 octets).
std::optional<std::string> normalize_serial(std::string_view hex);

}  // namespace ctrlexec
