#include "net/tls_stream.h"

#include <fmt/format.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sys/socket.h>

#include <asio/redirect_error.hpp>
#include <asio/ssl/error.hpp>
#include <asio/use_awaitable.hpp>
#include <asio/write.hpp>
#include <cerrno>

#include "core/target.h"
#include "net/tls_session.h"
#include "net/tls_verify_error.h"

namespace ctrlexec {
namespace {

// BoringSSL's reason as words: "TLSV1_ALERT_UNKNOWN_CA" reads "peer says: unknown CA".
std::string reason(const std::error_code& error) {
    const char* text = ERR_reason_error_string(static_cast<std::uint32_t>(error.value()));
    if (text == nullptr) return error.message();
    switch (ERR_GET_REASON(static_cast<std::uint32_t>(error.value()))) {
        case SSL_R_TLSV1_ALERT_UNKNOWN_CA:
            return "the peer does not accept our certificate's CA";
        case SSL_R_SSLV3_ALERT_BAD_CERTIFICATE:
            return "the peer does not accept our certificate";
        case SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED:
            return "the peer says that our certificate has expired or is not yet valid";
        case SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN:
            return "the peer does not accept our certificate";
        case SSL_R_TLSV1_ALERT_CERTIFICATE_REQUIRED:
            return "the peer requires a certificate";
        case SSL_R_WRONG_VERSION_NUMBER:
            return "the peer does not speak TLS";
        case SSL_R_KEY_USAGE_BIT_INCORRECT:
            return "the peer's certificate is not made for this: its key usage does not permit signing";
        case SSL_R_HTTP_REQUEST:
        case SSL_R_HTTPS_PROXY_REQUEST:
            return "the peer sent plain HTTP";
        case SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE:
            return "the peer sent no certificate";
        case SSL_R_NO_SHARED_CIPHER:
            return "no common cipher suite";
        case SSL_R_UNSUPPORTED_PROTOCOL:
            return "no common TLS version";
        default:
            return text;
    }
}

bool is_end(const std::error_code& error) {
    return error == asio::error::eof || error == asio::ssl::error::stream_truncated ||
           error == asio::error::connection_reset || error == asio::error::broken_pipe;
}

}  // namespace

TlsStream::TlsStream(asio::ip::tcp::socket socket, std::shared_ptr<TlsContext> context)
    : context_(std::move(context)), stream_(std::move(socket), context_->native()) {
    std::error_code ignored;
    stream_.next_layer().set_option(asio::ip::tcp::no_delay(true), ignored);
}

TlsStream::~TlsStream() = default;

// asio has no const one, although nothing changes.
SSL* TlsStream::native() const {
    return const_cast<asio::ssl::stream<asio::ip::tcp::socket>&>(stream_).native_handle();
}

Error TlsStream::explain(std::string_view doing, const std::error_code& error) const {
    SSL* ssl = native();
    if (const std::string refused = verify_error(ssl); !refused.empty()) {
        return fail(Errc::tls_failed, "the peer's certificate is not acceptable: " + refused);
    }
    if (error == asio::error::operation_aborted || error == asio::error::bad_descriptor) {
        return fail(Errc::cancelled, "the connection was closed here");
    }
    if (is_end(error))
        return fail(Errc::closed, fmt::format("the peer closed the connection during {}", doing));
    if (error.category() == asio::error::get_ssl_category()) {
        return fail(Errc::tls_failed, fmt::format("TLS failed during {}: {}", doing, reason(error)));
    }
    return fail(Errc::unreachable,
                fmt::format("the connection failed during {}: {}", doing, error.message()));
}

asio::awaitable<Result<void>> TlsStream::handshake_server() {
    std::error_code error;
    co_await stream_.async_handshake(asio::ssl::stream_base::server,
                                     asio::redirect_error(asio::use_awaitable, error));
    if (error) co_return explain("the handshake", error);
    co_return check_resumed();
}

// The peer's certificate was looked at when the session began; trust may have gone since.
Result<void> TlsStream::check_resumed() const {
    if (!resumed()) return success();
    const auto peer = peer_certificate();
    const auto checked =
        peer ? context_->check_again(*peer) : Result<void>(fail(Errc::tls_failed, "it has none"));
    if (checked) return success();
    return fail(Errc::tls_failed, "the peer's certificate is not acceptable: " + checked.error().text());
}

asio::awaitable<Result<void>> TlsStream::handshake_client(std::string server_name, std::string session) {
    if (!session.empty()) (void)offer_session(stream_.native_handle(), session);
    if (!server_name.empty() && !is_ip_address(server_name)) {
        SSL_set_tlsext_host_name(stream_.native_handle(), server_name.c_str());
    }
    std::error_code error;
    co_await stream_.async_handshake(asio::ssl::stream_base::client,
                                     asio::redirect_error(asio::use_awaitable, error));
    if (error) co_return explain("the handshake", error);
    co_return check_resumed();
}

bool TlsStream::resumed() const {
    return SSL_session_reused(native()) == 1;
}

std::string TlsStream::session() const {
    return kept_session(native());
}

std::optional<Certificate> TlsStream::peer_certificate() const {
    SSL* ssl = native();
    X509* peer = SSL_get_peer_certificate(ssl);
    if (peer == nullptr) return std::nullopt;
    return Certificate::from_native(peer);
}

asio::awaitable<Result<std::size_t>> TlsStream::read_some(asio::mutable_buffer buffer) {
    std::error_code error;
    const std::size_t n =
        co_await stream_.async_read_some(buffer, asio::redirect_error(asio::use_awaitable, error));
    if (is_end(error)) co_return std::size_t{0};
    if (error) co_return explain("reading", error);
    co_return n;
}

asio::awaitable<Result<void>> TlsStream::write(asio::const_buffer buffer) {
    std::error_code error;
    co_await asio::async_write(stream_, buffer, asio::redirect_error(asio::use_awaitable, error));
    if (error) co_return explain("writing", error);
    co_return success();
}

asio::awaitable<bool> TlsStream::shutdown() {
    std::error_code error;
    co_await stream_.async_shutdown(asio::redirect_error(asio::use_awaitable, error));
    co_return !error || is_end(error);
}

bool TlsStream::quiet() {
    if (!stream_.next_layer().is_open()) return false;
    SSL* ssl = stream_.native_handle();
    if (SSL_pending(ssl) > 0 || BIO_pending(SSL_get_rbio(ssl)) > 0) return false;
    char byte = 0;
    const ssize_t n =
        ::recv(stream_.next_layer().native_handle(), &byte, sizeof byte, MSG_PEEK | MSG_DONTWAIT);
    return n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK);
}

bool TlsStream::peer_said_goodbye() const {
    SSL* ssl = native();
    return (SSL_get_shutdown(ssl) & SSL_RECEIVED_SHUTDOWN) != 0;
}

void TlsStream::close() {
    std::error_code ignored;
    stream_.next_layer().close(ignored);
}

}  // namespace ctrlexec
