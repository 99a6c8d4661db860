#include "net/tls_session.h"

#include <openssl/err.h>
#include <openssl/mem.h>
#include <openssl/ssl.h>

#include <cstdint>

namespace ctrlexec {
namespace {

void free_session(void*, void* session, CRYPTO_EX_DATA*, int, long, void*) {
    SSL_SESSION_free(static_cast<SSL_SESSION*>(session));
}

int slot() {
    static const int index = SSL_get_ex_new_index(0, nullptr, nullptr, nullptr, free_session);
    return index;
}

}  // namespace

int keep_session(ssl_st* ssl, ssl_session_st* session) {
    SSL_SESSION_free(static_cast<SSL_SESSION*>(SSL_get_ex_data(ssl, slot())));
    SSL_set_ex_data(ssl, slot(), session);
    return 1;  // it is ours now
}

std::string kept_session(const ssl_st* ssl) {
    const auto* session = static_cast<const SSL_SESSION*>(SSL_get_ex_data(ssl, slot()));
    std::uint8_t* bytes = nullptr;
    std::size_t size = 0;
    if (session == nullptr || SSL_SESSION_to_bytes(session, &bytes, &size) != 1) return {};
    std::string text(reinterpret_cast<const char*>(bytes), size);
    OPENSSL_free(bytes);  // which wipes it
    return text;
}

bool offer_session(ssl_st* ssl, const std::string& bytes) {
    const bssl::UniquePtr<SSL_SESSION> session(SSL_SESSION_from_bytes(
        reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size(), SSL_get_SSL_CTX(ssl)));
    ERR_clear_error();
    return session && SSL_set_session(ssl, session.get()) == 1;
}

}  // namespace ctrlexec
