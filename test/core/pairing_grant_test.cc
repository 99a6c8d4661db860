#include "core/pairing_grant.h"

#include <doctest/doctest.h>

#include <string>

#include "core/authority.h"
#include "core/csr.h"
#include "core/digest.h"
#include "core/rotation_state.h"
#include "core/timestamp.h"
#include "test/core/crypto_fixture.h"
#include "test/temp_dir.h"

using namespace ctrlexec;
using ctrlexec::test::new_ec_key;
using ctrlexec::testing::TempDir;

namespace {

// A dispatcher that has been rotated.
class Dispatcher {
  public:
    Dispatcher() {
        config.ca_dir = dir / "ca";
        config.ca = config.ca_dir + "/ca.crt";
        config.state_dir = dir / "state";
        config.cert = dir / "ctrl-exec.crt";
        config.key = dir / "ctrl-exec.key";
        REQUIRE(Authority::create(config.ca_dir, "", KeyType::ecdsa, 3650));
        in_use = issue(365, "");
        offered = issue(365, "kept");
        state.current_serial = in_use;
        state.kept = {offered};
        state.overlap_expires = now + 1;
    }
    // Returns the serial; `kept`: in the files of a certificate that is kept.
    std::string issue(int days, std::string_view kept) const {
        const PrivateKey key = new_ec_key();
        auto authority = Authority::open(config.ca_dir, "");
        const auto csr = CertificateRequest::create(key, "ctrl-exec");
        REQUIRE(csr);
        const auto made = authority->issue(*csr, "ctrl-exec", days, now);
        REQUIRE(made);
        const std::string end = kept.empty() ? "" : "." + made->serial();
        REQUIRE(write_file_atomic(config.cert + end, made->to_pem(), 0644));
        REQUIRE(write_file_atomic(config.key + end, key.to_pem(), 0600));
        return made->serial();
    }
    // The word for it, or "refused".
    std::string check(const std::string& serial) const {
        REQUIRE(state.save(config.rotation_file()));
        PairingRequest request;
        request.version = 2;
        request.dispatcher_serial = serial;
        request.ca_digest = to_hex(sha256(Certificate::from_file(config.ca)->to_pem()));
        const auto checked = check_offer(config, request, now);
        if (!checked) CHECK(checked.error().code == Errc::busy);
        return checked ? *checked : "refused";
    }

    const TempDir dir;
    const std::int64_t now = now_seconds();
    DispatcherConfig config;
    RotationState state;
    std::string in_use, offered;
};

}  // namespace

TEST_CASE("an offer holds while the certificate that it named is in use, or kept by a rotation") {
    Dispatcher d;
    CHECK(d.check(d.in_use) == "current");
    CHECK(d.check(d.offered) == "pending");
    CHECK(d.check("ab") == "refused");
    d.state.overlap_expires = d.now;  // over
    CHECK(d.check(d.offered) == "refused");
    d.state.current_serial = d.offered;  // killed between the switch and its record
    d.state.pending_serial = d.in_use;
    CHECK(d.check(d.offered) == "pending");
}

TEST_CASE("an offer ends with what could introduce the certificate in use") {
    Dispatcher d;
    const std::string ending = d.issue(1, "kept");
    d.state.kept.push_back(ending);
    CHECK(d.check(ending) == "refused");
    REQUIRE(remove_file(d.config.key + "." + d.offered));
    CHECK(d.check(d.offered) == "refused");
}

TEST_CASE("an offer ends when its certificate is revoked, or the dispatcher is set up anew") {
    Dispatcher d;
    d.dir.put("ca/revoked-serials", d.offered + "\n");
    CHECK(d.check(d.offered) == "refused");
    REQUIRE(remove_file(d.config.revoked_serials()));
    CHECK(d.check(d.offered) == "pending");
    d.in_use = d.issue(365, "");
    CHECK(d.check(d.in_use) == "current");
    CHECK(d.check(d.offered) == "refused");
}

TEST_CASE("an offer of another CA does not hold, and one of version 1 was never made") {
    const Dispatcher d;
    PairingRequest request;
    request.version = 2;
    request.dispatcher_serial = d.in_use;
    request.ca_digest = std::string(64, '0');
    CHECK(check_offer(d.config, request, d.now).error().code == Errc::busy);
    request.version = 1;
    CHECK(*check_offer(d.config, request, d.now) == "current");
}
