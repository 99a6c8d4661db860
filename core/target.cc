#include "core/target.h"

#include <arpa/inet.h>
#include <fmt/format.h>

#include <map>
#include <set>

#include "core/config_file.h"
#include "core/hostname.h"
#include "core/utf8.h"

namespace ctrlexec {
namespace {

// inet_pton would end at a NUL that JSON can bring, and the rest would pass unseen.
bool is_address(int family, std::string_view text) {
    in6_addr address{};  // the larger of the two kinds
    return text.find('\0') == std::string_view::npos &&
           ::inet_pton(family, std::string(text).c_str(), &address) == 1;
}

bool is_ipv6(std::string_view text) {
    return is_address(AF_INET6, text);
}

Error bad_target(std::string_view text, std::string_view why) {
    return fail(Errc::usage, fmt::format("'{}' is no host: {}", printable(text.substr(0, 80)), why));
}

}  // namespace

bool is_ip_address(std::string_view text) {
    return is_ipv6(text) || is_address(AF_INET, text);
}

std::string own_address(const std::string& bind) {
    if (bind.empty() || bind == "0.0.0.0") return "127.0.0.1";
    return bind == "::" ? "::1" : bind;
}

std::string host_port(std::string_view host, int port) {
    return host.find(':') == std::string_view::npos ? fmt::format("{}:{}", host, port)
                                                    : fmt::format("[{}]:{}", host, port);
}

Result<Target> Target::parse(std::string_view text) {
    if (is_ipv6(text)) return Target{std::string(text), 0};
    std::string_view host = text;
    std::string_view port;
    bool has_port = false;
    const bool bracketed = !text.empty() && text.front() == '[';
    if (bracketed) {
        const auto close = text.find(']');
        if (close == std::string_view::npos || !is_ipv6(text.substr(1, close - 1))) {
            return bad_target(text, "expected [IPv6-address] or [IPv6-address]:PORT");
        }
        host = text.substr(1, close - 1);
        const std::string_view rest = text.substr(close + 1);
        if (!rest.empty() && rest.front() != ':') return bad_target(text, "expected ':PORT' after ']'");
        has_port = !rest.empty();
        port = has_port ? rest.substr(1) : "";
    } else if (const auto colon = text.rfind(':'); colon != std::string_view::npos) {
        host = text.substr(0, colon);
        port = text.substr(colon + 1);
        has_port = true;
    }
    // "::1:7443" is an address, so "::1:17443" must not be one with a port.
    if (!bracketed && is_ipv6(host)) return bad_target(text, "write [IPv6-address]:PORT");
    if (!bracketed && !is_valid_hostname(host)) {
        return bad_target(text, "a name may hold letters, digits, '.', '-' and '_'");
    }
    std::int64_t number = 0;
    if (has_port && !parse_integer(port, 1, 65535, number))
        return bad_target(text, "the port must be 1 to 65535");
    return Target{std::string(host), static_cast<int>(number)};
}

Result<std::vector<Target>> parse_targets(std::span<const std::string> words, int default_port) {
    std::vector<Target> targets;
    std::map<std::string, std::set<int>> seen;  // host -> ports
    for (const auto& word : words) {
        TRY(Target target, Target::parse(word));
        if (target.port == 0) target.port = default_port;
        std::set<int>& ports = seen[target.host];
        const bool unclear = !ports.empty() && (target.port == 0 || ports.count(0) != 0);
        if (unclear || !ports.insert(target.port).second) {
            return fail(Errc::usage, fmt::format("'{}' is named twice", word));
        }
        targets.push_back(std::move(target));
    }
    return targets;
}

}  // namespace ctrlexec
