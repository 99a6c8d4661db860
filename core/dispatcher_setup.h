// What a new dispatcher needs: the CA, and its own key and certificate. Safe to be done by several processes
// at the same time, and again after a kill at any point.
#pragma once

#include "core/certificate.h"
#include "core/dispatcher_config.h"
#include "core/file.h"
#include "core/result.h"

namespace ctrlexec {

inline constexpr int default_ca_days = 3650;

struct SetupResult {
    Certificate certificate;
    bool kept = false;      // it was there before
    bool used_key = false;  // made for a key that was there before
};

// Makes the CA in ca_dir. With `keep` a ca.crt that is there and can be read is success; else Errc::exists.
Result<SetupResult> set_up_authority(const DispatcherConfig& config, bool keep, int days = default_ca_days);

// A new ca.crt of the same key and name, for `days` from now, in ca_dir and, when that is another file of the
// same CA, in `ca`. Errc::config when that would not end later than the present one.
Result<Certificate> renew_authority(const DispatcherConfig& config, int days);

// Makes key and certificate where none are, never overwriting. A certificate without its key, or agents that
// know a certificate of which only the key is left, is Errc::config with the remedy; a key alone and no
// agents is what a killed setup leaves, and is completed.
Result<SetupResult> set_up_dispatcher_certificate(const DispatcherConfig& config);

// Of all that make a CA or a dispatcher's certificate; Authority has a lock of its own for serial numbers.
Result<FileLock> lock_setup(const DispatcherConfig& config);

inline constexpr int dispatcher_days = 825;

// Signs a certificate for the dispatcher; writes nothing but ca.serial.
Result<Certificate> issue_dispatcher_certificate(const DispatcherConfig& config, const PrivateKey& key);

// A new key and certificate, whatever is there.
Result<SetupResult> replace_dispatcher_certificate(const DispatcherConfig& config);

}  // namespace ctrlexec
