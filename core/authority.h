// The deployment's own certificate authority: ca.key (0600), ca.crt (0644), ca.serial (0600) in one
// directory.
#pragma once

#include <cstdint>
#include <string>

#include "core/certificate.h"
#include "core/csr.h"
#include "core/key.h"
#include "core/result.h"

namespace ctrlexec {

class Authority {
  public:
    // Makes the CA: CN=ctrl-exec CA, X.509 v3, CA:TRUE, pathlen 0, keyCertSign and cRLSign, SKI. Errc::exists
    // when ca.crt is there. A ca.key without ca.crt (restored from a backup or a secrets manager, or left by
    // a crash) is used, never replaced.
    // `passphrase_file`: see core/ca_key.h; "" for none.
    static Result<Authority> create(const std::string& directory, const std::string& passphrase_file,
                                    KeyType type, int days);

    // Errc::config with the remedy (`setup-ca`) when there is none; checks that key and certificate match.
    static Result<Authority> open(const std::string& directory, const std::string& passphrase_file);

    // Signs a leaf: v3, subject CN=common_name, DNS SAN of it when it is a host name and IP SAN when it is an
    // address, client and server EKU, digitalSignature, notBefore 10 minutes back, never past the CA's own
    // end. The serial is random, 128 bits, first byte 0x10-0x7f; it is written to ca.serial (the last number
    // used, for the old program) before the signature is made, under the lock ca.serial.lock.
    Result<Certificate> issue(const CertificateRequest& request, const std::string& common_name, int days,
                              std::int64_t now);

    // A new certificate of the same key and name, with new dates and a new serial; nothing is written but
    // ca.serial. Whatever this CA has signed is valid under the new one too. Errc::config when another CA has
    // signed ours.
    Result<Certificate> renewed(int days, std::int64_t now);

    const Certificate& certificate() const { return certificate_; }

  private:
    Authority(std::string directory, PrivateKey key, Certificate certificate);
    std::string directory_;
    PrivateKey key_;
    Certificate certificate_;
};

}  // namespace ctrlexec
