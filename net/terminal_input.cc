#include "net/terminal_input.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <asio/posix/stream_descriptor.hpp>
#include <asio/redirect_error.hpp>
#include <asio/use_awaitable.hpp>
#include <cerrno>

#include "core/unique_fd.h"

namespace ctrlexec {
namespace {

constexpr std::size_t max_line = 256;

// An open file description of our own: O_NONBLOCK on the shared one would reach our stdout and the shell that
// started us. Where /proc is missing a duplicate has to do, which is read only when there is something to
// read.
UniqueFd open_terminal() {
    UniqueFd own(::open("/proc/self/fd/0", O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
    if (own) return own;
    return UniqueFd(::fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3));
}

}  // namespace

asio::awaitable<void> read_terminal_lines(Runtime& runtime, std::function<void(std::string)> on_line) {
    UniqueFd fd = open_terminal();
    if (!fd) co_return;
    asio::posix::stream_descriptor terminal(runtime.io(), fd.release());
    std::array<char, 1024> buffer{};
    std::string line;
    for (;;) {
        std::error_code error;
        co_await terminal.async_wait(asio::posix::descriptor_base::wait_read,
                                     asio::redirect_error(asio::use_awaitable, error));
        if (error) co_return;
        const ssize_t n = ::read(terminal.native_handle(), buffer.data(), buffer.size());
        if (n < 0 && (errno == EAGAIN || errno == EINTR)) continue;
        if (n <= 0) co_return;
        for (ssize_t i = 0; i < n; ++i) {
            const char c = buffer[static_cast<std::size_t>(i)];
            if (c == '\n') {
                std::string whole;
                whole.swap(line);
                on_line(std::move(whole));
            } else if (line.size() < max_line) {
                line += c;
            }
        }
    }
}

}  // namespace ctrlexec
