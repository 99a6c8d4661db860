// Our ends of the pipes to a child process, moved along by the loop.
#pragma once

#include <asio/any_io_executor.hpp>
#include <asio/posix/stream_descriptor.hpp>
#include <cstddef>
#include <functional>
#include <string>
#include <string_view>
#include <utility>

#include "core/bounded_output.h"
#include "core/result.h"
#include "core/unique_fd.h"

namespace ctrlexec {

// Called once when a pump has come to its end by itself, never after stop(). It must keep the pump's owner
// alive: the pump holds it only while it waits, so the two form no cycle that outlives the pipe.
using PumpEnded = std::function<void()>;

// Gets each piece as it is read, whether it is kept or not. It must not stop the pump.
using PumpTee = std::function<void(std::string_view)>;

// Collects what comes out of a pipe, within a limit; reads the rest too, lest the writer block for ever.
class PipeReader {
  public:
    PipeReader(const asio::any_io_executor& executor, std::size_t limit, PumpTee tee)
        : stream_(executor), kept_(limit), tee_(std::move(tee)) {}

    // `fd` must be O_NONBLOCK.
    Result<void> start(UniqueFd fd, PumpEnded ended);

    // Takes what is in the pipe at this moment, as much as a pipe can hold, and closes it.
    void stop();

    bool is_open() const { return stream_.is_open(); }
    BoundedOutput& output() { return kept_; }

  private:
    void wait(PumpEnded ended);
    bool pull(std::size_t budget);  // true at the end of the file
    void keep(const char* bytes, std::size_t count);

    asio::posix::stream_descriptor stream_;
    BoundedOutput kept_;
    PumpTee tee_;  // may be empty
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
