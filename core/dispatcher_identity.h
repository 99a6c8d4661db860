// The identity of a dispatcher.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/dispatcher_config.h"
#include "core/identity.h"
#include "core/result.h"

namespace ctrlexec {

// Reads the three files; the key must be the certificate's. Errc::config with the command that makes it when
// one of them is missing. Key and certificate are replaced one after the other when the certificate is
// rotated (core/dispatcher_rotation): a reader meets the old pair or the new one, whatever happens meanwhile.
Result<Identity> load_dispatcher_identity(const DispatcherConfig& config);

// The certificate alone, for those who only name it to others.
Result<Certificate> load_dispatcher_certificate(const DispatcherConfig& config);

// When the files of the identity and the list of revoked serials were last written: differs when one has
// changed.
std::vector<std::int64_t> identity_stamp(const DispatcherConfig& config);

// KEY.next and CERT.next, which a rotation has staged. Errc::not_found when there are none.
Result<Identity> load_staged_identity(const DispatcherConfig& config);

// A pair in other files, with the CA of the configuration. Errc::crypto when they do not belong together.
Result<Identity> load_identity_files(const DispatcherConfig& config, const std::string& certificate,
                                     const std::string& key);

}  // namespace ctrlexec
