// However a byte stream is cut up, HttpParser must make the same of it, keep its limits, and accept nothing
// that could not be sent on as the same message. Input: kind and limits, a seed for the cuts, then the
// stream.
#include <random>
#include <string>

#include "net/http_fields.h"
#include "net/http_parser.h"
#include "test/fuzz/harness.h"
#include "test/net/http_replay.h"

namespace ctrlexec::fuzz {
namespace {

using test::Replay;
using test::replay;

// Written out by the plainest of writers, the message must be read as the one message it is.
void inspect(const HttpMessage& message, HttpParser::Kind kind) {
    std::string text = kind == HttpParser::Kind::request
                           ? message.method + ' ' + message.target + " HTTP/1.1\r\n"
                           : "HTTP/1.1 200 OK\r\n";
    for (const auto& [name, value] : message.headers) {
        require(http::is_token(name) && http::is_field_value(value));
        if (name != "content-length" && name != "transfer-encoding") text += name + ": " + value + "\r\n";
    }
    text += "x: \r\ncontent-length: " + std::to_string(message.body.size()) + "\r\n\r\n" + message.body;
    HttpParser parser(kind, HttpLimits{.max_line = 1u << 20, .max_headers = 64, .max_body = 1u << 20});
    const auto taken = parser.feed(text);
    require(taken && *taken == text.size() && parser.complete());
    require(parser.message().method == message.method && parser.message().target == message.target);
    require(parser.message().body == message.body);
}

}  // namespace

int fuzz_http_parser(const std::uint8_t* data, std::size_t size) {
    if (size < 2) return 0;
    const HttpParser::Kind kind = (data[0] & 1) != 0 ? HttpParser::Kind::response : HttpParser::Kind::request;
    HttpLimits limits;
    if ((data[0] & 2) != 0) limits = HttpLimits{.max_line = 32, .max_headers = 3, .max_body = 24};
    std::minstd_rand random(data[1] + 1u);
    const std::string bytes(data + 2, data + size);

    const auto look = [kind](const HttpMessage& message) { inspect(message, kind); };
    const Replay whole = replay(
        kind, limits, bytes, [&bytes] { return bytes.size(); }, look);
    const Replay single = replay(kind, limits, bytes, [] { return std::size_t{1}; });
    const Replay cut = replay(kind, limits, bytes, [&random] { return std::size_t{random() % 24}; });
    require(!whole.misbehaved && !single.misbehaved && !cut.misbehaved);
    require(whole.outcome == single.outcome && whole.headers == single.headers);
    require(whole.outcome == cut.outcome && whole.headers == cut.headers);
    return 0;
}

}  // namespace ctrlexec::fuzz
