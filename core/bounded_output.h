// What a stream has written, within a limit: its first and its last half, so that both how a script began and
// why it failed are kept, in memory that does not grow with what it prints.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace ctrlexec {

class BoundedOutput {
  public:
    // Keeps at most `limit` bytes.
    explicit BoundedOutput(std::size_t limit) : head_limit_(limit - limit / 2), tail_limit_(limit / 2) {}

    void add(std::string_view bytes);

    std::uint64_t total() const { return total_; }  // bytes that were added
    bool truncated() const { return total_ > head_.size() + tail_.size(); }

    // All of it, or the two halves as join_output() puts them together. Leaves nothing.
    std::string take();

  private:
    std::size_t head_limit_;
    std::size_t tail_limit_;
    std::string head_;
    std::string tail_;        // a ring once it is full
    std::size_t oldest_ = 0;  // in tail_
    std::uint64_t total_ = 0;
};

// "HEAD\n[ctrl-exec: N bytes left out]\nTAIL". A UTF-8 sequence that the cut has split is left out as well,
// and counted: text stays text.
std::string join_output(std::string head, std::string_view tail, std::uint64_t left_out);

}  // namespace ctrlexec
