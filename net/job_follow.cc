#include "net/job_follow.h"

#include <sys/inotify.h>
#include <unistd.h>

#include <array>
#include <asio/redirect_error.hpp>
#include <asio/use_awaitable.hpp>
#include <utility>

#include "core/job_report.h"
#include "core/ring_file.h"
#include "core/timestamp.h"
#include "core/utf8.h"
#include "net/live_output.h"
#include "net/offload.h"

namespace ctrlexec {
namespace {

using std::chrono::milliseconds;

constexpr std::chrono::seconds heartbeat{10};
constexpr std::chrono::seconds look_again{1};    // at whether the agent is about to end
constexpr milliseconds look_without_watch{250};  // at the files, where nothing tells of changes
constexpr milliseconds gather{20};               // lines that come one by one are told together
constexpr std::size_t max_piece = 32u << 10;
constexpr int max_pieces = 8;  // of a stream in one go

struct Lines {
    std::string text;
    JobOffsets next;
};

// What is new in one stream. At the end the beginning of a UTF-8 sequence is told too, and what a full disk
// has taken.
Result<void> read_stream(const std::string& path, OutputStream stream, bool ended, std::uint64_t& next,
                         std::string& text) {
    auto reader = RingReader::open(path);
    if (!reader) {
        const Errc code = reader.error().code;
        // Not started yet, or never; or the writer is about to begin.
        if (code == Errc::not_found || (code == Errc::busy && !ended)) return success();
        return std::move(reader).error();
    }
    for (int i = 0; i < max_pieces; ++i) {
        TRY(auto part, reader->read(next, max_piece));
        TRY(const std::uint64_t total, reader->total());
        const bool last = part.bytes.size() < max_piece;
        if (part.bytes.empty() && ended && total > part.offset) part.offset = total;
        if (part.offset > next) text += OutputPiece{stream, next, {}, part.offset - next}.to_line();
        next = part.offset;
        if (!(ended && last)) part.bytes.resize(part.bytes.size() - incomplete_at_end(part.bytes));
        if (part.bytes.empty()) break;
        next += part.bytes.size();
        text += OutputPiece{stream, part.offset, std::move(part.bytes), 0}.to_line();
    }
    return success();
}

Result<Lines> read_lines(const JobDirectory& job, JobOffsets from, bool ended) {
    Lines lines;
    lines.next = from;
    TRY_DO(read_stream(job.output_path(), OutputStream::output, ended, lines.next.output, lines.text));
    TRY_DO(read_stream(job.error_path(), OutputStream::error, ended, lines.next.error, lines.text));
    return lines;
}

Result<std::string> read_result(const JobStore& store, const JobKey& key) {
    TRY(const auto result, store.outcome(key, now_seconds()));
    if (!result) return fail(Errc::internal, "a job that had ended runs again");
    json::Value line{json::Object()};
    line.set("result", job_result_report(store.at(key), key, *result));
    return json::dump(line) + "\n";
}

}  // namespace

JobFollow::JobFollow(Runtime& runtime, JobStore store, std::shared_ptr<AgentJob> job, JobOffsets offsets)
    : runtime_(runtime),
      store_(std::move(store)),
      job_(std::move(job)),
      next_(offsets),
      changes_(runtime.io()),
      wake_(runtime.io()) {
    UniqueFd fd(::inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
    const std::string path = store_.at(job_->key).path();
    if (!fd || ::inotify_add_watch(fd.get(), path.c_str(), IN_MODIFY | IN_CREATE) < 0) return;
    std::error_code failure;
    changes_.assign(fd.get(), failure);
    if (!failure) fd.release();
}

asio::awaitable<Result<void>> JobFollow::stream(std::shared_ptr<BodyWriter> writer) {
    const auto self = shared_from_this();
    auto silent_since = std::chrono::steady_clock::now();
    Result<void> sent;
    while (sent) {
        // Asked before the look: what is written before the end is seen after it.
        const bool ended = !job_->is_under_way();
        auto lines = co_await next_lines(ended);
        if (!lines) co_return std::move(lines).error();
        const bool silent = lines->empty();
        if (silent && ended) lines = co_await result_line();
        if (!lines) co_return std::move(lines).error();
        if (silent && !ended && std::chrono::steady_clock::now() - silent_since >= heartbeat)
            lines = std::string("{\"heartbeat\":true}\n");
        if (!lines->empty()) {
            silent_since = std::chrono::steady_clock::now();
            sent = co_await writer->write(std::move(*lines));
        }
        if (silent && ended) break;
        if (writer->stopping()) sent = fail(Errc::closed, "shutting down");
        if (silent && sent) co_await wait();
    }
    std::error_code ignored;
    changes_.close(ignored);
    co_return sent;
}

asio::awaitable<Result<std::string>> JobFollow::next_lines(bool ended) {
    std::function<Result<Lines>()> work = [job = store_.at(job_->key), from = next_, ended] {
        return read_lines(job, from, ended);
    };
    CO_TRY(Lines lines, co_await offload<Lines>(runtime_.pool(), file_timeout, std::move(work)));
    next_ = lines.next;
    co_return std::move(lines.text);
}

asio::awaitable<Result<std::string>> JobFollow::result_line() {
    std::function<Result<std::string>()> work = [store = store_, key = job_->key] {
        return read_result(store, key);
    };
    co_return co_await offload<std::string>(runtime_.pool(), file_timeout, std::move(work));
}

// The handler keeps us until the descriptor is closed.
void JobFollow::watch() {
    if (watching_ || !changes_.is_open()) return;
    watching_ = true;
    changes_.async_wait(asio::posix::descriptor_base::wait_read,
                        [self = shared_from_this()](const std::error_code& error) {
                            self->watching_ = false;
                            if (error) return;
                            std::array<char, 4096> events;
                            while (::read(self->changes_.native_handle(), events.data(), events.size()) > 0) {
                            }
                            self->changed_ = true;
                            self->wake_.cancel();
                        });
}

asio::awaitable<void> JobFollow::wait() {
    std::error_code ignored;
    watch();
    const bool blind = !changes_.is_open();
    const WakenByJob waken(*job_, wake_);
    if (!changed_) {
        wake_.expires_after(blind ? look_without_watch : milliseconds(look_again));
        co_await wake_.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
    }
    if (!std::exchange(changed_, false)) co_return;
    wake_.expires_after(gather);
    co_await wake_.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
}

}  // namespace ctrlexec
