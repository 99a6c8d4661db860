// Replays the corpora of core's fuzz harnesses, and makes sure that no corpus lies unused.
#include <doctest/doctest.h>

#include <filesystem>
#include <set>
#include <string>

#include "test/fuzz/harness.h"
#include "test/fuzz/replay.h"
#include "test/temp_dir.h"

using namespace ctrlexec::fuzz;
using ctrlexec::testing::data_file;
using ctrlexec::testing::mentions;

namespace {

struct Harness {
    std::string name;
    int (*run)(const std::uint8_t*, std::size_t);
};

const Harness harnesses[] = {
    {"auth_policy", fuzz_auth_policy}, {"certificate", fuzz_certificate},
    {"config", fuzz_config},           {"csr", fuzz_csr},
    {"job_files", fuzz_job_files},     {"pairing", fuzz_pairing},
    {"ring_file", fuzz_ring_file},     {"serial_list", fuzz_serial_list},
    {"target", fuzz_target},           {"wire_json", fuzz_wire_json},
};

std::set<std::string> all_names() {
    std::set<std::string> names{"http_parser"};  // replayed in test/net/http_parser_corpus_test.cc
    for (const auto& harness : harnesses) names.insert(harness.name);
    return names;
}

std::string text_of(const std::set<std::string>& names) {
    std::string text;
    for (const auto& name : names) text += name + ' ';
    return text;
}

std::set<std::string> names_in(const std::string& folder) {
    std::set<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(directory + folder)) {
        names.insert(entry.path().filename().string());
    }
    return names;
}

}  // namespace

TEST_CASE("every input of the committed corpora keeps its harness's invariants") {
    for (const auto& harness : harnesses) {
        SUBCASE(harness.name.c_str()) {
            replay_corpus(harness.name, harness.run);
        }
    }
}

TEST_CASE("each corpus, dictionary and harness belongs to a harness that is built and replayed") {
    const auto names = all_names();
    CHECK(text_of(names_in("/corpus")) == text_of(names));
    for (const auto& dictionary : names_in("/dict")) CHECK_MESSAGE(names.count(dictionary) == 1, dictionary);
    const std::string built = data_file("../fuzz/meson.build");
    for (const auto& name : names) CHECK_MESSAGE(mentions(built, "\n  '" + name + "': "), name);
    for (const auto& file : names_in("")) {
        const auto end = file.find("_fuzz.cc");
        if (end != std::string::npos) CHECK_MESSAGE(names.count(file.substr(0, end)) == 1, file);
    }
}
