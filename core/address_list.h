// allowed_ips: addresses and prefixes, IPv4 and IPv6.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

#include "core/result.h"

namespace ctrlexec {

class AddressList {
  public:
    // Separated by commas or blanks: "10.0.0.7, 192.168.0.0/16, fd00::/8". One entry that cannot be read is
    // Errc::config: a filter with a hole is no filter.
    static Result<AddressList> parse(std::string_view text);

    // `ip` as text; an IPv4 address also when it is written as ::ffff:a.b.c.d. False for what is no address.
    bool contains(std::string_view ip) const;
    bool empty() const { return prefixes_.empty(); }

  private:
    using Bytes = std::array<std::uint8_t, 16>;  // IPv4 as v4-mapped IPv6 (RFC 4291, 2.5.5.2)
    struct Prefix {
        Bytes address;
        int bits;  // 0-128
    };
    static bool read(std::string_view text, Bytes& out, bool& is_v4);
    std::vector<Prefix> prefixes_;
};

}  // namespace ctrlexec
