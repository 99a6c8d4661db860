#include "core/ticket_store.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstring>

#include "core/digest.h"

namespace ctrlexec {
namespace {

// A place: length of what is sealed (2 bytes), sealed bytes. Sealed: time (8 bytes), ticket.
constexpr std::size_t length_bytes = 2;
constexpr std::size_t time_bytes = 8;
constexpr std::size_t max_sealed = TicketStore::place_bytes - length_bytes;
constexpr std::size_t max_waiting = TicketStore::places;

std::array<std::size_t, 2> places_of(std::string_view peer) {
    const auto digest = sha256(peer);
    const auto place = [&](std::size_t at) {
        return (digest[at] | std::size_t{digest[at + 1]} << 8) % TicketStore::places;
    };
    return {place(0), place(2)};
}

std::uint64_t now_nanoseconds() {
    return static_cast<std::uint64_t>(
        std::chrono::nanoseconds(std::chrono::system_clock::now().time_since_epoch()).count());
}

std::string stamped(std::string_view ticket) {
    const std::uint64_t now = now_nanoseconds();
    std::string text(time_bytes, '\0');
    std::memcpy(text.data(), &now, time_bytes);
    return text.append(ticket);
}

off_t offset_of(std::size_t place) {
    return static_cast<off_t>(place * TicketStore::place_bytes);
}

}  // namespace

TicketStore::TicketStore(std::string path, const Identity& identity)
    : path_(std::move(path)),
      key_(identity.key.to_pem(), identity.certificate.to_pem() + identity.authority.to_pem(),
           "ctrl-exec TLS tickets 1") {}

bool TicketStore::open_file(bool create) {
    if (file_) return true;
    const int flags = O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | (create ? O_CREAT : 0);
    UniqueFd file(::open(path_.c_str(), flags, 0600));
    struct stat status {};
    const bool usable = file && ::fstat(file.get(), &status) == 0 && S_ISREG(status.st_mode) &&
                        status.st_uid == ::geteuid() && (status.st_mode & 077) == 0;
    if (usable) file_ = std::move(file);
    return usable;
}

// What is sealed there; "" when nothing is.
std::string TicketStore::read(std::size_t place) const {
    std::array<unsigned char, place_bytes> bytes;
    if (::pread(file_.get(), bytes.data(), bytes.size(), offset_of(place)) != ssize_t{place_bytes}) return {};
    const std::size_t size = bytes[0] | std::size_t{bytes[1]} << 8;
    if (size > max_sealed) return {};
    return {reinterpret_cast<const char*>(bytes.data()) + length_bytes, size};
}

TicketStore::Opened TicketStore::unseal(std::string_view sealed, std::string_view peer) const {
    Opened opened;
    auto plain = key_.open(sealed, peer);
    if (!plain || plain->size() < time_bytes) return opened;
    std::memcpy(&opened.sealed_at, plain->data(), time_bytes);
    opened.ticket = plain->substr(time_bytes);
    wipe(*plain);
    return opened;
}

// The peer's own, or an empty one, or either: what cannot be opened may be of a key that is gone for ever.
std::size_t TicketStore::place_for(std::string_view peer) const {
    const auto candidates = places_of(peer);
    std::size_t wanted = candidates[now_nanoseconds() / 1024 % 2];
    for (const std::size_t place : candidates) {
        const std::string sealed = read(place);
        if (sealed.empty()) wanted = place;
        if (!sealed.empty() && unseal(sealed, peer).sealed_at != 0) return place;
    }
    return wanted;
}

std::string TicketStore::find(std::string_view peer) {
    const std::lock_guard guard(mutex_);
    Opened newest;
    if (!open_file(false)) return newest.ticket;
    for (const std::size_t place : places_of(peer)) {
        Opened opened = unseal(read(place), peer);
        if (opened.sealed_at > newest.sealed_at) newest = std::move(opened);
    }
    return std::move(newest.ticket);
}

void TicketStore::put(std::string peer, std::string ticket) {
    const std::lock_guard guard(mutex_);
    const bool fits = length_bytes + time_bytes + ticket.size() + SealingKey::overhead <= place_bytes;
    if (fits && waiting_.size() < max_waiting) waiting_.emplace_back(std::move(peer), std::move(ticket));
}

bool TicketStore::has_news() {
    const std::lock_guard guard(mutex_);
    return !waiting_.empty();
}

void TicketStore::flush() {
    const std::lock_guard guard(mutex_);
    const bool usable = !waiting_.empty() && open_file(true);
    for (auto& [peer, ticket] : waiting_) {
        if (usable) {
            const std::string sealed = key_.seal(stamped(ticket), peer);
            std::string bytes;
            bytes += static_cast<char>(sealed.size() & 0xff);
            bytes += static_cast<char>(sealed.size() >> 8);
            bytes += sealed;
            bytes.resize(place_bytes);
            (void)!::pwrite(file_.get(), bytes.data(), bytes.size(), offset_of(place_for(peer)));
        }
        wipe(ticket);
    }
    waiting_.clear();
}

}  // namespace ctrlexec
