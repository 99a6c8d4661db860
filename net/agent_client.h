// One request to one agent over mutual TLS.
#pragma once

#include <asio/awaitable.hpp>
#include <chrono>
#include <memory>
#include <string>

#include "core/result.h"
#include "net/http_message.h"
#include "net/runtime.h"
#include "net/tls_context.h"

namespace ctrlexec {

struct AgentAddress {
    std::string host;         // the name asked for: goes into Host and SNI
    std::string fallback;     // an address to use when the name has none; may be empty
    bool by_address = false;  // use `fallback` first
    int port = 0;
};

struct AgentCall {
    AgentAddress address;
    std::string method;
    std::string target;
    std::string body;                              // JSON; "" for none
    std::chrono::milliseconds connect_timeout{0};  // for name and connection, and again for the handshake
    std::chrono::milliseconds read_timeout{0};     // from the request sent to the answer's last byte
};

// The answer, whatever its status. Errors have distinct words for: name, refused, unreachable, timed out, TLS
// and why, closed without an answer, malformed. One connection a call; connect, handshake and send follow
// without a pause, since an old agent serves nobody else meanwhile.
asio::awaitable<Result<HttpMessage>> call_agent(Runtime& runtime, std::shared_ptr<TlsContext> tls,
                                                AgentCall call);

}  // namespace ctrlexec
