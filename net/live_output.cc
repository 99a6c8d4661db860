#include "net/live_output.h"

#include <asio/redirect_error.hpp>
#include <asio/use_awaitable.hpp>
#include <utility>

#include "core/json.h"
#include "core/output_fields.h"
#include "core/utf8.h"

namespace ctrlexec {
namespace {

constexpr std::size_t max_pending = 256 * 1024;
constexpr std::size_t max_piece = 32 * 1024;

std::string take_incomplete(OutputPiece& piece) {
    const std::size_t cut = incomplete_at_end(piece.bytes);
    std::string begun = piece.bytes.substr(piece.bytes.size() - cut);
    piece.bytes.resize(piece.bytes.size() - cut);
    return begun;
}

}  // namespace

std::string OutputPiece::to_line() const {
    json::Value line(
        json::Object{{"stream", stream == OutputStream::output ? "stdout" : "stderr"}, {"offset", offset}});
    if (skipped > 0) {
        line.set("skipped", skipped);
    } else {
        set_output(line, "data", bytes);
    }
    return json::dump(line) + "\n";
}

LiveOutput::LiveOutput(const asio::any_io_executor& executor)
    : changed_(executor, asio::steady_timer::time_point::max()) {}

void LiveOutput::add(OutputStream name, std::string_view bytes) {
    Stream& stream = stream_of(name);
    if (!stream.incomplete.empty()) {
        const std::string first = std::exchange(stream.incomplete, {});
        stream.total -= first.size();
        append(name, first);
    }
    append(name, bytes);
    changed_.cancel();
}

// Who comes late wants to know how it ended, not how it began.
void LiveOutput::make_room(std::size_t bytes) {
    while (!pending_.empty() && pending_bytes_ + bytes > max_pending) {
        const OutputPiece& oldest = pending_.front();
        Stream& stream = stream_of(oldest.stream);
        if (stream.lost == 0) stream.lost_at = oldest.offset;
        stream.lost += oldest.bytes.size();
        pending_bytes_ -= oldest.bytes.size() + sizeof oldest;
        pending_.pop_front();
    }
}

void LiveOutput::append(OutputStream name, std::string_view bytes) {
    if (bytes.empty()) return;
    make_room(bytes.size() + sizeof(OutputPiece));
    Stream& stream = stream_of(name);
    const bool goes_on = !pending_.empty() && pending_.back().stream == name &&
                         pending_.back().bytes.size() + bytes.size() <= max_piece;
    if (!goes_on) {
        pending_.push_back({name, stream.total, {}, 0});
        pending_bytes_ += sizeof(OutputPiece);
    }
    pending_.back().bytes.append(bytes);
    pending_bytes_ += bytes.size();
    stream.total += bytes.size();
}

void LiveOutput::end() {
    ended_ = true;
    for (const OutputStream name : {OutputStream::output, OutputStream::error}) {
        Stream& stream = stream_of(name);
        const std::string last = std::exchange(stream.incomplete, {});
        if (last.empty()) continue;
        stream.total -= last.size();
        append(name, last);
    }
    changed_.cancel();
}

std::vector<OutputPiece> LiveOutput::take() {
    std::vector<OutputPiece> pieces;
    for (const OutputStream name : {OutputStream::output, OutputStream::error}) {
        Stream& stream = stream_of(name);
        if (stream.lost > 0) pieces.push_back({name, stream.lost_at, {}, stream.lost});
        stream.lost = 0;
    }
    pieces.insert(pieces.end(), std::make_move_iterator(pending_.begin()),
                  std::make_move_iterator(pending_.end()));
    pending_.clear();
    pending_bytes_ = 0;
    for (const OutputStream name : {OutputStream::output, OutputStream::error}) {
        OutputPiece* last = nullptr;
        for (OutputPiece& piece : pieces) {
            if (piece.stream != name) continue;
            if (last != nullptr && last->skipped == 0 && piece.skipped == 0) {
                const std::string begun = take_incomplete(*last);
                piece.offset -= begun.size();
                piece.bytes.insert(0, begun);
            }
            last = &piece;
        }
        if (last != nullptr && last->skipped == 0 && !ended_)
            stream_of(name).incomplete = take_incomplete(*last);
    }
    std::erase_if(pieces, [](const OutputPiece& piece) { return piece.bytes.empty() && piece.skipped == 0; });
    return pieces;
}

asio::awaitable<bool> LiveOutput::wait(std::chrono::milliseconds longest) {
    if (ended_ || !pending_.empty()) co_return true;
    changed_.expires_after(longest);
    std::error_code woken;
    co_await changed_.async_wait(asio::redirect_error(asio::use_awaitable, woken));
    co_return ended_ || !pending_.empty();
}

}  // namespace ctrlexec
