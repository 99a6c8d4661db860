#include "net/queue_watch.h"

#include <sys/inotify.h>

#include <array>
#include <asio/redirect_error.hpp>
#include <asio/use_awaitable.hpp>

#include "core/log.h"
#include "core/unique_fd.h"

namespace ctrlexec {

std::shared_ptr<QueueWatch> QueueWatch::open(Runtime& runtime, const std::string& directory) {
    UniqueFd fd(::inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
    if (!fd || ::inotify_add_watch(fd.get(), directory.c_str(), IN_MOVED_TO | IN_CREATE | IN_DELETE) < 0) {
        log_event(LogLevel::warning, "pairing-watch-fail", {{"ERROR", "no inotify; looking every 2 s"}});
        return nullptr;
    }
    asio::posix::stream_descriptor events(runtime.io(), fd.release());
    return std::shared_ptr<QueueWatch>(new QueueWatch(std::move(events)));
}

asio::awaitable<void> QueueWatch::run(std::function<void()> on_change) {
    const auto self = shared_from_this();
    std::array<char, 4096> buffer{};
    for (;;) {
        std::error_code error;
        co_await events_.async_read_some(asio::buffer(buffer),
                                         asio::redirect_error(asio::use_awaitable, error));
        if (error) co_return;
        on_change();
    }
}

void QueueWatch::stop() {
    std::error_code ignored;
    events_.close(ignored);
}

}  // namespace ctrlexec
