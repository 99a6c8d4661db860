#include "core/ring_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <thread>

#include "core/bounded_output.h"
#include "core/file.h"

namespace ctrlexec {
namespace {

constexpr std::size_t min_limit = 2;
constexpr std::size_t max_piece = 64u << 10;  // written between two announcements
constexpr int max_tries = 8;                  // of a reader that the writer keeps overtaking
constexpr int header_tries = 100;             // that are over within microseconds

// Where the stream's bytes are.
struct Layout {
    explicit Layout(const RingHeader& header)
        : head(header.limit - header.limit / 2), ring(header.limit / 2) {}

    // The place of the byte at `offset` in the file.
    off_t place(std::uint64_t offset) const {
        const std::uint64_t at = offset < head ? offset : head + (offset - head) % ring;
        return static_cast<off_t>(sizeof(RingHeader) + at);
    }
    // Bytes from `offset` on that lie in one piece.
    std::uint64_t span(std::uint64_t offset) const {
        return offset < head ? head - offset : ring - (offset - head) % ring;
    }
    // The first byte of the ring that nothing written up to `end` has replaced.
    std::uint64_t oldest(std::uint64_t end) const { return end > head + ring ? end - ring : head; }

    std::uint64_t head;
    std::uint64_t ring;  // at least 1
};

bool write_at(int fd, const char* data, std::size_t size, off_t place) {
    while (size > 0) {
        const ssize_t n = ::pwrite(fd, data, size, place);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return false;
        data += n;
        size -= static_cast<std::size_t>(n);
        place += n;
    }
    return true;
}

// What is there of it: a file that was cut short has less.
Result<std::string> read_at(int fd, std::uint64_t size, off_t place, const std::string& path) {
    std::string data(size, '\0');
    std::size_t done = 0;
    while (done < size) {
        const ssize_t n = ::pread(fd, data.data() + done, size - done, place + static_cast<off_t>(done));
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return errno_error("read", path, errno);
        if (n == 0) break;
        done += static_cast<std::size_t>(n);
    }
    data.resize(done);
    return data;
}

}  // namespace

RingWriter::RingWriter(UniqueFd fd, std::string path, std::size_t limit)
    : fd_(std::move(fd)), path_(std::move(path)) {
    header_.limit = std::clamp<std::size_t>(limit, min_limit, max_ring_limit);
}

Result<RingWriter> RingWriter::create(const std::string& path, std::size_t limit) {
    UniqueFd fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (!fd) return errno_error("create", path, errno);
    RingWriter writer(std::move(fd), path, limit);
    if (!writer.write_header()) return errno_error("write", path, errno);
    return writer;
}

bool RingWriter::write_header() const {
    return write_at(fd_.get(), reinterpret_cast<const char*>(&header_), sizeof header_, 0);
}

// `piece` lies in one piece. The announcement is only needed where bytes are replaced, and that they are no
// more must be known before they are gone.
bool RingWriter::store(std::string_view piece) {
    const Layout layout(header_);
    header_.announced = header_.stored + piece.size();
    if (header_.announced > header_.limit && !write_header()) return false;
    return write_at(fd_.get(), piece.data(), piece.size(), layout.place(header_.stored));
}

Result<void> RingWriter::add(std::string_view bytes) {
    int failure = 0;
    while (!bytes.empty()) {
        std::size_t size = bytes.size();
        if (!broken_) {
            const std::uint64_t span = Layout(header_).span(header_.stored);
            size = std::min({size, max_piece, static_cast<std::size_t>(span)});
            broken_ = !store(bytes.substr(0, size));
            if (broken_) failure = errno;
            if (!broken_) header_.stored += size;
        }
        header_.total += size;
        bytes.remove_prefix(size);
    }
    const bool counted = write_header();
    if (failure == 0 && !counted && !broken_) {
        broken_ = true;
        failure = errno;
    }
    return failure == 0 ? success() : errno_error("write", path_, failure);
}

Result<RingReader> RingReader::open(const std::string& path) {
    UniqueFd fd(::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY));
    if (!fd) return errno_error("read", path, errno);
    struct stat status {};
    if (::fstat(fd.get(), &status) != 0) return errno_error("read", path, errno);
    if (!S_ISREG(status.st_mode))
        return fail(Errc::io, fmt::format("cannot read {}: not a regular file", path));
    if (status.st_size == 0)
        return fail(Errc::busy, fmt::format("{}: empty, not the output of a job; remove it", path));
    RingReader reader(std::move(fd), path);
    TRY_DO(reader.header());
    return reader;
}

// A file system need not keep reads and writes apart: while the header is being written, a part of it may be
// read that is new and a part that is old. So what makes no sense is looked at again before it is called
// broken.
Result<RingHeader> RingReader::header() const {
    for (int tries = 0; tries < header_tries; ++tries) {
        TRY(const std::string bytes, read_at(fd_.get(), sizeof(RingHeader), 0, path_));
        RingHeader header;
        const std::string magic(header.magic, sizeof header.magic);
        const bool whole = bytes.size() == sizeof header && bytes.compare(0, magic.size(), magic) == 0;
        if (whole) std::memcpy(&header, bytes.data(), sizeof header);
        const bool sound = whole && header.limit >= min_limit && header.limit <= max_ring_limit &&
                           header.stored <= header.total && header.stored <= header.announced &&
                           header.announced - header.stored <= max_piece;
        if (sound) return header;
        std::this_thread::yield();
    }
    return fail(Errc::bad_request, fmt::format("{}: not the output of a job; remove it", path_));
}

Result<std::uint64_t> RingReader::total() const {
    TRY(const RingHeader now, header());
    return now.total;
}

Result<RingReader::Part> RingReader::read(std::uint64_t offset, std::size_t max_bytes) const {
    Part part;
    part.offset = offset;
    for (int tries = 0; tries < max_tries; ++tries) {
        TRY(const RingHeader before, header());
        const Layout layout(before);
        if (part.offset >= layout.head) part.offset = std::max(part.offset, layout.oldest(before.announced));
        if (part.offset >= before.stored) break;
        const std::uint64_t size =
            std::min({std::uint64_t{max_bytes}, before.stored - part.offset, layout.span(part.offset)});
        TRY(part.bytes, read_at(fd_.get(), size, layout.place(part.offset), path_));
        TRY(const RingHeader after, header());
        // What was replaced while we read it is not what it was taken for.
        const std::uint64_t oldest = layout.oldest(after.announced);
        if (part.offset < layout.head || part.offset >= oldest) return part;
        const std::uint64_t lost = oldest - part.offset;
        part.offset = oldest;
        part.bytes.erase(0, static_cast<std::size_t>(std::min<std::uint64_t>(lost, part.bytes.size())));
        if (!part.bytes.empty()) return part;
    }
    part.bytes.clear();
    return part;
}

Result<RingReader::Kept> RingReader::kept() const {
    TRY(const RingHeader now, header());
    const Layout layout(now);
    std::string head;
    std::string tail;
    std::uint64_t at = 0;
    while (at < now.stored) {
        TRY(const Part part, read(at, max_ring_limit));
        if (part.bytes.empty()) break;
        if (part.offset > at) tail.clear();  // the writer has overtaken us
        (part.offset < layout.head ? head : tail) += part.bytes;
        at = part.offset + part.bytes.size();
    }
    Kept kept;
    const std::uint64_t held = head.size() + tail.size();
    kept.total = std::max(now.total, at);
    kept.truncated = held < kept.total;
    kept.text =
        kept.truncated ? join_output(std::move(head), tail, kept.total - held) : std::move(head) + tail;
    return kept;
}

}  // namespace ctrlexec
