// What is asked of one agent, and where it is.
#pragma once

#include <chrono>
#include <string>

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
    bool repeatable = false;  // may be sent again although the agent may have acted on it
};

}  // namespace ctrlexec
