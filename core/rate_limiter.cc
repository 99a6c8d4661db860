#include "core/rate_limiter.h"

#include <arpa/inet.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <tuple>

#include "core/utf8.h"

namespace ctrlexec {
namespace {

using Time = RateLimiter::Time;

constexpr std::int64_t max_count = 1000;
constexpr std::int64_t max_seconds = 30 * 86400;

// Notes one event; true when it is the last one the limit permits.
bool reaches(std::deque<Time>& events, const RateLimit& limit, Time now) {
    while (!events.empty() && now - events.front() >= limit.window) events.pop_front();
    events.push_back(now);
    return events.size() >= limit.count;
}

}  // namespace

Result<RateLimit> RateLimit::parse(std::string_view text) {
    std::array<std::int64_t, 3> numbers{};
    std::string_view rest = text;
    for (std::size_t i = 0; i < numbers.size(); ++i) {
        const auto slash = i + 1 < numbers.size() ? rest.find('/') : rest.size();
        const std::int64_t high = i == 0 ? max_count : max_seconds;
        if (slash == std::string_view::npos ||
            !parse_integer(trim(rest.substr(0, slash)), 1, high, numbers[i])) {
            return fail(Errc::config,
                        fmt::format("'{}' is not COUNT/WINDOW/BLOCK, such as 10/60/300: COUNT 1 to {}, the "
                                    "others seconds, at most {}",
                                    printable(text.substr(0, 60)), max_count, max_seconds));
        }
        rest.remove_prefix(std::min(rest.size(), slash + 1));
    }
    return RateLimit{static_cast<std::size_t>(numbers[0]), std::chrono::seconds(numbers[1]),
                     std::chrono::seconds(numbers[2])};
}

std::string RateLimit::text() const {
    return fmt::format("{}/{}/{}", count, window.count(), block.count());
}

Result<RateLimit> read_rate_limit(const ConfigFile& file, std::string_view key, RateLimit fallback) {
    auto limit = RateLimit::parse(file.text(key, fallback.text()));
    if (!limit)
        return fail(Errc::config, fmt::format("{}: {}: {}", file.where(key), key, limit.error().message));
    return limit;
}

Result<std::optional<RateLimit>> read_optional_rate_limit(const ConfigFile& file, std::string_view key,
                                                          RateLimit fallback) {
    if (file.text(key) == "off") return std::optional<RateLimit>();
    TRY(const RateLimit limit, read_rate_limit(file, key, fallback));
    return std::optional<RateLimit>(limit);
}

std::string rate_limit_key(const std::string& ip) {
    in6_addr address{};
    if (::inet_pton(AF_INET6, ip.c_str(), &address) != 1) return ip;
    std::memset(address.s6_addr + 8, 0, 8);
    char text[INET6_ADDRSTRLEN] = {};
    ::inet_ntop(AF_INET6, &address, text, sizeof text);
    return std::string(text) + "/64";
}

namespace {

bool is_loopback(const std::string& ip) {
    return ip == "::1" || ip.compare(0, 4, "127.") == 0;
}

}  // namespace

RateLimiter::Admission RateLimiter::admit(const std::string& ip, Time now) {
    const auto found = addresses_.find(rate_limit_key(ip));
    if (found == addresses_.end()) return Admission::open;
    Address& address = found->second;
    address.last_seen = now;
    if (now < address.probe_blocked_until)
        return address.has_been_trusted || is_loopback(ip) ? Admission::trusted_only : Admission::refused;
    return now < address.volume_blocked_until ? Admission::trusted_only : Admission::open;
}

std::chrono::seconds RateLimiter::blocked_for(const std::string& ip, Time now) const {
    const auto found = addresses_.find(rate_limit_key(ip));
    if (found == addresses_.end() || now >= found->second.volume_blocked_until)
        return std::chrono::seconds(0);
    return std::chrono::ceil<std::chrono::seconds>(found->second.volume_blocked_until - now);
}

RateLimiter::Event RateLimiter::trusted(const std::string& ip, Time now) {
    Event event;
    if (enabled_) find(rate_limit_key(ip), now, event).has_been_trusted = true;
    return event;
}

RateLimiter::Event RateLimiter::untrusted(const std::string& ip, bool failed, Time now) {
    Event event;
    if (!enabled_) return event;
    Address& address = find(rate_limit_key(ip), now, event);
    // A block is not prolonged by what happens during it: else a steady caller would never get out.
    if (now >= address.volume_blocked_until && reaches(address.connections, volume_, now)) {
        address.volume_blocked_until = now + volume_.block;
        address.connections.clear();
        event.blocked = volume_;
        event.kind = "volume";
    }
    if (failed && now >= address.probe_blocked_until && reaches(address.failures, probe_, now)) {
        address.probe_blocked_until = now + probe_.block;
        address.failures.clear();
        event.blocked = probe_;
        event.kind = "probe";
    }
    return event;
}

RateLimiter::Address& RateLimiter::find(const std::string& key, Time now, Event& event) {
    const auto found = addresses_.find(key);
    if (found == addresses_.end() && addresses_.size() >= max_addresses) {
        if (std::string gone = make_room(now); !gone.empty()) event.evicted = std::move(gone);
    }
    Address& address = addresses_[key];
    address.last_seen = now;
    return address;
}

bool RateLimiter::is_idle(const Address& address, Time now) const {
    return now >= address.volume_blocked_until && now >= address.probe_blocked_until &&
           (address.connections.empty() || now - address.connections.back() >= volume_.window) &&
           (address.failures.empty() || now - address.failures.back() >= probe_.window);
}

// Forgets what has no meaning any more, then, if that was nothing, the address whose loss matters least: not
// blocked before blocked, strangers before the trusted, the one not seen for longest. Returns who was lost.
std::string RateLimiter::make_room(Time now) {
    std::erase_if(addresses_, [&](const auto& entry) {
        return !entry.second.has_been_trusted && is_idle(entry.second, now);
    });
    if (addresses_.size() < max_addresses) return {};
    const auto rank = [&](const Address& address) {
        const bool blocked = now < address.volume_blocked_until || now < address.probe_blocked_until;
        return std::make_tuple(address.has_been_trusted, blocked, address.last_seen);
    };
    const auto least =
        std::min_element(addresses_.begin(), addresses_.end(),
                         [&](const auto& a, const auto& b) { return rank(a.second) < rank(b.second); });
    std::string key = least->first;
    addresses_.erase(least);
    return key;
}

}  // namespace ctrlexec
