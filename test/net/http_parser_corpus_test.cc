// The fuzzer's corpus in every test run: what once was interesting stays covered without libFuzzer.
#include <doctest/doctest.h>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data,
                                      std::size_t size);  // test/fuzz/http_parser_fuzz.cc

TEST_CASE("the corpus of the HTTP parser's fuzzer keeps its invariants") {
    int inputs = 0;
    for (const auto& entry :
         std::filesystem::directory_iterator(TEST_DATA_DIR "/../fuzz/corpus/http_parser")) {
        std::ifstream file(entry.path(), std::ios::binary);
        const std::string text{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
        CHECK(LLVMFuzzerTestOneInput(reinterpret_cast<const std::uint8_t*>(text.data()), text.size()) == 0);
        ++inputs;
    }
    CHECK(inputs > 0);
}
