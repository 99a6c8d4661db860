#include "net/runtime.h"

#include <asio/co_spawn.hpp>
#include <asio/redirect_error.hpp>
#include <asio/use_awaitable.hpp>
#include <csignal>
#include <exception>
#include <optional>

namespace ctrlexec {

Runtime::Runtime() {
    std::signal(SIGPIPE, SIG_IGN);
}

int Runtime::run(std::function<asio::awaitable<int>()> main) {
    io_.restart();  // a loop that once ran out of work would return at once
    std::optional<int> code;
    asio::co_spawn(io_, std::move(main), [&code](const std::exception_ptr& failure, int value) {
        if (failure) std::rethrow_exception(failure);
        code = value;
    });
    while (!code && io_.run_one() > 0) {
    }
    return code.value_or(1);
}

void Runtime::spawn(asio::awaitable<void> task) {
    asio::co_spawn(io_, std::move(task), [](const std::exception_ptr& failure) {
        if (failure) std::rethrow_exception(failure);
    });
}

asio::awaitable<void> on_each_signal(asio::signal_set& signals, std::function<void()> action) {
    for (;;) {
        std::error_code error;
        co_await signals.async_wait(asio::redirect_error(asio::use_awaitable, error));
        if (error) co_return;
        action();
    }
}

}  // namespace ctrlexec
