// TLS session tickets (RFC 8446, section 4.6.1) that outlive the process: the next one resumes with them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/identity.h"
#include "core/sealing.h"
#include "core/unique_fd.h"

namespace ctrlexec {

// A file (0600, sparse) of a fixed number of places, of which each peer may use two; when others have both,
// it drives out one of them. What stands in a place is sealed (AES-256-GCM) with a key made of our private
// key, our certificate and the CA's: after a change of any of them nothing can be opened any more, nor by who
// stole the file alone. So processes need no lock either: half-written or foreign places do not open.
//
// It is a cache: what cannot be read or written is not there, and nothing is said about that. May be used by
// several threads.
class TicketStore {
  public:
    TicketStore(std::string path, const Identity& identity);

    // The ticket put last under this name, "" when there is none that can be opened. Reads the file.
    std::string find(std::string_view peer);

    // Kept in memory until flush(); one that is larger than a place is forgotten.
    void put(std::string peer, std::string ticket);
    bool has_news();
    // Writes what was put, and creates the file when that is the first; blocks.
    void flush();

    static constexpr std::size_t places = 16384;
    static constexpr std::size_t place_bytes = 4096;

  private:
    struct Opened {
        std::uint64_t sealed_at = 0;  // nanoseconds since the epoch
        std::string ticket;
    };
    bool open_file(bool create);
    std::string read(std::size_t place) const;
    Opened unseal(std::string_view sealed, std::string_view peer) const;
    std::size_t place_for(std::string_view peer) const;

    std::string path_;
    SealingKey key_;
    std::mutex mutex_;
    UniqueFd file_;
    std::vector<std::pair<std::string, std::string>> waiting_;  // peer, ticket
};

}  // namespace ctrlexec
