// Collects one line of a byte stream, however it is cut up.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace ctrlexec::http {

class LineReader {
  public:
    enum class Got { more, line, too_long };

    // Takes from the front of `bytes` what belongs to the line, its LF included. `max` counts bytes without
    // the line end. Looks at every byte once, and holds at most max + 1 of them. After Got::line, clear()
    // first.
    Got read(std::string_view& bytes, std::size_t max);

    std::string_view text() const { return text_; }  // the line without CRLF or LF; valid until clear()
    bool ended_with_crlf() const { return crlf_; }
    bool empty() const { return text_.empty(); }
    void clear();

  private:
    std::string text_;
    bool crlf_ = false;
};

}  // namespace ctrlexec::http
