// rate_limit_volume and rate_limit_probe of an agent: how often an address may connect without being a
// trusted dispatcher, and how often it may fail (handshake, revoked or unknown certificate) before it is
// blocked for a while.
//
// A trusted dispatcher must never be locked out, not even by others at its own address (NAT, other users of
// its host): its connections are not counted, and whether a connection is one shows after the handshake only.
// So an address from which one has come, and loopback, is never closed before the handshake.
//
// The HTTP API counts the credentials that it refuses in the same way (api_rate_limit, as volume): whoever
// shows a known token is never blocked.
#pragma once

#include <chrono>
#include <cstddef>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "core/config_file.h"
#include "core/result.h"

namespace ctrlexec {

// "COUNT/WINDOW/BLOCK": the COUNT-th event within WINDOW blocks the address for BLOCK.
struct RateLimit {
    std::size_t count = 0;  // 1-1000
    std::chrono::seconds window{0};
    std::chrono::seconds block{0};

    static Result<RateLimit> parse(std::string_view text);
    std::string text() const;
};

// The key of that name, `fallback` when it is not set. The error names file and key.
Result<RateLimit> read_rate_limit(const ConfigFile& file, std::string_view key, RateLimit fallback);

// The same; nothing when the key says "off".
Result<std::optional<RateLimit>> read_optional_rate_limit(const ConfigFile& file, std::string_view key,
                                                          RateLimit fallback);

class RateLimiter {
  public:
    using Time = std::chrono::steady_clock::time_point;
    static constexpr std::size_t max_addresses = 4096;

    RateLimiter(RateLimit volume, RateLimit probe, bool enabled)
        : volume_(volume), probe_(probe), enabled_(enabled) {}

    enum class Admission {
        open,          // serve it
        trusted_only,  // shake hands, then serve it only if it is a trusted dispatcher
        refused,       // close it before the handshake
    };
    // For a connection that was just accepted. `ip` as text.
    Admission admit(const std::string& ip, Time now);

    // Until the volume block of this address ends; 0 when there is none.
    std::chrono::seconds blocked_for(const std::string& ip, Time now) const;

    // What the log must tell.
    struct Event {
        std::optional<RateLimit> blocked;    // the limit by which the address is blocked from now on
        std::string_view kind;               // "volume" or "probe", with `blocked`
        std::optional<std::string> evicted;  // the address that was forgotten to make room
    };

    // The connection turned out to be a trusted dispatcher's: failures will not shut this address out
    // before the handshake.
    Event trusted(const std::string& ip, Time now);
    // It turned out not to be one; `failed`: it counts as a probe too.
    Event untrusted(const std::string& ip, bool failed, Time now);

    std::size_t size() const { return addresses_.size(); }

  private:
    struct Address {
        std::deque<Time> connections;  // the last ones within the window, at most volume_.count
        std::deque<Time> failures;
        Time volume_blocked_until{};
        Time probe_blocked_until{};
        Time last_seen{};
        bool has_been_trusted = false;
    };
    Address& find(const std::string& key, Time now, Event& event);
    bool is_idle(const Address& address, Time now) const;
    std::string make_room(Time now);

    RateLimit volume_;
    RateLimit probe_;
    bool enabled_;
    std::unordered_map<std::string, Address> addresses_;  // by key: IPv4, or the /64 of an IPv6 address
};

// One subscriber of IPv6 has a whole /64 at least (RFC 6177): "2001:db8::1" counts as "2001:db8::/64".
std::string rate_limit_key(const std::string& ip);

}  // namespace ctrlexec
