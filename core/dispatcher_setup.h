// What a new dispatcher needs: the CA, and its own key and certificate. Safe to be done by several processes
// at the same time, and again after a kill at any point.
#pragma once

#include "core/certificate.h"
#include "core/dispatcher_config.h"
#include "core/result.h"

namespace ctrlexec {

struct SetupResult {
    Certificate certificate;
    bool kept = false;      // it was there before
    bool used_key = false;  // made for a key that was there before
};

// Makes the CA in ca_dir. With `keep` a ca.crt that is there and can be read is success; else Errc::exists.
Result<SetupResult> set_up_authority(const DispatcherConfig& config, bool keep);

// Makes key and certificate where none are, never overwriting. A certificate without its key, or agents that
// know a certificate of which only the key is left, is Errc::config with the remedy; a key alone and no
// agents is what a killed setup leaves, and is completed.
Result<SetupResult> set_up_dispatcher_certificate(const DispatcherConfig& config);

// A new key and certificate, whatever is there.
Result<SetupResult> replace_dispatcher_certificate(const DispatcherConfig& config);

}  // namespace ctrlexec
