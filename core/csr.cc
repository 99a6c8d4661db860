#include "core/csr.h"

#include <fmt/format.h>
#include <openssl/evp.h>
#include <openssl/mem.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <new>

#include "core/digest.h"
#include "core/openssl_support.h"

namespace ctrlexec {
namespace {

Error bad(std::string problem) {
    return crypto_failure(Errc::bad_request, "certificate request: " + problem);
}

Result<void> check(X509_REQ* request) {
    const bssl::UniquePtr<EVP_PKEY> key(X509_REQ_get_pubkey(request));
    if (const std::string problem = key_problem(key.get()); !problem.empty())
        return bad("it holds " + problem);
    if (X509_REQ_verify(request, key.get()) != 1) return bad("its signature is not of the key it holds");
    if (!common_name_of(X509_REQ_get_subject_name(request))) {
        return bad("its common name is ambiguous (several, or with control characters)");
    }
    return success();
}

}  // namespace

void CertificateRequest::Free::operator()(X509_req_st* request) const {
    X509_REQ_free(request);
}

Result<CertificateRequest> CertificateRequest::create(const PrivateKey& key, const std::string& common_name) {
    bssl::UniquePtr<X509_REQ> request(X509_REQ_new());
    if (!request || X509_REQ_set_version(request.get(), X509_REQ_VERSION_1) != 1 ||
        X509_REQ_set_pubkey(request.get(), key.native()) != 1) {
        return crypto_failure(Errc::internal, "cannot make a certificate request");
    }
    TRY_DO(set_common_name(X509_REQ_get_subject_name(request.get()), common_name));
    if (X509_REQ_sign(request.get(), key.native(), signature_digest(key.native())) <= 0) {
        return crypto_failure(Errc::internal, "cannot sign a certificate request");
    }
    return CertificateRequest(request.release());
}

Result<CertificateRequest> CertificateRequest::from_pem(std::string_view pem) {
    auto block = read_pem(pem, "certificate request", max_csr_bytes);
    if (!block) {
        const Errc code = block.error().code == Errc::too_large ? Errc::too_large : Errc::bad_request;
        return fail(code, block.error().message, block.error().detail);
    }
    if (block->label != "CERTIFICATE REQUEST" && block->label != "NEW CERTIFICATE REQUEST") {
        return bad("the PEM block is something else");
    }
    const std::uint8_t* end = block->der.get();
    bssl::UniquePtr<X509_REQ> request(d2i_X509_REQ(nullptr, &end, static_cast<long>(block->size)));
    if (!request || end != block->der.get() + block->size) return bad("not valid PKCS#10");
    TRY_DO(check(request.get()));
    return CertificateRequest(request.release());
}

std::string CertificateRequest::to_pem() const {
    return written_pem([this](BIO* bio) { return PEM_write_bio_X509_REQ(bio, request_.get()); });
}

std::string CertificateRequest::der() const {
    std::uint8_t* bytes = nullptr;
    const int size = i2d_X509_REQ(request_.get(), &bytes);
    const bssl::UniquePtr<std::uint8_t> owned(bytes);
    if (size < 0) throw std::bad_alloc();
    return {reinterpret_cast<const char*>(bytes), static_cast<std::size_t>(size)};
}

std::string CertificateRequest::common_name() const {
    return common_name_of(X509_REQ_get_subject_name(request_.get())).value_or("");
}

std::string CertificateRequest::spki_der() const {
    const bssl::UniquePtr<EVP_PKEY> key(X509_REQ_get_pubkey(request_.get()));
    return spki_of(key.get());
}

std::string pairing_code(std::string_view csr_pem) {
    const auto digest = sha256(csr_pem);
    std::uint32_t number = 0;
    for (std::size_t i = 0; i < 4; ++i) number = (number << 8) | digest[i];
    return fmt::format("{:06}", number % 1'000'000);
}

}  // namespace ctrlexec
