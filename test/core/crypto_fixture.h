// What the tests of keys and certificates share: a directory of their own, the fixture files, and
// certificates that the program itself would never make.
#pragma once

#include <openssl/base.h>
#include <openssl/nid.h>
#include <sys/types.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/certificate.h"
#include "core/csr.h"
#include "core/key.h"

namespace ctrlexec::test {

class TempDir {
  public:
    TempDir();
    TempDir(const TempDir&) = delete;
    TempDir& operator=(const TempDir&) = delete;
    ~TempDir();

    std::string file(std::string_view name) const;
    void put(std::string_view name, std::string_view content, mode_t mode) const;
    std::string content(std::string_view name) const;
    mode_t mode(std::string_view name) const;

  private:
    std::string path_;
};

// The file's content; `name` is relative to test/data.
std::string data(const std::string& name);

PrivateKey key_from(const std::string& name);
Certificate certificate_from(const std::string& name);
PrivateKey new_ec_key();

// The three kinds of keys we work with.
struct KeyOfKind {
    std::string kind;
    PrivateKey key;
};

std::vector<KeyOfKind> one_key_of_each_kind();

inline constexpr std::int64_t noon = 1'800'000'000;  // a fixed "now" for certificates made here
inline constexpr std::int64_t day = 86400;

struct Recipe {
    std::vector<std::string> common_names{"web-01"};  // raw bytes
    std::string serial = "1234";                      // hex, "-" makes it negative
    std::int64_t not_before = noon - day;
    std::int64_t not_after = noon + day;
    std::vector<std::pair<int, std::string>> extensions;  // NID, OpenSSL's configuration text; none: X.509 v1
};

inline const std::pair<int, std::string> ca_true{NID_basic_constraints, "critical,CA:TRUE"};

Certificate make_certificate(const Recipe& recipe, const PrivateKey& key, const std::string& issuer,
                             const PrivateKey& issuer_key);
Certificate make_self_signed(const Recipe& recipe, const PrivateKey& key);
Certificate make_ca(const PrivateKey& key, const std::string& name = "Test CA");

// PEM text of a request with these raw common names, validly signed.
std::string make_request(const std::vector<std::string>& common_names, const PrivateKey& key);

std::string to_pem(const std::string& label, std::string_view der);
std::string from_pem(std::string_view pem);  // DER of the first block

// OpenSSL's text of one extension, "critical " in front when it is; "" when there is none.
std::string extension(const Certificate& certificate, int nid);

}  // namespace ctrlexec::test
