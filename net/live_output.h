// What a script writes, on its way to a caller who looks on: bounded, since neither may wait for the other.
#pragma once

#include <asio/awaitable.hpp>
#include <asio/steady_timer.hpp>
#include <chrono>
#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <vector>

#include "net/child.h"

namespace ctrlexec {

struct OutputPiece {
    OutputStream stream = OutputStream::output;
    std::uint64_t offset = 0;  // in what the script has written to that stream
    std::string bytes;
    std::uint64_t skipped = 0;  // then there are no bytes: so many were not kept

    // {"stream","offset","data"} or {"stream","offset","skipped"} and a line end: as /runs streams it.
    std::string to_line() const;
};

class LiveOutput {
  public:
    explicit LiveOutput(const asio::any_io_executor& executor);

    void add(OutputStream stream, std::string_view bytes);
    void end();
    bool ended() const { return ended_; }

    // What has come since the last call; of too much, the end, after a piece that counts what went before. A
    // UTF-8 sequence is not cut in two, unless the script has ended.
    std::vector<OutputPiece> take();

    // Until there is something to take, or it has ended; false when `longest` has passed before.
    asio::awaitable<bool> wait(std::chrono::milliseconds longest);

  private:
    struct Stream {
        std::uint64_t total = 0;
        std::string incomplete;     // the beginning of a sequence, kept for the next piece
        std::uint64_t lost_at = 0;  // offset of what was not kept since the last take()
        std::uint64_t lost = 0;     // bytes
    };
    void append(OutputStream stream, std::string_view bytes);
    void make_room(std::size_t bytes);
    Stream& stream_of(OutputStream stream) { return stream == OutputStream::output ? output_ : error_; }

    Stream output_, error_;
    std::deque<OutputPiece> pending_;
    std::size_t pending_bytes_ = 0;  // of memory
    bool ended_ = false;
    asio::steady_timer changed_;
};

}  // namespace ctrlexec
