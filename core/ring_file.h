// What one stream of a job has printed, in a file of bounded size: the first half of the limit, then a ring
// of the last half, as core/bounded_output keeps it in memory. One writer; readers may come at any time, also
// after the writer was killed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "core/result.h"
#include "core/unique_fd.h"

namespace ctrlexec {

inline constexpr std::size_t max_ring_limit = 64u << 20;

// The file begins with these, in the byte order of the machine: it does not leave it.
struct RingHeader {
    char magic[8] = {'c', 'e', 'r', 'i', 'n', 'g', '1', '\n'};
    std::uint64_t limit = 0;      // bytes kept
    std::uint64_t announced = 0;  // what is written now ends here: older bytes of the ring are being replaced
    std::uint64_t stored = 0;     // bytes of the stream that were written, up to here
    std::uint64_t total = 0;      // bytes of the stream; more than `stored` when the disk was full
};

class RingWriter {
  public:
    // A new file (0600).
    static Result<RingWriter> create(const std::string& path, std::size_t limit);

    // Fails once, when the file cannot grow. From then on bytes are only counted: what is stored has no gaps.
    Result<void> add(std::string_view bytes);

    std::uint64_t total() const { return header_.total; }

  private:
    RingWriter(UniqueFd fd, std::string path, std::size_t limit);
    bool store(std::string_view piece);
    bool write_header() const;

    UniqueFd fd_;
    std::string path_;
    RingHeader header_;
    bool broken_ = false;
};

class RingReader {
  public:
    // Errc::bad_request when it is no such file; busy when it is empty, as one is before its header is
    // written.
    static Result<RingReader> open(const std::string& path);

    // Bytes of the stream so far.
    Result<std::uint64_t> total() const;

    struct Part {
        std::uint64_t offset = 0;  // of the stream; greater than what was asked for where that is gone
        std::string bytes;         // empty when there is no more yet
    };
    // At most `max_bytes` from `offset` on.
    Result<Part> read(std::uint64_t offset, std::size_t max_bytes) const;

    struct Kept {
        std::string text;  // all of it, or head, marker and tail
        std::uint64_t total = 0;
        bool truncated = false;
    };
    Result<Kept> kept() const;

  private:
    explicit RingReader(UniqueFd fd, std::string path) : fd_(std::move(fd)), path_(std::move(path)) {}
    Result<RingHeader> header() const;

    UniqueFd fd_;
    std::string path_;
};

}  // namespace ctrlexec
