#include "core/address_list.h"

#include <arpa/inet.h>
#include <fmt/format.h>

#include <algorithm>
#include <string>

#include "core/config_file.h"
#include "core/utf8.h"

namespace ctrlexec {
namespace {

constexpr int mapped_bits = 96;  // of ::ffff:0:0/96, below which IPv4 addresses lie

bool same_prefix(const std::uint8_t* a, const std::uint8_t* b, int bits) {
    const int whole = bits / 8;
    if (!std::equal(a, a + whole, b)) return false;
    const int rest = bits % 8;
    if (rest == 0) return true;
    const int mask = (0xff << (8 - rest)) & 0xff;
    return (a[whole] & mask) == (b[whole] & mask);
}

}  // namespace

bool AddressList::read(std::string_view text, Bytes& out, bool& is_v4) {
    if (text.find('\0') != std::string_view::npos) return false;  // inet_pton would end there
    const std::string copy(text);
    in_addr v4{};
    is_v4 = ::inet_pton(AF_INET, copy.c_str(), &v4) == 1;
    if (!is_v4) return ::inet_pton(AF_INET6, copy.c_str(), out.data()) == 1;
    out = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    const auto* bytes = reinterpret_cast<const std::uint8_t*>(&v4);
    std::copy(bytes, bytes + 4, out.begin() + 12);
    return true;
}

Result<AddressList> AddressList::parse(std::string_view text) {
    AddressList list;
    const bool given = !text.empty();
    while (!text.empty()) {
        const auto end = text.find_first_of(", \t");
        const std::string_view entry = text.substr(0, end);
        text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
        if (entry.empty()) continue;
        const auto slash = entry.find('/');
        Prefix prefix{};
        bool is_v4 = false;
        std::int64_t bits = 0;
        const bool address_ok = read(entry.substr(0, slash), prefix.address, is_v4);
        const int width = is_v4 ? 32 : 128;
        const bool bits_ok =
            slash == std::string_view::npos || parse_integer(entry.substr(slash + 1), 0, width, bits);
        if (!address_ok || !bits_ok) {
            return fail(Errc::config,
                        fmt::format("'{}' is neither an IP address nor ADDRESS/BITS", printable(entry)));
        }
        if (slash == std::string_view::npos) bits = width;
        prefix.bits = static_cast<int>(bits) + (is_v4 ? mapped_bits : 0);
        list.prefixes_.push_back(prefix);
    }
    // Separators alone would switch the filter off.
    if (given && list.empty()) return fail(Errc::config, "no address is given");
    return list;
}

bool AddressList::contains(std::string_view ip) const {
    Bytes address{};
    bool is_v4 = false;
    if (!read(ip, address, is_v4)) return false;
    return std::any_of(prefixes_.begin(), prefixes_.end(), [&](const Prefix& prefix) {
        return same_prefix(prefix.address.data(), address.data(), prefix.bits);
    });
}

}  // namespace ctrlexec
