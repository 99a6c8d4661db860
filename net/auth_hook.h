// Asking an auth hook: an external program that allows or denies.
#pragma once

#include <asio/awaitable.hpp>
#include <chrono>
#include <string>

#include "core/auth_request.h"
#include "core/result.h"

namespace ctrlexec {

// Runs the hook at `path` with the request in its environment and on its stdin; its output is dropped.
// Success only when it exits 0 in time. Everything else denies: missing, not executable, killed, too late
// (its process group is killed), request too large for an environment. `code`, when not null, receives the
// hook's own exit status if that was 1 to 3, else 1: callers report it beside the reason. With more hosts
// than an environment can hold it is asked several times, about some of them each.
asio::awaitable<Result<void>> ask_hook(std::string path, AuthRequest request, std::chrono::seconds timeout,
                                       int* code);

}  // namespace ctrlexec
