#include "core/ticket_store.h"

#include <doctest/doctest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "test/core/crypto_fixture.h"
#include "test/temp_dir.h"

using namespace ctrlexec;
using namespace ctrlexec::test;

namespace {

struct World {
    testing::TempDir directory;
    std::string path = directory.path() + "/tls-tickets";
    PrivateKey ca_key = new_ec_key();
    PrivateKey key = new_ec_key();
    Certificate ca = self_signed();
    Certificate certificate = leaf(key, noon + day);

    Certificate self_signed() const {
        Recipe recipe;
        recipe.common_names = {"Test CA"};
        recipe.extensions.push_back(ca_true);
        return make_self_signed(recipe, ca_key);
    }
    Certificate leaf(const PrivateKey& of, std::int64_t end) const {
        Recipe recipe;
        recipe.common_names = {"dispatcher"};
        recipe.not_after = end;
        return make_certificate(recipe, of, "Test CA", ca_key);
    }
    static Identity identity(const Certificate& certificate, const PrivateKey& key, const Certificate& ca) {
        return {*Certificate::from_pem(certificate.to_pem(), "x"), *PrivateKey::from_pem(key.to_pem(), "x"),
                *Certificate::from_pem(ca.to_pem(), "x")};
    }
    TicketStore store() const { return TicketStore(path, identity(certificate, key, ca)); }
    void keep(const std::string& peer, const std::string& ticket) const {
        TicketStore store = this->store();
        store.put(peer, ticket);
        store.flush();
    }
};

}  // namespace

TEST_CASE("a ticket is found by the next process, under its name, until there is a newer one") {
    const World world;
    CHECK(world.store().find("a").empty());
    CHECK(::access(world.path.c_str(), F_OK) != 0);
    world.keep("a", "first");
    CHECK(world.store().find("a") == "first");
    CHECK(world.store().find("b").empty());
    world.keep("b", "other");
    world.keep("a", "second");
    CHECK(world.store().find("a") == "second");
    CHECK(world.store().find("b") == "other");
    struct stat status {};
    REQUIRE(::stat(world.path.c_str(), &status) == 0);
    CHECK((status.st_mode & 07777) == 0600);
}

TEST_CASE("nothing is written before flush, and nothing twice") {
    const World world;
    TicketStore store = world.store();
    CHECK_FALSE(store.has_news());
    store.put("a", "ticket");
    CHECK(store.has_news());
    CHECK(store.find("a").empty());
    store.flush();
    CHECK_FALSE(store.has_news());
    CHECK(store.find("a") == "ticket");
}

TEST_CASE("another key, certificate or CA of ours knows no ticket") {
    const World world;
    world.keep("a", "ticket");
    const PrivateKey key = new_ec_key();
    const World other;
    CHECK(TicketStore(world.path, World::identity(world.leaf(key, noon + day), key, world.ca))
              .find("a")
              .empty());
    CHECK(TicketStore(world.path, World::identity(world.leaf(world.key, noon + 2 * day), world.key, world.ca))
              .find("a")
              .empty());
    CHECK(TicketStore(world.path, World::identity(world.certificate, world.key, other.ca)).find("a").empty());
    CHECK(world.store().find("a") == "ticket");
}

TEST_CASE("tickets of ten thousand peers have room, and the file has an end") {
    const World world;
    TicketStore store = world.store();
    for (int i = 0; i < 10'000; ++i) store.put("agent-" + std::to_string(i), std::to_string(i));
    store.flush();
    int found = 0;
    for (int i = 0; i < 10'000; ++i) {
        const std::string ticket = store.find("agent-" + std::to_string(i));
        found += ticket == std::to_string(i) ? 1 : 0;
        CHECK((ticket.empty() || ticket == std::to_string(i)));
    }
    CHECK(found > 8'500);
    struct stat status {};
    REQUIRE(::stat(world.path.c_str(), &status) == 0);
    CHECK(status.st_size <= static_cast<off_t>(TicketStore::places * TicketStore::place_bytes));
}

TEST_CASE("places of a certificate that is gone are used again") {
    const World world;
    world.keep("a", "old");
    const PrivateKey key = new_ec_key();
    for (const char* ticket : {"1", "2", "3"}) {
        TicketStore store(world.path, World::identity(world.leaf(key, noon + day), key, world.ca));
        store.put("a", ticket);
        store.flush();
        CHECK(store.find("a") == ticket);
    }
}

TEST_CASE("what does not fit is forgotten, and what fits exactly is not") {
    const World world;
    const std::size_t most = TicketStore::place_bytes - 2 - 8 - 28;
    world.keep("a", std::string(most + 1, 'x'));
    CHECK(world.store().find("a").empty());
    world.keep("a", std::string(most, 'x'));
    CHECK(world.store().find("a") == std::string(most, 'x'));
}

TEST_CASE("a file that others may use, or that is none, is not used") {
    const World world;
    world.keep("a", "ticket");
    REQUIRE(::chmod(world.path.c_str(), 0604) == 0);
    CHECK(world.store().find("a").empty());
    REQUIRE(::chmod(world.path.c_str(), 0600) == 0);
    CHECK(world.store().find("a") == "ticket");
    REQUIRE(::unlink(world.path.c_str()) == 0);
    REQUIRE(::symlink("/dev/zero", world.path.c_str()) == 0);
    CHECK(world.store().find("a").empty());
    world.keep("a", "ticket");
    CHECK(world.store().find("a").empty());
}
