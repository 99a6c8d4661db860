// Output files of jobs. The input is such a file; and it is what a script prints, in pieces: then what is
// read must be what core/bounded_output keeps of it.
#include <unistd.h>

#include <cstdlib>
#include <string>

#include "core/bounded_output.h"
#include "core/ring_file.h"
#include "test/fuzz/harness.h"

namespace ctrlexec::fuzz {
namespace {

constexpr std::size_t marker_room = 64;

// One for the whole process.
const std::string& file() {
    static const std::string path = [] {
        std::string name = "/tmp/ctrl-exec-ring.XXXXXX";
        require(::mkdtemp(name.data()) != nullptr);
        static std::string folder = name;
        std::atexit([] {
            ::unlink((folder + "/f").c_str());
            ::rmdir(folder.c_str());
        });
        return name + "/f";
    }();
    return path;
}

void put(std::string_view bytes) {
    std::FILE* out = std::fopen(file().c_str(), "wb");
    require(out != nullptr && std::fwrite(bytes.data(), 1, bytes.size(), out) == bytes.size());
    std::fclose(out);
}

void check_file(std::string_view bytes) {
    put(bytes);
    const auto reader = RingReader::open(file());
    if (!reader) return;
    const auto kept = reader->kept();
    require(kept && kept->text.size() <= bytes.size() + marker_room);
    require(kept->truncated || kept->text.size() == kept->total);
    std::uint64_t next = 0;
    std::size_t held = 0;
    for (;;) {
        const auto part = reader->read(next, 1000);
        require(part && part->offset >= next && part->bytes.size() <= 1000);
        if (part->bytes.empty()) break;
        next = part->offset + part->bytes.size();
        held += part->bytes.size();
    }
    require(held <= bytes.size());
}

void check_stream(std::string_view bytes) {
    if (bytes.empty()) return;
    const std::size_t limit = 2 + static_cast<unsigned char>(bytes.front());
    ::unlink(file().c_str());
    auto writer = RingWriter::create(file(), limit);
    require(writer.has_value());
    BoundedOutput expected(limit);
    while (!bytes.empty()) {
        const std::string_view piece = bytes.substr(0, 1 + static_cast<unsigned char>(bytes.front()) % 64);
        require(writer->add(piece).has_value());
        expected.add(piece);
        bytes.remove_prefix(piece.size());
    }
    const auto kept = RingReader::open(file())->kept();
    require(kept && kept->total == expected.total() && kept->truncated == expected.truncated());
    require(kept->text == expected.take());
}

}  // namespace

int fuzz_ring_file(const std::uint8_t* data, std::size_t size) {
    check_file(text_of_input(data, size));
    check_stream(text_of_input(data, size));
    return 0;
}

}  // namespace ctrlexec::fuzz
