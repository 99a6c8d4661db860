// What is asked of one agent, and where it is.
#pragma once

#include <asio/awaitable.hpp>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/result.h"
#include "net/answer_gate.h"

namespace ctrlexec {

struct AgentAddress {
    std::string host;         // the name asked for: goes into Host and SNI
    std::string fallback;     // an address to use when the name has none; may be empty
    bool by_address = false;  // use `fallback` first
    int port = 0;
};

// Who has answered, by its certificate, which the CA's signature and its dates have already proven good.
struct PeerIdentity {
    std::string key;  // SHA-256 of its SPKI, hex
    std::string serial;
    std::string common_name;
    std::int64_t not_after = 0;  // seconds since the epoch
};

struct AgentCall {
    AgentAddress address;
    std::string method;
    std::string target;
    std::string body;                              // JSON; "" for none
    std::chrono::milliseconds connect_timeout{0};  // for name and connection, and again for the handshake
    std::chrono::milliseconds read_timeout{0};     // from the request sent to the answer's last byte
    // Asked on each connection before anything is sent on it; an error ends the call. Empty: anybody.
    std::function<asio::awaitable<Result<void>>(PeerIdentity)> accept;
    bool repeatable = false;  // may be sent again although the agent may have acted on it
    std::vector<std::pair<std::string, std::string>> headers;  // beside those of every request
    // Gets each line, without its end, of an answer that an agent of ours streams (application/x-ndjson); the
    // answer's body is empty then, and read_timeout counts anew from each piece that arrives.
    std::function<void(std::string_view)> on_line;
    std::string session;                          // of an earlier connection, to be resumed; "" for none
    std::function<void(std::string)> on_session;  // gets the next one, of an agent of ours; may be empty
    std::shared_ptr<AnswerGate> gate;             // for large answers; null: they come as they come
    std::function<bool()> unwanted;  // asked when a piece has arrived: nobody wants the rest of the stream
};

}  // namespace ctrlexec
