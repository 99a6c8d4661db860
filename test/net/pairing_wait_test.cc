#include "net/pairing_wait.h"

#include <doctest/doctest.h>

using namespace ctrlexec;

namespace {

using std::chrono::milliseconds;

TEST_CASE("pauses double up to a limit, and are between a half and the whole of it") {
    const PairingWait wait;
    CHECK(pairing_pause(wait, 0, 0) == milliseconds(500));
    CHECK(pairing_pause(wait, 0, 0.999) == milliseconds(999));
    CHECK(pairing_pause(wait, 1, 0) == milliseconds(1000));
    CHECK(pairing_pause(wait, 4, 0) == milliseconds(8000));
    for (const int failures : {5, 6, 1000, 2'000'000'000}) {
        CHECK(pairing_pause(wait, failures, 0) == milliseconds(15'000));
        CHECK(pairing_pause(wait, failures, 0.9999) < milliseconds(30'000));
    }
}

TEST_CASE("asking again helps against what passes, not against a refusal, a local file or a wrong peer") {
    for (const Errc code : {Errc::busy, Errc::unresolved, Errc::refused, Errc::unreachable, Errc::timed_out,
                            Errc::tls_failed, Errc::closed})
        CHECK(is_passing(code));
    for (const Errc code :
         {Errc::denied, Errc::config, Errc::io, Errc::bad_answer, Errc::crypto, Errc::internal})
        CHECK(!is_passing(code));
}

}  // namespace
