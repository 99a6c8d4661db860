#include "core/serial_list_edit.h"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include "core/config_file.h"
#include "core/serial_list.h"
#include "test/core/crypto_fixture.h"

using namespace ctrlexec;

TEST_CASE("serials are appended once, and everything else in the file stays") {
    const test::TempDir directory;
    const std::string path = directory.file("revoked-serials");
    std::vector<std::string> serials{"0a", "10", "0a"};
    REQUIRE(*add_serials(path, serials) == 2);
    CHECK(directory.content("revoked-serials") == "0x0a\n0x10\n");
    CHECK(directory.mode("revoked-serials") == 0644);
    directory.put("revoked-serials", "# stolen\nDE:AD # no end of line", 0600);
    serials = {"dead", "beef"};
    REQUIRE(*add_serials(path, serials) == 1);
    CHECK(directory.content("revoked-serials") == "# stolen\nDE:AD # no end of line\n0xbeef\n");
    CHECK(directory.mode("revoked-serials") == 0600);
    REQUIRE(*add_serials(path, serials) == 0);
}

TEST_CASE("a list never grows beyond what can be read again") {
    const test::TempDir directory;
    const std::string path = directory.file("revoked-serials");
    directory.put("revoked-serials", std::string(max_config_bytes - 4, '#'), 0644);
    const std::vector<std::string> serials{"0a"};
    const auto added = add_serials(path, serials);
    CHECK(added.error().code == Errc::too_large);
    CHECK(directory.content("revoked-serials").size() == max_config_bytes - 4);
    CHECK(SerialList::load(path));
}
