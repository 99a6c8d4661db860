#include "net/tls_context.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <array>

#include "core/timestamp.h"
#include "net/tls_session.h"
#include "net/tls_verify_error.h"

namespace ctrlexec {
namespace {

constexpr const char* tls12_suites =
    "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:"
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256";

// Ed25519 is not among BoringSSL's defaults, but old peers may hold such certificates.
constexpr std::array<std::uint16_t, 7> signature_algorithms{
    SSL_SIGN_ECDSA_SECP256R1_SHA256, SSL_SIGN_ED25519,
    SSL_SIGN_RSA_PSS_RSAE_SHA256,    SSL_SIGN_RSA_PSS_RSAE_SHA384,
    SSL_SIGN_RSA_PSS_RSAE_SHA512,    SSL_SIGN_RSA_PKCS1_SHA256,
    SSL_SIGN_RSA_PKCS1_SHA384,
};

std::string queued_error() {
    char text[256];
    ERR_error_string_n(ERR_get_error(), text, sizeof text);
    ERR_clear_error();
    return text;
}

// The alert that the peer sees depends on this number.
int verify_code(const Certificate& certificate, std::int64_t now) {
    if (now > certificate.not_after()) return X509_V_ERR_CERT_HAS_EXPIRED;
    if (now < certificate.not_before()) return X509_V_ERR_CERT_NOT_YET_VALID;
    return X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY;
}

int verify_peer(X509_STORE_CTX* store, void* argument) {
    const auto* context = static_cast<const TlsContext*>(argument);
    auto* ssl = static_cast<SSL*>(X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx()));
    X509* peer = X509_STORE_CTX_get0_cert(store);
    X509_up_ref(peer);
    const Certificate certificate = Certificate::from_native(peer);
    const auto verified = context->check(certificate);
    if (verified) {
        X509_STORE_CTX_set_error(store, X509_V_OK);
        return 1;
    }
    set_verify_error(ssl, verified.error().text());
    X509_STORE_CTX_set_error(store, context->revoked(certificate.serial())
                                        ? X509_V_ERR_CERT_REVOKED
                                        : verify_code(certificate, now_seconds()));
    return 0;
}

// One protocol, named by us: it says nothing but that the client is one of ours.
constexpr std::array<std::uint8_t, 12> our_protocol{11,  'c', 't', 'r', 'l', '-',
                                                    'e', 'x', 'e', 'c', '/', '1'};

int choose_protocol(SSL* ssl, const std::uint8_t** chosen, std::uint8_t* size, const std::uint8_t* offered,
                    unsigned offered_size, void*) {
    std::uint8_t* found = nullptr;
    if (SSL_select_next_proto(&found, size, our_protocol.data(), our_protocol.size(), offered,
                              offered_size) != OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_NOACK;
    *chosen = found;
    SSL_clear_options(ssl, SSL_OP_NO_TICKET);  // before tickets are looked at
    return SSL_TLSEXT_ERR_OK;
}

// SSL_OP_NO_TICKET stays with clients: it only concerns the tickets of TLS 1.2, which old agents would be
// asked for.
void set_up_resumption(SSL_CTX* ctx, TlsContext::Role role) {
    constexpr std::uint32_t lifetime = 24 * 60 * 60;  // seconds
    SSL_CTX_set_session_psk_dhe_timeout(ctx, lifetime);
    SSL_CTX_set_timeout(ctx, lifetime);
    SSL_CTX_set_num_tickets(ctx, 1);
    if (role == TlsContext::Role::server) {
        SSL_CTX_set_alpn_select_cb(ctx, choose_protocol, nullptr);
        return;
    }
    SSL_CTX_set_alpn_protos(ctx, our_protocol.data(), our_protocol.size());
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(ctx, keep_session);
}

}  // namespace

TlsContext::TlsContext() : context_(asio::ssl::context::tls) {}

Result<std::shared_ptr<TlsContext>> TlsContext::create(const Options& options) {
    const std::shared_ptr<TlsContext> self(new TlsContext);
    SSL_CTX* ctx = self->context_.native_handle();
    const bool settings = SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) == 1 &&
                          SSL_CTX_set_max_proto_version(ctx, TLS1_3_VERSION) == 1 &&
                          SSL_CTX_set_strict_cipher_list(ctx, tls12_suites) == 1 &&
                          SSL_CTX_set_verify_algorithm_prefs(ctx, signature_algorithms.data(),
                                                             signature_algorithms.size()) == 1;
    if (!settings) return fail(Errc::internal, "cannot set up TLS", queued_error());
    SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET | SSL_OP_CIPHER_SERVER_PREFERENCE);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    self->resumption_ = options.resumption;
    if (options.resumption) set_up_resumption(ctx, options.role);
    if (options.certificate != nullptr) {
        if (!options.certificate->holds_key_of(*options.key)) {
            return fail(Errc::crypto, "the certificate does not belong to the key");
        }
        if (SSL_CTX_use_certificate(ctx, options.certificate->native()) != 1 ||
            SSL_CTX_use_PrivateKey(ctx, options.key->native()) != 1) {
            return fail(Errc::crypto, "cannot use certificate and key for TLS", queued_error());
        }
    }
    if (options.authority != nullptr) {
        self->revoked_ = options.revoked;
        TRY(self->authority_, Certificate::from_pem(options.authority->to_pem(), "CA"));
        SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
        SSL_CTX_set_cert_verify_callback(ctx, verify_peer, self.get());
        // Tells clients which certificate to send; browsers and curl pick by it.
        if (options.role == Role::server) SSL_CTX_add_client_CA(ctx, self->authority_->native());
    } else {
        SSL_CTX_set_verify(ctx, SSL_VERIFY_NONE, nullptr);
    }
    return self;
}

namespace {

TlsContext::Options mutual_tls(TlsContext::Role role, const Identity& identity) {
    TlsContext::Options options;
    options.role = role;
    options.certificate = &identity.certificate;
    options.key = &identity.key;
    options.authority = &identity.authority;
    return options;
}

}  // namespace

Result<std::shared_ptr<TlsContext>> TlsContext::create(Role role, const Identity& identity) {
    return create(mutual_tls(role, identity));
}

Result<std::shared_ptr<TlsContext>> TlsContext::create_agent(const Identity& identity) {
    Options options = mutual_tls(Role::server, identity);
    options.resumption = true;
    return create(options);
}

Result<void> TlsContext::check(const Certificate& peer) const {
    TRY_DO(peer.verify(*authority_, now_seconds()));
    return check_again(peer);
}

Result<void> TlsContext::check_again(const Certificate& peer) const {
    const std::int64_t now = now_seconds();
    if (now > peer.not_after()) return fail(Errc::tls_failed, "certificate expired on " + peer.expiry_text());
    if (now < peer.not_before()) return fail(Errc::tls_failed, "certificate is not valid yet");
    if (revoked(peer.serial()))
        return fail(Errc::tls_failed, "certificate is revoked (serial " + peer.serial() + ")");
    return success();
}

}  // namespace ctrlexec
