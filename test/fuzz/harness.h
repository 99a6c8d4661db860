// The fuzz harnesses. Each is a function: entry.cc makes a libFuzzer executable of it, and the unit tests
// replay its corpus through it (replay.h).
#pragma once

#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>

namespace ctrlexec::fuzz {

// Each returns 0, as libFuzzer wants it, or throws.
int fuzz_auth_policy(const std::uint8_t* data, std::size_t size);
int fuzz_certificate(const std::uint8_t* data, std::size_t size);
int fuzz_config(const std::uint8_t* data, std::size_t size);
int fuzz_csr(const std::uint8_t* data, std::size_t size);
int fuzz_http_parser(const std::uint8_t* data, std::size_t size);
int fuzz_job_files(const std::uint8_t* data, std::size_t size);
int fuzz_pairing(const std::uint8_t* data, std::size_t size);
int fuzz_ring_file(const std::uint8_t* data, std::size_t size);
int fuzz_serial_list(const std::uint8_t* data, std::size_t size);
int fuzz_target(const std::uint8_t* data, std::size_t size);
int fuzz_wire_json(const std::uint8_t* data, std::size_t size);

// An invariant. Nobody catches the exception in a fuzzer, which is a finding there; the unit tests report it
// with the input's name.
inline void require(bool holds, const char* file = __builtin_FILE(), int line = __builtin_LINE()) {
    if (holds) return;
    throw std::logic_error(std::string(file) + ':' + std::to_string(line) + ": this invariant is broken");
}

inline std::string_view text_of_input(const std::uint8_t* data, std::size_t size) {
    return {reinterpret_cast<const char*>(data), size};
}

}  // namespace ctrlexec::fuzz
