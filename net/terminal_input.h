// Lines typed on a terminal, read without blocking the loop.
#pragma once

#include <asio/awaitable.hpp>
#include <functional>
#include <string>

#include "net/runtime.h"

namespace ctrlexec {

// Hands over each line of standard input, without its line end, until the end of input (control-D). A line
// longer than 256 bytes is cut.
asio::awaitable<void> read_terminal_lines(Runtime& runtime, std::function<void(std::string)> on_line);

}  // namespace ctrlexec
