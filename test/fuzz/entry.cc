// libFuzzer's entry point, compiled once for each harness; FUZZ_HARNESS is its function.
#include "test/fuzz/harness.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    return ctrlexec::fuzz::FUZZ_HARNESS(data, size);
}
