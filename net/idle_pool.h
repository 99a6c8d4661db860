// Connections that wait for their next use, bounded in number and time. Its owner has the clock.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <iterator>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <utility>

namespace ctrlexec {

template <typename Connection>
class IdlePool {
  public:
    using Time = std::chrono::steady_clock::time_point;

    struct Limits {
        std::size_t all = 256;
        std::size_t of_one_peer = 32;
        std::chrono::seconds idle{30};
    };

    explicit IdlePool(Limits limits) : limits_(limits) {}

    // The one used last, so that those which are not needed grow old; null when there is none.
    std::unique_ptr<Connection> take(const std::string& peer) {
        const auto found =
            std::find_if(idle_.rbegin(), idle_.rend(), [&](const Idle& each) { return each.peer == peer; });
        if (found == idle_.rend()) return nullptr;
        std::unique_ptr<Connection> connection = std::move(found->connection);
        idle_.erase(std::next(found).base());
        return connection;
    }

    // Above a limit the oldest goes.
    void give(std::string peer, std::unique_ptr<Connection> connection, Time now) {
        const auto same_peer = [&](const Idle& each) { return each.peer == peer; };
        const auto of_peer = static_cast<std::size_t>(std::count_if(idle_.begin(), idle_.end(), same_peer));
        if (of_peer >= limits_.of_one_peer) {
            idle_.erase(std::find_if(idle_.begin(), idle_.end(), same_peer));
        } else if (idle_.size() >= limits_.all) {
            idle_.pop_front();
        }
        idle_.push_back({std::move(peer), std::move(connection), now + limits_.idle});
    }

    // Drops those whose time is over. The time of the next, nothing when the pool is empty.
    std::optional<Time> expire(Time now) {
        while (!idle_.empty() && idle_.front().until <= now) idle_.pop_front();
        return idle_.empty() ? std::nullopt : std::optional<Time>(idle_.front().until);
    }

    std::size_t size() const { return idle_.size(); }

  private:
    struct Idle {
        std::string peer;
        std::unique_ptr<Connection> connection;
        Time until;
    };
    Limits limits_;
    std::list<Idle> idle_;  // in the order of their return
};

}  // namespace ctrlexec
