// From a name to a TCP connection.
#pragma once

#include <asio/awaitable.hpp>
#include <asio/ip/tcp.hpp>
#include <chrono>
#include <string>
#include <vector>

#include "core/result.h"
#include "net/runtime.h"

namespace ctrlexec {

// Addresses of a name or literal, in the resolver's order. Errc::unresolved when there is none, timed_out
// when the name servers do not answer in time.
asio::awaitable<Result<std::vector<asio::ip::tcp::endpoint>>> resolve(Runtime& runtime, std::string host,
                                                                      int port,
                                                                      std::chrono::milliseconds timeout);

// IPv6 and IPv4 in turn, beginning with the family of the first (RFC 8305, section 4).
std::vector<asio::ip::tcp::endpoint> alternate_families(std::vector<asio::ip::tcp::endpoint> endpoints);

// Tries the addresses, families in turn: the next one when the one before has failed, or has not answered
// within 250 ms; the first to answer counts (RFC 8305). Errc::timed_out when none has within `timeout`; else
// Errc::refused or unreachable, of the last.
asio::awaitable<Result<asio::ip::tcp::socket>> connect(std::vector<asio::ip::tcp::endpoint> endpoints,
                                                       std::chrono::milliseconds timeout);

}  // namespace ctrlexec
