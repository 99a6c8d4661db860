// Something that is done again and again while a Runtime runs.
#pragma once

#include <asio/awaitable.hpp>
#include <chrono>
#include <functional>

#include "net/runtime.h"

namespace ctrlexec {

// Runs `action` after each `interval`; ends with the Runtime.
asio::awaitable<void> tick_forever(Runtime& runtime, std::chrono::milliseconds interval,
                                   std::function<void()> action);

}  // namespace ctrlexec
