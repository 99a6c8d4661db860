#include "core/errc.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <set>
#include <string>

using namespace ctrlexec;

namespace {

constexpr int last = static_cast<int>(Errc::internal);

}  // namespace

TEST_CASE("every error has a name of its own, an exit code and a status that say failure") {
    std::set<std::string> names;
    for (int i = 0; i <= last; ++i) {
        const ErrcInfo& row = info(static_cast<Errc>(i));
        CHECK(row.code == static_cast<Errc>(i));
        CHECK_MESSAGE(names.emplace(row.name).second, row.name);
        CHECK_FALSE(row.name.empty());
        CHECK_MESSAGE(std::all_of(row.name.begin(), row.name.end(),
                                  [](char c) { return (c >= 'a' && c <= 'z') || c == '-'; }),
                      row.name);
        CHECK_MESSAGE((row.exit_code == 1 || row.exit_code == 2 || row.exit_code == 78), row.name);
        CHECK_MESSAGE((row.http_status >= 400 && row.http_status <= 599), row.name);
    }
}

TEST_CASE("the errors that peers and scripts tell apart have their documented codes") {
    struct Row {
        Errc code;
        int exit_code, http_status;
    };
    for (const Row& row :
         {Row{Errc::usage, 2, 400}, Row{Errc::config, 78, 500}, Row{Errc::bad_request, 1, 400},
          Row{Errc::not_found, 1, 404}, Row{Errc::denied, 1, 403}, Row{Errc::locked, 1, 409},
          Row{Errc::too_large, 1, 413}, Row{Errc::too_many_headers, 1, 431}, Row{Errc::busy, 1, 503},
          Row{Errc::timed_out, 1, 504}, Row{Errc::internal, 1, 500}}) {
        CHECK_MESSAGE(info(row.code).exit_code == row.exit_code, info(row.code).name);
        CHECK_MESSAGE(info(row.code).http_status == row.http_status, info(row.code).name);
    }
}

TEST_CASE("our own failures are logged as errors, a peer's are not") {
    for (const Errc code : {Errc::config, Errc::io, Errc::crypto, Errc::internal})
        CHECK(info(code).level == LogLevel::error);
    for (const Errc code : {Errc::bad_request, Errc::not_found, Errc::denied, Errc::too_large}) {
        CHECK(info(code).level > LogLevel::warning);
    }
}
