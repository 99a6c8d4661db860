// The newest events of one run as server-sent events (WHATWG HTML, section 9.2), for listeners who come and
// go.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>
#include <string_view>

#include "core/json.h"

namespace ctrlexec {

// "id: …", "event: …" and "data: …" with the blank line. `id` may be empty: the listener keeps the one it
// has.
std::string event_text(std::string_view id, std::string_view type, const json::Value& data);

class EventLog {
  public:
    static constexpr std::size_t max_events = 10'000;
    static constexpr std::size_t max_bytes = 4u << 20;

    // `epoch` tells ids of this log from those of another one about the same run.
    explicit EventLog(std::string epoch) : epoch_(std::move(epoch)) {}

    // The oldest ones make room.
    void add(std::string_view type, const json::Value& data);

    struct Position {
        std::uint64_t next = 0;
        bool reset = false;  // what the listener has seen does not go on here
    };

    // For a listener who has seen the event `last_id` last; "" for none.
    Position position(std::string_view last_id) const;

    // What follows, about `bytes` of it; "" at the end. An event "reset" comes first when something is
    // missing in between: then all that is kept follows.
    std::string read(Position& position, std::size_t bytes) const;

    // Nothing is to be read, and nothing was missed.
    bool at_end(const Position& position) const {
        return !position.reset && position.next == first_ + events_.size();
    }

  private:
    std::string epoch_;
    std::deque<std::string> events_;
    std::uint64_t first_ = 0;  // number of events_.front()
    std::size_t bytes_ = 0;
};

}  // namespace ctrlexec
