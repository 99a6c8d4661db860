// HOST, HOST:PORT, [v6], [v6]:PORT and bare IPv6 addresses, as people type them.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.h"

namespace ctrlexec {

struct Target {
    std::string host;  // without port and brackets: results are named by it
    int port = 0;      // 0: not given

    // Errc::usage with what is wrong.
    static Result<Target> parse(std::string_view text);
};

// Each word a target, `default_port` where it names none (0 leaves it open). A host named twice is
// Errc::usage, unless two different ports say that two agents are meant.
Result<std::vector<Target>> parse_targets(std::span<const std::string> words, int default_port);

bool is_ip_address(std::string_view text);  // IPv4 dotted quad or IPv6, without zone

// Where a server that was bound to `bind` can be reached from its own host: loopback when that is every
// address.
std::string own_address(const std::string& bind);

// "host:port", IPv6 in brackets.
std::string host_port(std::string_view host, int port);

}  // namespace ctrlexec
