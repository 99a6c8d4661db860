// The session that a client may resume later, kept with its SSL object from the ticket's arrival.
#pragma once

#include <string>

struct ssl_st;          // BoringSSL's SSL
struct ssl_session_st;  // and SSL_SESSION

namespace ctrlexec {

// For SSL_CTX_sess_set_new_cb: the newest is kept.
int keep_session(ssl_st* ssl, ssl_session_st* session);

// What has been kept, as bytes with secrets in them; "" when there is nothing.
std::string kept_session(const ssl_st* ssl);

// Before the handshake. Whether the bytes are a session of this context's kind.
bool offer_session(ssl_st* ssl, const std::string& bytes);

}  // namespace ctrlexec
