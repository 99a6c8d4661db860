// ca.key, which may be under a passphrase that the file `ca_passphrase_file` holds.
#pragma once

#include <string>

#include "core/key.h"
#include "core/result.h"

namespace ctrlexec {

// An encrypted key needs `passphrase_file`: its first line is the passphrase, and not everybody may read it.
// A key that is not encrypted is read whether or not one is named. Errc::not_found when `path` is missing,
// Errc::config when the passphrase is missing or wrong.
Result<PrivateKey> load_ca_key(const std::string& path, const std::string& passphrase_file);

// What to write to ca.key: encrypted when there is a passphrase file.
Result<std::string> ca_key_pem(const PrivateKey& key, const std::string& passphrase_file);

}  // namespace ctrlexec
