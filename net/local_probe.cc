#include "net/local_probe.h"

#include <fmt/format.h>

#include <memory>

#include "core/target.h"
#include "net/connect.h"
#include "net/deadline.h"
#include "net/http_connection.h"
#include "net/plain_stream.h"
#include "net/tls_stream.h"

namespace ctrlexec {
namespace {

constexpr HttpLimits answer_limits{8192, 64, 64 * 1024};

// Not in the coroutine: g++ 12 miscompiles initializer lists there.
std::string probe_head(const LocalProbe& question) {
    return request_head("GET", question.target, host_port(question.host, question.port), 1, false, 0,
                        {{"Connection", "close"}});
}

asio::awaitable<Result<HttpMessage>> exchange(TlsStream* secured, Stream* stream, std::string head) {
    if (secured != nullptr) CO_TRY_DO(co_await secured->handshake_client(std::string()));
    HttpConnection http(*stream, HttpParser::Kind::response, answer_limits);
    CO_TRY_DO(co_await http.write(std::move(head), std::string()));
    co_return co_await http.read();
}

}  // namespace

asio::awaitable<Result<HttpMessage>> probe(Runtime& runtime, LocalProbe question) {
    CO_TRY(auto endpoints, co_await resolve(runtime, question.host, question.port, question.timeout));
    CO_TRY(auto socket, co_await connect(std::move(endpoints), question.timeout));
    TlsContext::Options options;
    options.role = TlsContext::Role::client;
    CO_TRY(auto tls, TlsContext::create(options));
    std::unique_ptr<Stream> stream;
    TlsStream* secured = nullptr;
    if (question.tls) {
        auto made = std::make_unique<TlsStream>(std::move(socket), std::move(tls));
        secured = made.get();
        stream = std::move(made);
    } else {
        stream = std::make_unique<PlainStream>(std::move(socket));
    }
    Deadline deadline(runtime.io().get_executor(), [&stream] { stream->close(); });
    deadline.arm(question.timeout);
    std::string head = probe_head(question);
    auto answer = co_await exchange(secured, stream.get(), std::move(head));
    if (!answer && deadline.expired()) {
        co_return fail(
            Errc::timed_out,
            fmt::format("no answer within {} s",
                        std::chrono::duration_cast<std::chrono::seconds>(question.timeout).count()));
    }
    co_return std::move(answer);
}

}  // namespace ctrlexec
