// What a side proves itself with in mutual TLS, and whom it believes.
#pragma once

#include <cstdint>

#include "core/certificate.h"
#include "core/key.h"
#include "core/result.h"

namespace ctrlexec {

struct Identity {
    Certificate certificate;
    PrivateKey key;  // the certificate's
    Certificate authority;

    // Whether the certificate is valid at `now` (epoch seconds) under this CA.
    Result<void> verify(std::int64_t now) const { return certificate.verify(authority, now); }
};

}  // namespace ctrlexec
