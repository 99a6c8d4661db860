#include <doctest/doctest.h>

#include "test/fuzz/harness.h"
#include "test/fuzz/replay.h"

using namespace ctrlexec::fuzz;

TEST_CASE("the HTTP parser keeps its invariants for every input of its corpus") {
    replay_corpus("http_parser", fuzz_http_parser);
}
