// Why a peer's certificate was refused, kept with the SSL object from the verification to the error message.
#pragma once

#include <string>

struct ssl_st;  // BoringSSL's SSL

namespace ctrlexec {

void set_verify_error(ssl_st* ssl, std::string text);
std::string verify_error(const ssl_st* ssl);  // "" when the certificate was not refused

}  // namespace ctrlexec
