#include "net/http_chunked.h"

#include <algorithm>

#include "net/http_fields.h"

namespace ctrlexec::http {
namespace {

constexpr std::size_t max_size_digits = 16;  // so the size cannot overflow 64 bits

// -1 for anything but a hexadecimal digit.
constexpr int hex_value(char c) {
    if (is_digit(c)) return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

Error malformed_chunk() {
    return fail(Errc::bad_request, "malformed chunk");
}

}  // namespace

ChunkedDecoder::ChunkedDecoder(std::size_t max_line, std::size_t max_trailers, std::size_t max_body)
    : max_line_(max_line), max_body_(max_body), extensions_left_(max_line), trailers_left_(max_trailers) {}

Result<void> ChunkedDecoder::feed(std::string_view& bytes, std::string& body) {
    while (!bytes.empty() && state_ != State::complete) {
        switch (state_) {
            case State::size:
                TRY_DO(read_size(bytes, body.size()));
                break;
            case State::data:
                read_data(bytes, body);
                break;
            case State::data_end:
                TRY_DO(read_data_end(bytes));
                break;
            case State::trailers:
                TRY_DO(read_trailer(bytes));
                break;
            case State::complete:
                break;
        }
    }
    return success();
}

Result<void> ChunkedDecoder::read_size(std::string_view& bytes, std::size_t body_size) {
    const auto got = line_.read(bytes, max_size_digits + extensions_left_);
    if (got == LineReader::Got::more) return success();
    if (got == LineReader::Got::too_long) return fail(Errc::bad_request, "chunk extensions too long");
    if (!line_.ended_with_crlf()) return malformed_chunk();
    TRY_DO(parse_size(line_.text(), body_size));
    line_.clear();
    return success();
}

Result<void> ChunkedDecoder::parse_size(std::string_view line, std::size_t body_size) {
    std::uint64_t size = 0;
    std::size_t digits = 0;
    for (; digits < line.size() && hex_value(line[digits]) >= 0; ++digits) {
        if (digits == max_size_digits) return malformed_chunk();
        size = size * 16 + static_cast<std::uint64_t>(hex_value(line[digits]));
    }
    const std::string_view extension = line.substr(digits);
    const bool ignorable = extension.empty() || trimmed(extension).starts_with(';');
    if (digits == 0 || !ignorable || !is_field_value(extension)) return malformed_chunk();
    if (extension.size() > extensions_left_) return fail(Errc::bad_request, "chunk extensions too long");
    extensions_left_ -= extension.size();
    if (size > max_body_ - body_size) return fail(Errc::too_large, "request too large");
    chunk_left_ = static_cast<std::size_t>(size);
    state_ = size == 0 ? State::trailers : State::data;
    return success();
}

void ChunkedDecoder::read_data(std::string_view& bytes, std::string& body) {
    const std::size_t count = std::min(chunk_left_, bytes.size());
    body.append(bytes.substr(0, count));
    bytes.remove_prefix(count);
    chunk_left_ -= count;
    if (chunk_left_ == 0) state_ = State::data_end;
}

Result<void> ChunkedDecoder::read_data_end(std::string_view& bytes) {
    const auto got = line_.read(bytes, 0);
    if (got == LineReader::Got::more) return success();
    if (got == LineReader::Got::too_long || !line_.ended_with_crlf()) return malformed_chunk();
    line_.clear();
    state_ = State::size;
    return success();
}

Result<void> ChunkedDecoder::read_trailer(std::string_view& bytes) {
    const auto got = line_.read(bytes, max_line_);
    if (got == LineReader::Got::more) return success();
    if (got == LineReader::Got::too_long) return fail(Errc::too_many_headers, "too many headers");
    if (!line_.ended_with_crlf()) return malformed_chunk();
    if (line_.empty()) {
        state_ = State::complete;
    } else {
        if (trailers_left_ == 0) return fail(Errc::too_many_headers, "too many headers");
        --trailers_left_;
        TRY_DO(http::parse_field(line_.text()));
    }
    line_.clear();
    return success();
}

}  // namespace ctrlexec::http
