// What a TLS connection of ours needs: versions, suites, our certificate, whom we accept.
#pragma once

#include <asio/ssl/context.hpp>
#include <memory>
#include <optional>
#include <string>

#include "core/identity.h"
#include "core/result.h"
#include "core/serial_list.h"

namespace ctrlexec {

class TlsContext {
  public:
    enum class Role { server, client };

    struct Options {
        Role role = Role::server;
        const Certificate* certificate = nullptr;  // ours; with `key`
        const PrivateKey* key = nullptr;
        const Certificate* authority = nullptr;  // null: the peer is not asked for a certificate (server) or
                                                 // not checked (client: pairing, where no trust exists yet)
        std::shared_ptr<const SerialList> revoked;  // refused in the handshake; null: none
        // Sessions are resumed (RFC 8446, section 2.2), only between two of ours: a client says what it is by
        // ALPN, and a server gives tickets to nobody else. A server's can be used until its context goes.
        bool resumption = false;
    };

    // TLS 1.2 and 1.3; for 1.2 only ECDHE with AES-GCM. A peer's certificate is verified by
    // Certificate::verify against `authority`, never against a host name; TlsStream looks at that of a
    // resumed session, since BoringSSL does not. No renegotiation, no compression.
    static Result<std::shared_ptr<TlsContext>> create(const Options& options);
    static Result<std::shared_ptr<TlsContext>> create(Role role, const Identity& identity);  // mutual TLS
    // As of an agent: mutual TLS, with resumption.
    static Result<std::shared_ptr<TlsContext>> create_agent(const Identity& identity);

    asio::ssl::context& native() { return context_; }
    const std::optional<Certificate>& authority() const { return authority_; }
    bool revoked(const std::string& serial) const { return revoked_ && revoked_->contains(serial); }
    bool resumption() const { return resumption_; }

    // Whether a peer is to be believed now; Errc::tls_failed and why not.
    Result<void> check(const Certificate& peer) const;
    // The same for one whose signature was found good by a context with this authority: nothing but time and
    // the list of the revoked can have changed that.
    Result<void> check_again(const Certificate& peer) const;

  private:
    TlsContext();
    asio::ssl::context context_;
    std::optional<Certificate> authority_;
    std::shared_ptr<const SerialList> revoked_;
    bool resumption_ = false;
};

}  // namespace ctrlexec
