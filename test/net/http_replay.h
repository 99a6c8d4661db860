// Feeds bytes to an HttpParser in pieces and says in one line what came of it, so that outcomes can be
// compared.
#pragma once

#include <algorithm>
#include <cstddef>
#include <functional>
#include <string>
#include <string_view>

#include "core/errc.h"
#include "net/http_parser.h"

namespace ctrlexec::test {

// "POST /run 1.1 keep [body]" or "200 1.0 close [body]".
inline std::string summary(const HttpMessage& message) {
    std::string out =
        message.status == 0 ? message.method + ' ' + message.target : std::to_string(message.status);
    out += " 1." + std::to_string(message.minor_version) + (message.keep_alive ? " keep" : " close");
    return out + " [" + message.body + ']';
}

inline std::string summary(const Error& error) {
    return std::string(info(error.code).name) + ": " + error.message;
}

struct Replay {
    std::string outcome;      // all complete messages, then the error if any, joined by "; "
    std::string headers;      // of all messages, "name=value\n"
    std::size_t pieces = 0;   // calls of feed()
    bool misbehaved = false;  // the parser broke a promise of its header whatever the input
};

// Plays the whole stream, pipelined messages included, and then closes. `next_piece` says how many bytes the
// next call gets (0 counts as 1). Every complete message goes to `inspect`.
inline Replay replay(HttpParser::Kind kind, const HttpLimits& limits, std::string_view bytes,
                     const std::function<std::size_t()>& next_piece,
                     const std::function<void(const HttpMessage&)>& inspect = {}) {
    Replay result;
    HttpParser parser(kind, limits);
    const auto note = [&result](const std::string& text) {
        result.outcome += (result.outcome.empty() ? "" : "; ") + text;
    };
    const auto take = [&] {
        const HttpMessage message = parser.take();
        note(summary(message));
        for (const auto& [name, value] : message.headers) result.headers += name + '=' + value + '\n';
        if (message.headers.size() > limits.max_headers || message.body.size() > limits.max_body) {
            result.misbehaved = true;
        }
        if (inspect) inspect(message);
        if (!parser.idle()) result.misbehaved = true;
    };
    while (!bytes.empty()) {
        const std::size_t count = std::min(std::max<std::size_t>(next_piece(), 1), bytes.size());
        ++result.pieces;
        const auto taken = parser.feed(bytes.substr(0, count));
        if (!taken) {
            const auto again = parser.feed("GET / HTTP/1.1\r\n\r\n");
            const bool final_error = !again && again.error().message == taken.error().message;
            if (!final_error || parser.complete() || parser.finish()) result.misbehaved = true;
            note(summary(taken.error()));
            return result;
        }
        if (*taken > count || (*taken < count && !parser.complete())) result.misbehaved = true;
        bytes.remove_prefix(std::min(*taken, count));
        if (parser.complete()) take();
    }
    const bool nothing_more = parser.idle() && !result.outcome.empty();
    const auto finished = parser.finish();
    if (finished) {
        take();
    } else if (!nothing_more) {
        note(summary(finished.error()));
    }
    return result;
}

}  // namespace ctrlexec::test
