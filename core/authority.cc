#include "core/authority.h"

#include <fmt/format.h>
#include <openssl/evp.h>
#include <openssl/x509.h>

#include <algorithm>
#include <string_view>
#include <utility>

#include "core/ca_key.h"
#include "core/certificate_builder.h"
#include "core/digest.h"
#include "core/file.h"
#include "core/leftovers.h"
#include "core/openssl_support.h"
#include "core/serial.h"
#include "core/timestamp.h"

namespace ctrlexec {
namespace {

constexpr std::int64_t seconds_per_day = 86400;
constexpr std::int64_t clock_skew = 600;  // seconds a peer's clock may be behind ours

struct Paths {
    explicit Paths(const std::string& directory)
        : key(directory + "/ca.key"), certificate(directory + "/ca.crt"), serial(directory + "/ca.serial") {}
    std::string key, certificate, serial;
};

Result<FileLock> lock(const Paths& paths) {
    return FileLock::acquire(paths.serial + ".lock", FileLock::Wait::yes);
}

// Uniqueness rests on chance, not on a counter: a directory restored from an old backup must not repeat
// numbers. The first byte keeps the text free of leading zeros and the ASN.1 integer positive, also after the
// old program has counted on from it.
std::string random_serial() {
    constexpr std::size_t octets = 16;
    for (;;) {
        std::string serial = random_hex(octets);
        if (serial[0] >= '1' && serial[0] <= '7') return serial;
    }
}

// What is there belongs to the old program as well; a file that neither of us wrote is not ours to replace.
Result<void> check_serial_file(const std::string& path) {
    constexpr std::size_t max_bytes = 1024;
    auto text = read_file(path, max_bytes);
    if (!text && text.error().code == Errc::not_found) return success();
    if (!text && text.error().code != Errc::too_large) return std::move(text).error();
    if (text) {
        const std::string_view all = text.value();
        const std::size_t last = all.find_last_not_of(" \t\r\n");
        if (last != std::string_view::npos && normalize_serial(all.substr(0, last + 1))) return success();
    }
    return fail(Errc::crypto,
                fmt::format("{}: not a serial number in hexadecimal; restore it from a backup, or move it "
                            "away: a new one is made then",
                            path));
}

// A new serial, durable in ca.serial. The caller holds the lock.
Result<std::string> next_serial(const Paths& paths) {
    TRY_DO(check_serial_file(paths.serial));
    TRY_DO(remove_leftovers(paths.serial, 0));
    std::string serial = random_serial();
    TRY_DO(write_file_atomic(paths.serial, serial + "\n", 0600));
    return serial;
}

Result<void> check_days(int days) {
    constexpr int max_days = 36500;
    if (days >= 1 && days <= max_days) return success();
    return fail(Errc::config,
                fmt::format("a certificate's validity must be 1 to {} days, not {}", max_days, days));
}

Result<void> check_dates(const Certificate& authority, const std::string& path, std::int64_t now) {
    if (now < authority.not_before()) {
        return fail(Errc::crypto, fmt::format("{} is not valid before {}: is this machine's clock wrong?",
                                              path, openssl_time(authority.not_before())));
    }
    if (now >= authority.not_after()) {
        return fail(Errc::crypto,
                    fmt::format("{} has expired ({}): renew it with `ctrl-exec-dispatcher renew-ca`", path,
                                authority.expiry_text()));
    }
    return success();
}

Error already_there(const Paths& paths) {
    return fail(Errc::exists,
                fmt::format("{} exists and is kept: every paired agent depends on this CA; to start over, "
                            "move ca.key, ca.crt and ca.serial away and pair all agents again",
                            paths.certificate));
}

// An existing key is used, whatever its type: it may be the only copy of the CA that agents trust.
Result<PrivateKey> existing_or_new_key(const std::string& path, const std::string& passphrase_file,
                                       KeyType type) {
    if (file_exists(path)) return load_ca_key(path, passphrase_file);
    TRY(PrivateKey key, PrivateKey::generate(type));
    TRY(const std::string pem, ca_key_pem(key, passphrase_file));
    TRY_DO(create_file_atomic(path, pem, 0600));
    return key;
}

}  // namespace

Authority::Authority(std::string directory, PrivateKey key, Certificate certificate)
    : directory_(std::move(directory)), key_(std::move(key)), certificate_(std::move(certificate)) {}

Result<Authority> Authority::create(const std::string& directory, const std::string& passphrase_file,
                                    KeyType type, int days) {
    const Paths paths(directory);
    TRY_DO(check_days(days));
    if (file_exists(paths.certificate)) return already_there(paths);
    TRY_DO(make_directories(directory, 0755));
    TRY(const FileLock held, lock(paths));
    if (file_exists(paths.certificate)) return already_there(paths);
    TRY_DO(remove_leftovers(paths.key, 0));
    TRY_DO(remove_leftovers(paths.certificate, 0));
    TRY(PrivateKey key, existing_or_new_key(paths.key, passphrase_file, type));
    const std::int64_t now = now_seconds();
    TRY(std::string serial, next_serial(paths));
    const CertificateFields fields{"ctrl-exec CA", std::move(serial), now - clock_skew,
                                   now + days * seconds_per_day};
    TRY(bssl::UniquePtr<X509> built, build_authority(fields, key.native()));
    Certificate certificate = Certificate::from_native(built.release());
    // Last: without ca.crt the directory is no CA yet, so a crash before this line only means to start again.
    TRY_DO(create_file_atomic(paths.certificate, certificate.to_pem(), 0644));
    return Authority(directory, std::move(key), std::move(certificate));
}

Result<Authority> Authority::open(const std::string& directory, const std::string& passphrase_file) {
    const Paths paths(directory);
    auto certificate = Certificate::from_file(paths.certificate);
    if (!certificate && certificate.error().code == Errc::not_found) {
        return fail(Errc::config,
                    fmt::format("{} is not there: make the CA with `ctrl-exec-dispatcher setup-ca`",
                                paths.certificate));
    }
    if (!certificate) return std::move(certificate).error();
    if (const std::string problem = authority_problem(certificate->native()); !problem.empty()) {
        return fail(Errc::crypto, fmt::format("{} {}; restore it from a backup", paths.certificate, problem));
    }
    auto key = load_ca_key(paths.key, passphrase_file);
    if (!key && key.error().code == Errc::not_found) {
        return fail(Errc::config,
                    fmt::format("{} is not there, and {} is of no use without it: restore it from a "
                                "backup",
                                paths.key, paths.certificate));
    }
    if (!key) return std::move(key).error();
    if (!certificate->holds_key_of(*key)) {
        return fail(Errc::crypto, fmt::format("{} does not belong to {}: restore both from the same backup",
                                              paths.key, paths.certificate));
    }
    return Authority(directory, std::move(*key), std::move(*certificate));
}

Result<Certificate> Authority::issue(const CertificateRequest& request, const std::string& common_name,
                                     int days, std::int64_t now) {
    const Paths paths(directory_);
    TRY_DO(check_days(days));
    TRY_DO(check_dates(certificate_, paths.certificate, now));
    const bssl::UniquePtr<EVP_PKEY> subject_key(X509_REQ_get_pubkey(request.native()));
    CertificateFields fields{common_name, "", now - clock_skew,
                             std::min(now + days * seconds_per_day, certificate_.not_after())};
    {
        TRY(const FileLock held, lock(paths));
        TRY(fields.serial, next_serial(paths));
    }
    TRY(bssl::UniquePtr<X509> built,
        build_leaf(fields, subject_key.get(), certificate_.native(), key_.native()));
    return Certificate::from_native(built.release());
}

Result<Certificate> Authority::renewed(int days, std::int64_t now) {
    const Paths paths(directory_);
    TRY_DO(check_days(days));
    if (X509_verify(certificate_.native(), key_.native()) != 1) {
        take_crypto_error();
        return fail(Errc::config, fmt::format("{} is signed by another CA: have that one sign it again",
                                              paths.certificate));
    }
    CertificateFields fields{"", "", now - clock_skew, now + days * seconds_per_day};
    {
        TRY(const FileLock held, lock(paths));
        TRY(fields.serial, next_serial(paths));
    }
    TRY(bssl::UniquePtr<X509> built, rebuild_authority(fields, key_.native(), certificate_.native()));
    return Certificate::from_native(built.release());
}

}  // namespace ctrlexec
