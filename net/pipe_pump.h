// Our ends of the pipes to a child process, moved along by the loop.
#pragma once

#include <asio/any_io_executor.hpp>
#include <asio/posix/stream_descriptor.hpp>
#include <cstddef>
#include <functional>
#include <string>
#include <utility>

#include "core/result.h"
#include "core/unique_fd.h"

namespace ctrlexec {

// Called once when a pump has come to its end by itself, never after stop(). It must keep the pump's owner
// alive: the pump holds it only while it waits, so the two form no cycle that outlives the pipe.
using PumpEnded = std::function<void()>;

// Collects what comes out of a pipe, up to `limit` bytes; reads and drops the rest, lest the writer block for
// ever.
class PipeReader {
  public:
    PipeReader(const asio::any_io_executor& executor, std::size_t limit) : stream_(executor), limit_(limit) {}

    // `fd` must be O_NONBLOCK.
    Result<void> start(UniqueFd fd, PumpEnded ended);

    // Takes what is in the pipe at this moment, as much as a pipe can hold, and closes it.
    void stop();

    bool is_open() const { return stream_.is_open(); }
    bool truncated() const { return truncated_; }
    std::string take() { return std::move(data_); }

  private:
    void wait(PumpEnded ended);
    bool pull(std::size_t budget);  // true at the end of the file
    void keep(const char* bytes, std::size_t count);

    asio::posix::stream_descriptor stream_;
    std::string data_;
    std::size_t limit_;
    bool truncated_ = false;
};

// Writes `data` into a pipe, then closes it. A reader that has gone ends it early and is no error. The
// process must ignore SIGPIPE.
class PipeWriter {
  public:
    explicit PipeWriter(const asio::any_io_executor& executor) : stream_(executor) {}

    // `fd` must be O_NONBLOCK. May call `ended` before it returns.
    Result<void> start(UniqueFd fd, std::string data, PumpEnded ended);

    void stop();

    bool is_open() const { return stream_.is_open(); }

  private:
    void advance(PumpEnded ended);
    bool push();  // true when there is no more to write, or nobody to read it

    asio::posix::stream_descriptor stream_;
    std::string data_;
    std::size_t written_ = 0;
};

}  // namespace ctrlexec
