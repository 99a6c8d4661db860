// The short texts that people and peers write: hosts with ports, address lists and times. What is accepted,
// written in its one canonical form, is read as the same again.
#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <string>

#include "core/address_list.h"
#include "core/config_file.h"
#include "core/hostname.h"
#include "core/target.h"
#include "core/timestamp.h"
#include "core/utf8.h"
#include "test/fuzz/harness.h"

namespace ctrlexec::fuzz {
namespace {

void check_target(std::string_view text) {
    const auto target = Target::parse(text);
    if (!target) {
        require(target.error().code == Errc::usage);
        require(printable(target.error().text()) == target.error().text());
        require(!is_valid_hostname(text) && !is_ip_address(text));
        return;
    }
    require(target->port >= 0 && target->port <= 65535);
    require(is_valid_hostname(target->host) || is_ip_address(target->host));
    require(text.find(target->host) != std::string_view::npos);
    const auto bare = Target::parse(target->host);
    require(bare && bare->host == target->host && bare->port == 0);
    const int port = target->port == 0 ? 7443 : target->port;
    const auto again = Target::parse(host_port(target->host, port));
    require(again && again->host == target->host && again->port == port);
}

using Address = std::array<std::uint8_t, 16>;

// As IPv6, IPv4 mapped (RFC 4291, 2.5.5.2).
Address bytes_of(const std::string& text) {
    Address address{};
    if (::inet_pton(AF_INET6, text.c_str(), address.data()) == 1) return address;
    address[10] = address[11] = 0xff;
    require(::inet_pton(AF_INET, text.c_str(), &address[12]) == 1);
    return address;
}

std::string flipped(Address address, int bit) {
    address[static_cast<std::size_t>(bit / 8)] ^= static_cast<std::uint8_t>(0x80 >> bit % 8);
    char text[INET6_ADDRSTRLEN];
    require(::inet_ntop(AF_INET6, address.data(), text, sizeof text) != nullptr);
    return text;
}

void check_entry(const AddressList& list, std::string_view entry, bool only_one) {
    const auto slash = entry.find('/');
    const std::string_view text = entry.substr(0, slash);
    require(is_ip_address(text) && list.contains(text));
    const bool is_v4 = text.find(':') == std::string_view::npos;
    std::int64_t bits = is_v4 ? 32 : 128;
    require(slash == std::string_view::npos || parse_integer(entry.substr(slash + 1), 0, bits, bits));
    if (is_v4) bits += 96;
    const Address address = bytes_of(std::string(text));
    // One bit past the prefix does not matter, the last one of it does.
    if (bits < 128) require(list.contains(flipped(address, static_cast<int>(bits))));
    if (bits > 0 && only_one) require(!list.contains(flipped(address, static_cast<int>(bits) - 1)));
}

void check_address_list(std::string_view text) {
    const auto list = AddressList::parse(text);
    if (!list) {
        require(list.error().code == Errc::config && !is_ip_address(text));
        require(printable(list.error().text()) == list.error().text());
        return;
    }
    require(list->empty() == text.empty());
    const auto trimmed = text.substr(std::min(text.find_first_not_of(", \t"), text.size()));
    const bool only_one =
        trimmed.substr(std::min(trimmed.find_first_of(", \t"), trimmed.size())).find_first_not_of(", \t") ==
        std::string_view::npos;
    while (!text.empty()) {
        const auto end = std::min(text.find_first_of(", \t"), text.size());
        if (end > 0) check_entry(*list, text.substr(0, end), only_one);
        text.remove_prefix(std::min(end + 1, text.size()));
    }
}

void check_time(std::int64_t time) {
    constexpr std::int64_t first = -62167219200;  // 0000-01-01T00:00:00Z
    constexpr std::int64_t last = 253402300799;   // 9999-12-31T23:59:59Z
    require(parse_iso8601(iso8601(time)) == std::clamp(time, first, last));
    require(parse_openssl_time(openssl_time(time)) == std::clamp(time, first, last));
}

void check_times(std::string_view text) {
    if (const auto time = parse_iso8601(text)) {
        require(iso8601(*time) == text);
        check_time(*time);
    }
    if (const auto time = parse_openssl_time(text)) {
        require(openssl_time(*time) == text);
        check_time(*time);
    }
    std::int64_t any = 0;
    if (text.size() >= sizeof any) {
        std::memcpy(&any, text.data(), sizeof any);
        check_time(any);
        check_time(any >> 24);  // often within the years that can be written
    }
}

}  // namespace

int fuzz_target(const std::uint8_t* data, std::size_t size) {
    const std::string_view text = text_of_input(data, size);
    check_target(text);
    check_address_list(text);
    check_times(text);
    return 0;
}

}  // namespace ctrlexec::fuzz
