#include "test/core/crypto_fixture.h"

#include <doctest/doctest.h>
#include <openssl/asn1.h>
#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/evp.h>
#include <openssl/mem.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "core/openssl_support.h"

namespace ctrlexec::test {
namespace {

std::string slurp(const std::string& path) {
    std::ifstream in(path, std::ios::binary);
    REQUIRE_MESSAGE(in.good(), path);
    std::ostringstream text;
    text << in.rdbuf();
    return text.str();
}

void add_names(X509_NAME* name, const std::vector<std::string>& common_names) {
    for (const std::string& text : common_names) {
        const auto* bytes = reinterpret_cast<const std::uint8_t*>(text.data());
        REQUIRE(X509_NAME_add_entry_by_NID(name, NID_commonName, V_ASN1_UTF8STRING, bytes,
                                           static_cast<ossl_ssize_t>(text.size()), -1, 0) == 1);
    }
}

void add_extensions(X509* certificate, const Recipe& recipe) {
    X509V3_CTX context;
    X509V3_set_ctx(&context, certificate, certificate, nullptr, nullptr, 0);
    for (const auto& wanted : recipe.extensions) {
        const bssl::UniquePtr<X509_EXTENSION> extension(
            X509V3_EXT_nconf_nid(nullptr, &context, wanted.first, wanted.second.c_str()));
        REQUIRE_MESSAGE(extension, wanted.second);
        REQUIRE(X509_add_ext(certificate, extension.get(), -1) == 1);
    }
}

}  // namespace

TempDir::TempDir() {
    std::string pattern = (std::filesystem::temp_directory_path() / "ctrl-exec-test.XXXXXX").string();
    REQUIRE(::mkdtemp(pattern.data()) != nullptr);
    path_ = pattern;
}

TempDir::~TempDir() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
}

std::string TempDir::file(std::string_view name) const {
    return name.empty() ? path_ : path_ + "/" + std::string(name);
}

void TempDir::put(std::string_view name, std::string_view content, mode_t mode) const {
    std::ofstream(file(name), std::ios::binary) << content;
    REQUIRE(::chmod(file(name).c_str(), mode) == 0);
}

std::string TempDir::content(std::string_view name) const {
    return slurp(file(name));
}

mode_t TempDir::mode(std::string_view name) const {
    struct stat status {};
    REQUIRE(::stat(file(name).c_str(), &status) == 0);
    return status.st_mode & 07777u;
}

std::string data(const std::string& name) {
    return slurp(TEST_DATA_DIR "/" + name);
}

PrivateKey key_from(const std::string& name) {
    auto key = PrivateKey::from_pem(data(name), name);
    REQUIRE_MESSAGE(key, name);
    return std::move(*key);
}

Certificate certificate_from(const std::string& name) {
    auto certificate = Certificate::from_pem(data(name), name);
    REQUIRE_MESSAGE(certificate, name);
    return std::move(*certificate);
}

PrivateKey new_ec_key() {
    auto key = PrivateKey::generate(KeyType::ecdsa);
    REQUIRE(key);
    return std::move(*key);
}

std::vector<KeyOfKind> one_key_of_each_kind() {
    std::vector<KeyOfKind> keys;
    keys.push_back({"EC P-256", new_ec_key()});
    keys.push_back({"Ed25519", key_from("keys/ed25519.pem")});
    keys.push_back({"RSA", key_from("keys/rsa-2048.pem")});
    return keys;
}

Certificate make_certificate(const Recipe& recipe, const PrivateKey& key, const std::string& issuer,
                             const PrivateKey& issuer_key) {
    bssl::UniquePtr<X509> certificate(X509_new());
    X509* raw = certificate.get();
    BIGNUM* number = nullptr;
    REQUIRE(BN_hex2bn(&number, recipe.serial.c_str()) > 0);
    const bssl::UniquePtr<BIGNUM> owned(number);
    const bssl::UniquePtr<ASN1_INTEGER> serial(BN_to_ASN1_INTEGER(number, nullptr));
    REQUIRE(X509_set_serialNumber(raw, serial.get()) == 1);
    REQUIRE(X509_set_version(raw, recipe.extensions.empty() ? X509_VERSION_1 : X509_VERSION_3) == 1);
    REQUIRE(ASN1_TIME_set_posix(X509_getm_notBefore(raw), recipe.not_before) != nullptr);
    REQUIRE(ASN1_TIME_set_posix(X509_getm_notAfter(raw), recipe.not_after) != nullptr);
    add_names(X509_get_subject_name(raw), recipe.common_names);
    add_names(X509_get_issuer_name(raw), {issuer});
    REQUIRE(X509_set_pubkey(raw, key.native()) == 1);
    add_extensions(raw, recipe);
    REQUIRE(X509_sign(raw, issuer_key.native(), signature_digest(issuer_key.native())) > 0);
    return Certificate::from_native(certificate.release());
}

Certificate make_self_signed(const Recipe& recipe, const PrivateKey& key) {
    return make_certificate(recipe, key, recipe.common_names.at(0), key);
}

Certificate make_ca(const PrivateKey& key, const std::string& name) {
    Recipe recipe;
    recipe.common_names = {name};
    recipe.extensions = {ca_true};
    return make_self_signed(recipe, key);
}

std::string make_request(const std::vector<std::string>& common_names, const PrivateKey& key) {
    const bssl::UniquePtr<X509_REQ> request(X509_REQ_new());
    REQUIRE(X509_REQ_set_version(request.get(), X509_REQ_VERSION_1) == 1);
    REQUIRE(X509_REQ_set_pubkey(request.get(), key.native()) == 1);
    add_names(X509_REQ_get_subject_name(request.get()), common_names);
    REQUIRE(X509_REQ_sign(request.get(), key.native(), signature_digest(key.native())) > 0);
    return written_pem([&](BIO* bio) { return PEM_write_bio_X509_REQ(bio, request.get()); });
}

std::string to_pem(const std::string& label, std::string_view der) {
    return written_pem([&](BIO* bio) {
        return PEM_write_bio(bio, label.c_str(), "", reinterpret_cast<const std::uint8_t*>(der.data()),
                             static_cast<long>(der.size())) > 0;
    });
}

std::string from_pem(std::string_view pem) {
    auto block = read_pem(pem, "test");
    REQUIRE(block);
    return {reinterpret_cast<const char*>(block->der.get()), block->size};
}

std::string extension(const Certificate& certificate, int nid) {
    const int index = X509_get_ext_by_NID(certificate.native(), nid, -1);
    if (index < 0) return "";
    X509_EXTENSION* found = X509_get_ext(certificate.native(), index);
    const std::string text = written_pem([&](BIO* bio) { return X509V3_EXT_print(bio, found, 0, 0); });
    return (X509_EXTENSION_get_critical(found) != 0 ? "critical " : "") + text;
}

}  // namespace ctrlexec::test
