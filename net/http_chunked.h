// The chunked transfer coding (RFC 9112 section 7.1). Lines must end with CRLF here, trailers included: only
// heads may end lines with LF alone, and readers that differ on it inside a body can be smuggled past.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "core/result.h"
#include "net/http_line.h"

namespace ctrlexec::http {

class ChunkedDecoder {
  public:
    // `max_line` bounds each trailer line, and all chunk extensions of a body together.
    ChunkedDecoder(std::size_t max_line, std::size_t max_trailers, std::size_t max_body);

    // Takes from the front of `bytes` what belongs to the coding and appends the decoded body; extensions and
    // trailers are dropped. Errc::bad_request, or Errc::too_large as soon as a chunk's size exceeds the
    // limit.
    Result<void> feed(std::string_view& bytes, std::string& body);

    bool complete() const { return state_ == State::complete; }

  private:
    enum class State : std::uint8_t { size, data, data_end, trailers, complete };

    Result<void> read_size(std::string_view& bytes, std::size_t body_size);
    Result<void> parse_size(std::string_view line, std::size_t body_size);
    void read_data(std::string_view& bytes, std::string& body);
    Result<void> read_data_end(std::string_view& bytes);
    Result<void> read_trailer(std::string_view& bytes);

    std::size_t max_line_;
    std::size_t max_body_;
    std::size_t extensions_left_;
    std::size_t trailers_left_;
    std::size_t chunk_left_ = 0;
    State state_ = State::size;
    LineReader line_;
};

}  // namespace ctrlexec::http
