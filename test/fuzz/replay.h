// The corpora in the unit tests: what once was interesting stays covered without libFuzzer.
#pragma once

#include <doctest/doctest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <system_error>
#include <vector>

namespace ctrlexec::fuzz {

inline const std::string directory = TEST_DATA_DIR "/../fuzz";

// Every input of corpus/NAME, in the order of their names. A corpus that is missing or empty proves nothing.
inline void replay_corpus(const std::string& name, int (*harness)(const std::uint8_t*, std::size_t)) {
    std::vector<std::filesystem::path> inputs;
    std::error_code missing;
    for (const auto& entry : std::filesystem::directory_iterator(directory + "/corpus/" + name, missing)) {
        inputs.push_back(entry.path());
    }
    std::sort(inputs.begin(), inputs.end());
    CHECK_MESSAGE(!inputs.empty(), "test/fuzz/corpus/" << name << " is missing or empty");
    for (const auto& input : inputs) {
        CAPTURE(input.string());
        std::ifstream file(input, std::ios::binary);
        const std::string text{std::istreambuf_iterator<char>(file), {}};
        REQUIRE_MESSAGE(file.good(), "cannot be read");
        // As libFuzzer hands it over: never null, and of exactly its size, so that the sanitizer sees reading
        // past the end.
        const auto bytes = std::make_unique<std::uint8_t[]>(text.size());
        std::copy(text.begin(), text.end(), bytes.get());
        CHECK(harness(bytes.get(), text.size()) == 0);
    }
}

}  // namespace ctrlexec::fuzz
