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

// Tries the addresses in turn, each with its share of `timeout`. Errc::refused, unreachable or timed_out of
// the last.
asio::awaitable<Result<asio::ip::tcp::socket>> connect(std::vector<asio::ip::tcp::endpoint> endpoints,
                                                       std::chrono::milliseconds timeout);

}  // namespace ctrlexec
