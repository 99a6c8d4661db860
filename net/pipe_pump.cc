#include "net/pipe_pump.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

namespace ctrlexec {
namespace {

constexpr std::size_t turn_bytes = 65'536;  // moved before other work of the loop gets its turn

Result<void> assign(asio::posix::stream_descriptor& stream, UniqueFd& fd) {
    asio::error_code failure;
    stream.assign(fd.get(), failure);
    if (failure) return fail(Errc::io, "cannot watch a pipe", failure.message());
    fd.release();
    return success();
}

void close(asio::posix::stream_descriptor& stream) {
    asio::error_code ignored;
    stream.close(ignored);
}

std::size_t capacity(int fd) {
    const int bytes = ::fcntl(fd, F_GETPIPE_SZ);
    return bytes > 0 ? static_cast<std::size_t>(bytes) : turn_bytes;
}

}  // namespace

Result<void> PipeReader::start(UniqueFd fd, PumpEnded ended) {
    TRY_DO(assign(stream_, fd));
    wait(std::move(ended));
    return success();
}

// Waits and then reads by itself: no completed read with data in it can be queued while stop() takes the
// rest.
void PipeReader::wait(PumpEnded ended) {
    stream_.async_wait(asio::posix::descriptor_base::wait_read,
                       [this, ended = std::move(ended)](const asio::error_code&) mutable {
                           if (!is_open()) return;
                           if (!pull(turn_bytes)) return wait(std::move(ended));
                           close(stream_);
                           ended();
                       });
}

bool PipeReader::pull(std::size_t budget) {
    std::array<char, 16'384> chunk;
    while (budget > 0) {
        const ssize_t count = ::read(stream_.native_handle(), chunk.data(), std::min(budget, chunk.size()));
        if (count < 0 && errno == EINTR) continue;
        if (count < 0) return errno != EAGAIN;
        if (count == 0) return true;
        keep(chunk.data(), static_cast<std::size_t>(count));
        budget -= static_cast<std::size_t>(count);
    }
    return false;
}

void PipeReader::keep(const char* bytes, std::size_t count) {
    const std::string_view piece(bytes, count);
    kept_.add(piece);
    if (tee_) tee_(piece);
}

void PipeReader::stop() {
    if (!is_open()) return;
    pull(capacity(stream_.native_handle()));
    close(stream_);
}

Result<void> PipeWriter::start(UniqueFd fd, std::string data, PumpEnded ended) {
    TRY_DO(assign(stream_, fd));
    data_ = std::move(data);
    advance(std::move(ended));
    return success();
}

void PipeWriter::advance(PumpEnded ended) {
    if (push()) {
        stop();
        return ended();
    }
    stream_.async_wait(asio::posix::descriptor_base::wait_write,
                       [this, ended = std::move(ended)](const asio::error_code&) mutable {
                           if (is_open()) advance(std::move(ended));
                       });
}

bool PipeWriter::push() {
    const std::size_t turn_end = std::min(data_.size(), written_ + turn_bytes);
    while (written_ < turn_end) {
        const ssize_t count = ::write(stream_.native_handle(), data_.data() + written_, turn_end - written_);
        if (count < 0 && errno == EINTR) continue;
        if (count < 0) return errno != EAGAIN;
        written_ += static_cast<std::size_t>(count);
    }
    return written_ == data_.size();
}

void PipeWriter::stop() {
    if (!is_open()) return;
    close(stream_);
    data_ = std::string();
}

}  // namespace ctrlexec
