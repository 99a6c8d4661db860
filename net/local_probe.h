// One question to an HTTP server on this machine, for health checks.
#pragma once

#include <asio/awaitable.hpp>
#include <chrono>
#include <string>

#include "core/result.h"
#include "net/http_message.h"
#include "net/runtime.h"

namespace ctrlexec {

struct LocalProbe {
    std::string host;
    int port = 0;
    bool tls =
        false;  // the certificate is not checked: nothing is told and nothing is believed but the status
    std::string target;
    std::chrono::milliseconds timeout{5'000};  // for all of it
};

// The answer to GET `target`, of at most 64 KiB.
asio::awaitable<Result<HttpMessage>> probe(Runtime& runtime, LocalProbe question);

}  // namespace ctrlexec
