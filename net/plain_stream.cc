#include "net/plain_stream.h"

#include <fmt/format.h>

#include <asio/redirect_error.hpp>
#include <asio/use_awaitable.hpp>
#include <asio/write.hpp>

namespace ctrlexec {
namespace {

Error explain(std::string_view doing, const std::error_code& error) {
    if (error == asio::error::operation_aborted || error == asio::error::bad_descriptor)
        return fail(Errc::cancelled, "the connection was closed here");
    if (error == asio::error::connection_reset || error == asio::error::broken_pipe)
        return fail(Errc::closed, fmt::format("the peer closed the connection during {}", doing));
    return fail(Errc::unreachable,
                fmt::format("the connection failed during {}: {}", doing, error.message()));
}

}  // namespace

PlainStream::PlainStream(asio::ip::tcp::socket socket) : socket_(std::move(socket)) {
    std::error_code ignored;
    socket_.set_option(asio::ip::tcp::no_delay(true), ignored);
}

asio::awaitable<Result<void>> PlainStream::handshake_server() {
    co_return success();
}

asio::awaitable<Result<std::size_t>> PlainStream::read_some(asio::mutable_buffer buffer) {
    std::error_code error;
    const std::size_t n =
        co_await socket_.async_read_some(buffer, asio::redirect_error(asio::use_awaitable, error));
    if (error == asio::error::eof || error == asio::error::connection_reset) co_return std::size_t{0};
    if (error) co_return explain("reading", error);
    co_return n;
}

asio::awaitable<Result<void>> PlainStream::write(asio::const_buffer buffer) {
    std::error_code error;
    co_await asio::async_write(socket_, buffer, asio::redirect_error(asio::use_awaitable, error));
    if (error) co_return explain("writing", error);
    co_return success();
}

asio::awaitable<bool> PlainStream::shutdown() {
    std::error_code ignored;
    socket_.shutdown(asio::ip::tcp::socket::shutdown_send, ignored);
    co_return false;
}

void PlainStream::close() {
    std::error_code ignored;
    socket_.close(ignored);
}

}  // namespace ctrlexec
