// Usage: handshake-rate SECONDS full|resumed
// How many mutual TLS 1.3 handshakes with P-256 certificates one thread does in a second, both ends, in
// memory, with our TLS settings: prints the rate. The yardstick for what it can cost on this machine to reach
// an agent.
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string_view>

#include "core/certificate_builder.h"
#include "core/digest.h"
#include "core/timestamp.h"
#include "net/tls_context.h"

namespace {

using namespace ctrlexec;

constexpr std::size_t pair_bytes = 17 * 1024;  // as Asio's own pairs, about
constexpr std::int64_t day = 86400;

CertificateFields fields_of(std::string name) {
    CertificateFields fields;
    fields.common_name = std::move(name);
    fields.serial = "5e" + random_hex(15);
    fields.not_before = now_seconds() - day;
    fields.not_after = now_seconds() + day;
    return fields;
}

Result<std::shared_ptr<TlsContext>> context_of(TlsContext::Role role, const Certificate& authority,
                                               const PrivateKey& authority_key) {
    TRY(PrivateKey key, PrivateKey::generate(KeyType::ecdsa));
    const CertificateFields fields = fields_of("localhost");
    TRY(auto leaf, build_leaf(fields, key.native(), authority.native(), authority_key.native()));
    const Certificate certificate = Certificate::from_native(leaf.release());
    TlsContext::Options options;
    options.role = role;
    options.certificate = &certificate;
    options.key = &key;
    options.authority = &authority;
    return TlsContext::create(options);
}

bssl::UniquePtr<SSL_SESSION> ticket;  // the last one that a client got

int keep_ticket(SSL*, SSL_SESSION* session) {
    ticket.reset(session);
    return 1;  // it is ours now
}

// Whether tickets are issued depends on what is measured, not on what the program does.
void set_tickets(SSL_CTX* server, SSL_CTX* client, bool wanted) {
    for (SSL_CTX* context : {server, client}) {
        if (wanted) {
            SSL_CTX_clear_options(context, SSL_OP_NO_TICKET);
        } else {
            SSL_CTX_set_options(context, SSL_OP_NO_TICKET);
        }
    }
    constexpr std::string_view id = "bench";
    SSL_CTX_set_session_id_context(server, reinterpret_cast<const std::uint8_t*>(id.data()), id.size());
    SSL_CTX_set_session_cache_mode(
        client, wanted ? SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL : SSL_SESS_CACHE_OFF);
    SSL_CTX_sess_set_new_cb(client, keep_ticket);
}

// False when it fails, or is not `resumed` as it should be.
bool shake_hands(SSL_CTX* server_context, SSL_CTX* client_context, SSL_SESSION* session, bool read_ticket) {
    const bssl::UniquePtr<SSL> server(SSL_new(server_context)), client(SSL_new(client_context));
    BIO *one = nullptr, *other = nullptr;
    if (!server || !client || BIO_new_bio_pair(&one, pair_bytes, &other, pair_bytes) != 1) return false;
    SSL_set_bio(server.get(), one, one);
    SSL_set_bio(client.get(), other, other);
    SSL_set_accept_state(server.get());
    SSL_set_connect_state(client.get());
    if (session != nullptr) SSL_set_session(client.get(), session);
    for (int turn = 0; SSL_in_init(client.get()) != 0 || SSL_in_init(server.get()) != 0; ++turn) {
        if (turn > 10) return false;
        for (SSL* side : {client.get(), server.get()}) {
            const int done = SSL_do_handshake(side);
            if (done != 1 && SSL_get_error(side, done) != SSL_ERROR_WANT_READ) return false;
        }
    }
    char byte = 0;
    // Tickets leave with the first thing that is written.
    if (read_ticket && (SSL_write(server.get(), "", 1) != 1 || SSL_read(client.get(), &byte, 1) != 1))
        return false;
    return (SSL_session_reused(client.get()) != 0) == (session != nullptr);
}

Result<double> rate(double seconds, bool resumed) {
    using Clock = std::chrono::steady_clock;
    TRY(const PrivateKey key, PrivateKey::generate(KeyType::ecdsa));
    const CertificateFields fields = fields_of("CA");
    TRY(auto built, build_authority(fields, key.native()));
    const Certificate authority = Certificate::from_native(built.release());
    TRY(const auto server, context_of(TlsContext::Role::server, authority, key));
    TRY(const auto client, context_of(TlsContext::Role::client, authority, key));
    SSL_CTX* to = server->native().native_handle();
    SSL_CTX* from = client->native().native_handle();
    set_tickets(to, from, resumed);
    if (resumed && (!shake_hands(to, from, nullptr, true) || !ticket))
        return fail(Errc::tls_failed, "no ticket was issued");
    const bssl::UniquePtr<SSL_SESSION> session = std::move(ticket);
    const auto start = Clock::now();
    long count = 0;
    double passed = 0;
    do {
        if (!shake_hands(to, from, session.get(), false))
            return fail(Errc::tls_failed, "a handshake has failed or was not resumed as it should be");
        ++count;
        passed = std::chrono::duration<double>(Clock::now() - start).count();
    } while (passed < seconds);
    return static_cast<double>(count) / passed;
}

}  // namespace

int main(int argc, char** argv) {
    const double seconds = argc == 3 ? std::atof(argv[1]) : 0;
    const std::string_view kind = argc == 3 ? argv[2] : "";
    if (seconds <= 0 || seconds > 60 || (kind != "full" && kind != "resumed")) return 2;
    const auto measured = rate(seconds, kind == "resumed");
    if (!measured) {
        std::fprintf(stderr, "handshake-rate: %s\n", measured.error().text().c_str());
        return 1;
    }
    std::printf("%.1f\n", *measured);
    return 0;
}
