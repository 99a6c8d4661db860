// The loop of a process: one thread, one io_context, the workers for blocking calls.
#pragma once

#include <asio/awaitable.hpp>
#include <asio/io_context.hpp>
#include <asio/signal_set.hpp>
#include <functional>

#include "net/offload.h"

namespace ctrlexec {

class Runtime {
  public:
    Runtime();  // ignores SIGPIPE: a peer that goes away is an error value, not our death
    Runtime(const Runtime&) = delete;
    Runtime& operator=(const Runtime&) = delete;

    asio::io_context& io() { return io_; }
    OffloadPool& pool() { return pool_; }

    // May be called again. Runs the loop until `main` is done and returns its value. What is still pending
    // then is destroyed with the Runtime. An exception out of `main` or any spawned coroutine is a bug: it
    // leaves run() and ends the process through cmd/main.cc.
    int run(std::function<asio::awaitable<int>()> main);

    // Starts a coroutine that nobody awaits.
    void spawn(asio::awaitable<void> task);

  private:
    asio::io_context io_{1};
    OffloadPool pool_{io_};
};

// Runs `action` for each signal, until the set is cancelled or gone.
asio::awaitable<void> on_each_signal(asio::signal_set& signals, std::function<void()> action);

}  // namespace ctrlexec
