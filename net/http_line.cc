#include "net/http_line.h"

namespace ctrlexec::http {

LineReader::Got LineReader::read(std::string_view& bytes, std::size_t max) {
    const std::size_t lf = bytes.find('\n');
    const bool ended = lf != std::string_view::npos;
    const std::string_view part = bytes.substr(0, lf);
    // One byte more than max may be the CR of a line that just fits.
    const std::size_t room = max + 1 - text_.size();
    if (part.size() > room) return Got::too_long;
    text_.append(part);
    bytes.remove_prefix(ended ? lf + 1 : part.size());
    if (!ended) return Got::more;

    crlf_ = text_.ends_with('\r');
    if (crlf_) text_.pop_back();
    return text_.size() > max ? Got::too_long : Got::line;
}

void LineReader::clear() {
    text_.clear();
    crlf_ = false;
}

}  // namespace ctrlexec::http
