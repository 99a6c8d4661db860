// The same work for many items at once, a bounded number of them in flight.
#pragma once

#include <asio/awaitable.hpp>
#include <cstddef>
#include <functional>

#include "net/runtime.h"

namespace ctrlexec {

// Runs work(0) … work(count - 1), at most `parallel` at the same time, and returns when all are done.
asio::awaitable<void> fan_out(Runtime& runtime, std::size_t count, std::size_t parallel,
                              std::function<asio::awaitable<void>(std::size_t)> work);

}  // namespace ctrlexec
