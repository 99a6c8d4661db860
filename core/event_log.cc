#include "core/event_log.h"

#include <fmt/format.h>

#include <algorithm>

#include "core/config_file.h"

namespace ctrlexec {

std::string event_text(std::string_view id, std::string_view type, const json::Value& data) {
    // JSON as we write it has no line ends, so that it is one line of data.
    return fmt::format("{}{}{}event: {}\ndata: {}\n\n", id.empty() ? "" : "id: ", id, id.empty() ? "" : "\n",
                       type, json::dump(data));
}

void EventLog::add(std::string_view type, const json::Value& data) {
    const std::string id = fmt::format("{}-{}", epoch_, first_ + events_.size());
    events_.push_back(event_text(id, type, data));
    bytes_ += events_.back().size();
    // The newest one stays, whatever its size.
    while (events_.size() > 1 && (events_.size() > max_events || bytes_ > max_bytes)) {
        bytes_ -= events_.front().size();
        events_.pop_front();
        ++first_;
    }
}

EventLog::Position EventLog::position(std::string_view last_id) const {
    if (last_id.empty()) return {first_, false};
    const auto dash = last_id.rfind('-');
    std::int64_t seen = 0;
    const bool ours = dash != std::string_view::npos && last_id.substr(0, dash) == epoch_ &&
                      parse_integer(last_id.substr(dash + 1), 0, INT64_MAX - 1, seen);
    const std::uint64_t next = static_cast<std::uint64_t>(seen) + 1;
    if (!ours || next < first_ || next > first_ + events_.size()) return {first_, true};
    return {next, false};
}

std::string EventLog::read(Position& position, std::size_t bytes) const {
    std::string text;
    if (position.reset || position.next < first_) {
        text = event_text("", "reset", json::Object());
        position = {first_, false};
    }
    for (auto i = position.next - first_; i < events_.size() && text.size() < bytes; ++i) {
        text += events_[i];
        ++position.next;
    }
    return text;
}

}  // namespace ctrlexec
