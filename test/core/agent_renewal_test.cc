#include "core/agent_renewal.h"

#include <doctest/doctest.h>

#include "test/core/crypto_fixture.h"

using namespace ctrlexec;
using namespace ctrlexec::test;

namespace {

struct World {
    PrivateKey ca_key = new_ec_key();
    PrivateKey key = new_ec_key();
    Certificate ca = self_signed(noon + 1000 * day);
    Certificate present = leaf(noon + day);

    Certificate self_signed(std::int64_t end) const {
        Recipe recipe;
        recipe.common_names = {"Test CA"};
        recipe.not_after = end;
        recipe.extensions.push_back(ca_true);
        return make_self_signed(recipe, ca_key);
    }
    Certificate leaf(std::int64_t end, const std::string& name = "web-01",
                     std::int64_t start = noon - day) const {
        Recipe recipe;
        recipe.common_names = {name};
        recipe.not_before = start;
        recipe.not_after = end;
        return make_certificate(recipe, key, "Test CA", ca_key);
    }
    Identity identity() const {
        return {*Certificate::from_pem(present.to_pem(), "x"), *PrivateKey::from_pem(key.to_pem(), "x"),
                *Certificate::from_pem(ca.to_pem(), "x")};
    }
    Result<Renewal> check(const Certificate& offered, const Certificate& authority) const {
        return check_renewal(identity(), offered.to_pem(), authority.to_pem(), noon);
    }
    std::string refusal(const Certificate& offered, const Certificate& authority) const {
        const auto checked = check(offered, authority);
        REQUIRE_FALSE(checked);
        return checked.error().message;
    }
};

}  // namespace

TEST_CASE("a longer certificate for the same key and name is a renewal") {
    const World world;
    const Certificate longer = world.leaf(noon + 2 * day);
    const auto renewal = world.check(longer, world.ca);
    REQUIRE_MESSAGE(renewal, (renewal ? "" : renewal.error().text()));
    CHECK(renewal->certificate);
    CHECK_FALSE(renewal->authority);
    CHECK(renewal->identity.certificate.der() == longer.der());
}

TEST_CASE("the very certificate that is there changes nothing, and an older one is refused") {
    const World world;
    const auto same = world.check(world.present, world.ca);
    REQUIRE(same);
    CHECK_FALSE(same->certificate);
    CHECK(world.refusal(world.leaf(noon + day), world.ca).starts_with("the certificate is not newer"));
    CHECK(world.refusal(world.leaf(noon + day - 1), world.ca).starts_with("the certificate is not newer"));
}

TEST_CASE("what is not for this agent, or not valid now, is no renewal") {
    const World world;
    World stranger;
    CHECK(world.refusal(stranger.leaf(noon + 2 * day), world.ca) ==
          "the certificate is not for this agent's key");
    CHECK(world.refusal(world.leaf(noon + 2 * day, "web-02"), world.ca) ==
          "the certificate is for another name");
    CHECK(world.refusal(world.leaf(noon - 1), world.ca).find("has expired") != std::string::npos);
    CHECK(world.refusal(world.leaf(noon + 2 * day, "web-01", noon + 1), world.ca).find("not valid before") !=
          std::string::npos);
    CHECK(world.refusal(world.leaf(noon + 2 * day), stranger.ca).starts_with("the CA has another key"));
    Recipe recipe;
    recipe.not_after = noon + 2 * day;
    const Certificate forged = make_certificate(recipe, world.key, "Test CA", stranger.ca_key);
    CHECK(world.refusal(forged, world.ca).find("another CA") != std::string::npos);
}

TEST_CASE("a CA renewed with its key is taken, an older one is not") {
    const World world;
    const Certificate renewed = world.self_signed(noon + 2000 * day);
    const auto both = world.check(world.leaf(noon + 2 * day), renewed);
    REQUIRE_MESSAGE(both, (both ? "" : both.error().text()));
    CHECK(both->authority);
    CHECK(both->identity.authority.der() == renewed.der());
    const auto alone = world.check(world.present, renewed);
    REQUIRE(alone);
    CHECK(alone->authority);
    CHECK_FALSE(alone->certificate);
    const auto older = world.check(world.leaf(noon + 2 * day), world.self_signed(noon + 5 * day));
    REQUIRE(older);
    CHECK_FALSE(older->authority);
    CHECK(older->identity.authority.der() == world.ca.der());
}

TEST_CASE("garbage is refused with a word about which of the two it is") {
    const World world;
    const std::string good = world.leaf(noon + 2 * day).to_pem();
    for (const std::string& text : {std::string(), std::string("nonsense"), good + good, world.key.to_pem(),
                                    std::string(1u << 20, 'x')}) {
        CHECK(check_renewal(world.identity(), text, world.ca.to_pem(), noon)
                  .error()
                  .message.starts_with("the certificate"));
        CHECK(check_renewal(world.identity(), good, text, noon).error().message.starts_with("the CA"));
    }
}
