#include "core/bounded_output.h"

#include <fmt/format.h>

#include <algorithm>

#include "core/utf8.h"

namespace ctrlexec {
namespace {

// Of a sequence whose beginning is missing.
std::size_t rest_at_start(std::string_view text) {
    constexpr std::size_t longest_rest = 3;
    std::size_t count = 0;
    while (count < longest_rest && count < text.size() &&
           (static_cast<unsigned char>(text[count]) & 0xc0) == 0x80)
        ++count;
    return count;
}

}  // namespace

void BoundedOutput::add(std::string_view bytes) {
    total_ += bytes.size();
    const std::size_t first = std::min(bytes.size(), head_limit_ - head_.size());
    head_.append(bytes.substr(0, first));
    bytes.remove_prefix(first);
    const std::size_t grown = std::min(bytes.size(), tail_limit_ - tail_.size());
    tail_.append(bytes.substr(0, grown));
    bytes.remove_prefix(grown);
    if (tail_limit_ == 0) return;
    // What would be overwritten by its own end need not be written.
    if (bytes.size() > tail_limit_) {
        oldest_ = (oldest_ + (bytes.size() - tail_limit_)) % tail_limit_;
        bytes.remove_prefix(bytes.size() - tail_limit_);
    }
    while (!bytes.empty()) {
        const std::size_t count = std::min(bytes.size(), tail_limit_ - oldest_);
        bytes.copy(tail_.data() + oldest_, count);
        oldest_ = (oldest_ + count) % tail_limit_;
        bytes.remove_prefix(count);
    }
}

std::string BoundedOutput::take() {
    const std::uint64_t left_out = total_ - head_.size() - tail_.size();
    std::rotate(tail_.begin(), tail_.begin() + static_cast<std::ptrdiff_t>(oldest_), tail_.end());
    std::string all =
        left_out == 0 ? std::move(head_) + tail_ : join_output(std::move(head_), tail_, left_out);
    *this = BoundedOutput(head_limit_ + tail_limit_);
    return all;
}

std::string join_output(std::string head, std::string_view tail, std::uint64_t left_out) {
    const std::size_t end = incomplete_at_end(head);
    const std::size_t start = rest_at_start(tail);
    head.resize(head.size() - end);
    tail.remove_prefix(start);
    head += fmt::format("\n[ctrl-exec: {} bytes left out]\n", left_out + end + start);
    return head.append(tail);
}

}  // namespace ctrlexec
