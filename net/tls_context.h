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
    };

    // TLS 1.2 and 1.3; for 1.2 only ECDHE with AES-GCM. A peer's certificate is verified by
    // Certificate::verify against `authority`, never against a host name. No renegotiation, no compression,
    // no tickets.
    static Result<std::shared_ptr<TlsContext>> create(const Options& options);
    static Result<std::shared_ptr<TlsContext>> create(Role role, const Identity& identity);  // mutual TLS

    asio::ssl::context& native() { return context_; }
    const std::optional<Certificate>& authority() const { return authority_; }
    bool revoked(const std::string& serial) const { return revoked_ && revoked_->contains(serial); }

  private:
    TlsContext();
    asio::ssl::context context_;
    std::optional<Certificate> authority_;
    std::shared_ptr<const SerialList> revoked_;
};

}  // namespace ctrlexec
