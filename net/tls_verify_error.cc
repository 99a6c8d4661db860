#include "net/tls_verify_error.h"

#include <openssl/ssl.h>

#include <memory>

namespace ctrlexec {
namespace {

void free_text(void*, void* text, CRYPTO_EX_DATA*, int, long, void*) {
    const std::unique_ptr<std::string> owned(static_cast<std::string*>(text));
}

int slot() {
    static const int index = SSL_get_ex_new_index(0, nullptr, nullptr, nullptr, free_text);
    return index;
}

}  // namespace

void set_verify_error(ssl_st* ssl, std::string text) {
    const std::unique_ptr<std::string> previous(static_cast<std::string*>(SSL_get_ex_data(ssl, slot())));
    SSL_set_ex_data(ssl, slot(), std::make_unique<std::string>(std::move(text)).release());
}

std::string verify_error(const ssl_st* ssl) {
    const auto* text = static_cast<const std::string*>(SSL_get_ex_data(ssl, slot()));
    return text == nullptr ? std::string() : *text;
}

}  // namespace ctrlexec
