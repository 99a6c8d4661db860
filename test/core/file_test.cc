#include "core/file.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "test/temp_dir.h"

using namespace ctrlexec;
using namespace ctrlexec::testing;
using namespace std::string_view_literals;

namespace {

constexpr std::size_t limit = 1000;

template <typename T>
Errc code_of(const Result<T>& result) {
    REQUIRE_FALSE(result);
    return result.error().code;
}

}  // namespace

TEST_CASE("a file is read whole, every byte of it") {
    const TempDir dir;
    std::string bytes;
    for (int i = 0; i < 512; ++i) bytes += static_cast<char>(i);
    CHECK(*read_file(dir.put("bytes", bytes), limit) == bytes);
    CHECK(read_file(dir.put("empty", ""), 0)->empty());
    const std::string large(100'000, 'x');
    CHECK(*read_file(dir.put("large", large), large.size()) == large);
    CHECK(*read_file(dir.link("link", "bytes"), limit) == bytes);
}

TEST_CASE("a file of the limit's size is read, one byte more is too large") {
    const TempDir dir;
    const std::string path = dir.put("f", std::string(40'000, 'x'));
    CHECK(read_file(path, 40'000)->size() == 40'000);
    const auto over = read_file(path, 39'999);
    CHECK(code_of(over) == Errc::too_large);
    CHECK(mentions(over.error().message, path));
    CHECK(code_of(read_file(path, 0)) == Errc::too_large);
}

TEST_CASE("a file whose size is not known before is bounded all the same") {
    CHECK(read_file("/proc/self/stat", 4096)->size() > 10);
    CHECK(code_of(read_file("/proc/self/stat", 10)) == Errc::too_large);
}

TEST_CASE("a missing file is not found, and the message says what to do") {
    const TempDir dir;
    for (const std::string& path : {dir / "missing", dir / "no/such", dir.link("dangling", "nowhere")}) {
        const auto text = read_file(path, limit);
        CHECK(code_of(text) == Errc::not_found);
        CHECK(mentions(text.error().message, path));
        CHECK(mentions(text.error().message, "create it, or correct the path"));
    }
    CHECK(code_of(read_file("", limit)) == Errc::not_found);
}

TEST_CASE("what is no regular file is refused without waiting for it") {
    const TempDir dir;
    REQUIRE(::mkfifo((dir / "fifo").c_str(), 0644) == 0);
    dir.link("to-fifo", "fifo");
    dir.link("loop", "loop");
    const UniqueFd listener(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    (dir / "socket").copy(address.sun_path, sizeof address.sun_path - 1);
    REQUIRE(::bind(listener.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
    for (const std::string& path :
         {dir / "fifo", dir / "to-fifo", dir / "loop", dir / "socket", dir.directory("directory"),
          std::string("/dev/zero"), std::string("/dev/full"), dir.put("f", "") + "/x"}) {
        const auto text = read_file(path, limit);
        CHECK_MESSAGE(code_of(text) == Errc::io, path);
        CHECK_MESSAGE(mentions(text.error().message, path), text.error().message);
    }
}

TEST_CASE("a written file has exactly the data and the mode, whatever the umask") {
    const TempDir dir;
    const mode_t before = ::umask(0077);
    const std::string data = std::string("a\0b\xff\n"sv) + std::string(50'000, 'x');
    CHECK(write_file_atomic(dir / "f", data, 0644));
    CHECK(create_file_atomic(dir / "g", data, 0640));
    ::umask(0);
    CHECK(write_file_atomic(dir / "h", "", 0600));
    ::umask(before);
    CHECK(dir.content("f") == data);
    CHECK(dir.content("g") == data);
    CHECK(dir.content("h").empty());
    CHECK(dir.mode("f") == 0644);
    CHECK(dir.mode("g") == 0640);
    CHECK(dir.mode("h") == 0600);
    CHECK(dir.names() == "f g h");
}

TEST_CASE("a replaced file is a new one: who has the old one open reads the old one to its end") {
    const TempDir dir;
    const std::string path = dir.put("f", "old", 0666);
    const UniqueFd open(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    CHECK(write_file_atomic(path, "new", 0600));
    char text[8] = {};
    CHECK(::read(open.get(), text, sizeof text) == 3);
    CHECK(text == "old"sv);
    CHECK(dir.content("f") == "new");
    CHECK(dir.mode("f") == 0600);
}

TEST_CASE("a symlink in the place of the file is replaced, not written through") {
    const TempDir dir;
    dir.put("target", "untouched");
    CHECK(write_file_atomic(dir.link("link", dir / "target"), "new", 0600));
    CHECK(dir.content("target") == "untouched");
    CHECK(dir.content("link") == "new");
    CHECK(code_of(create_file_atomic(dir.link("dangling", dir / "made"), "new", 0600)) == Errc::exists);
    CHECK_FALSE(file_exists(dir / "made"));
}

TEST_CASE("creating never replaces") {
    const TempDir dir;
    CHECK(create_file_atomic(dir / "f", "first", 0600));
    const auto second = create_file_atomic(dir / "f", "second", 0600);
    CHECK(code_of(second) == Errc::exists);
    CHECK(mentions(second.error().message, dir / "f"));
    CHECK(code_of(create_file_atomic(dir.directory("d"), "x", 0600)) == Errc::exists);
    CHECK(dir.content("f") == "first");
    CHECK(dir.names() == "d f");
}

TEST_CASE("a file set shows nothing before it is committed, and nothing when it is dropped") {
    const TempDir dir;
    dir.put("a", "old a");
    {
        FileSet dropped;
        CHECK(dropped.stage(dir / "a", "new a", 0600));
        CHECK(dropped.stage(dir / "b", "new b", 0600));
        CHECK(dir.content("a") == "old a");
        CHECK_FALSE(file_exists(dir / "b"));
    }
    CHECK(dir.names() == "a");
    FileSet set;
    CHECK(set.stage(dir / "a", "new a", 0600));
    CHECK(set.stage(dir / "b", "new b", 0644));
    CHECK(set.commit());
    CHECK(dir.content("a") == "new a");
    CHECK(dir.content("b") == "new b");
    CHECK(dir.mode("b") == 0644);
    CHECK(dir.names() == "a b");
    CHECK(set.commit());  // nothing is left to do
}

TEST_CASE("a file set that cannot be staged whole changes nothing") {
    const TempDir dir;
    dir.put("a", "old a");
    {
        FileSet set;
        CHECK(set.stage(dir / "a", "new a", 0600));
        CHECK(code_of(set.stage(dir / "missing/b", "new b", 0600)) == Errc::not_found);
    }
    CHECK(dir.content("a") == "old a");
    CHECK(dir.names() == "a");
}

TEST_CASE("a file set is committed in order, up to the first failure, and leaves no temporary file") {
    const TempDir dir;
    {
        FileSet set;
        CHECK(set.stage(dir / "a", "a", 0600));
        CHECK(set.stage(dir / "in-the-way", "b", 0600));
        CHECK(set.stage(dir / "c", "c", 0600));
        dir.directory("in-the-way");
        const auto done = set.commit();
        CHECK(code_of(done) == Errc::io);
        CHECK(mentions(done.error().message, "in-the-way"));
        CHECK(mentions(done.error().message, "a directory is in the way"));
    }
    CHECK(dir.names() == "a in-the-way");
}

TEST_CASE("a directory in the way is met before the first file of a set changes") {
    const TempDir dir;
    dir.directory("in-the-way");
    FileSet set;
    const auto staged = set.stage(dir / "in-the-way", "b", 0600);
    CHECK(code_of(staged) == Errc::io);
    CHECK(mentions(staged.error().message, "a directory is in the way"));
    CHECK(dir.names() == "in-the-way");
}

TEST_CASE("a file in the working directory needs no directory in its name") {
    const TempDir dir;
    CHECK(in_process([&] {
              if (::chdir(dir.path().c_str()) != 0) return 2;
              return write_file_atomic("f", "x", 0600) && create_file_atomic("g", "y", 0600) &&
                             remove_file("f")
                         ? 0
                         : 1;
          }) == 0);
    CHECK(dir.names() == "g");
}

TEST_CASE("removing a file that is gone already succeeds, removing a directory does not") {
    const TempDir dir;
    CHECK(remove_file(dir.put("f", "x")));
    CHECK(remove_file(dir / "f"));
    CHECK_FALSE(file_exists(dir / "f"));
    dir.put("target", "x");
    CHECK(remove_file(dir.link("link", "target")));
    CHECK(remove_file(dir.link("dangling", "nowhere")));
    CHECK(code_of(remove_file(dir.directory("d"))) == Errc::io);
    CHECK(dir.names() == "d target");
}

TEST_CASE("directories are made with their parents and left alone when they exist") {
    const TempDir dir;
    const mode_t before = ::umask(0);
    CHECK(make_directories(dir / "a/b/c", 0750));
    ::umask(before);
    CHECK(dir.mode("a/b") == 0755);
    CHECK(dir.mode("a/b/c") == 0750);
    CHECK(make_directories(dir / "a/b/c", 0700));
    CHECK(dir.mode("a/b/c") == 0750);
    CHECK(make_directories(dir / "a//d/", 0700));
    CHECK(dir.mode("a/d") == 0700);
    CHECK(make_directories("/", 0700));
    dir.link("alias", "a");
    CHECK(make_directories(dir / "alias/e", 0700));
    CHECK(file_exists(dir / "a/e"));
    const std::string file = dir.put("file", "");
    CHECK(code_of(make_directories(file, 0700)) == Errc::io);
    CHECK(code_of(make_directories(file + "/x", 0700)) == Errc::io);
    CHECK(code_of(make_directories("", 0700)) == Errc::not_found);
    CHECK(code_of(make_directories(dir.link("dangling", "nowhere"), 0700)) == Errc::not_found);
}

TEST_CASE("a listing is sorted, without hidden entries, and bounded") {
    const TempDir dir;
    for (const auto* name : {"b", "a", "c.json", ".hidden", ".x.tmp"}) dir.put(name, "");
    CHECK(*list_directory(dir.path(), 3) == std::vector<std::string>{"a", "b", "c.json"});
    CHECK(code_of(list_directory(dir.path(), 2)) == Errc::too_large);
    CHECK(list_directory(dir.directory("empty"), 0)->empty());
    CHECK(code_of(list_directory(dir / "missing", 3)) == Errc::not_found);
    CHECK(code_of(list_directory(dir / "a", 3)) == Errc::io);
}

TEST_CASE("a file that is replaced keeps its mode, and a new one gets what was asked for") {
    const TempDir dir;
    REQUIRE(replace_file_atomic(dir / "f", "one", 0600));
    CHECK(dir.mode("f") == 0600);
    dir.put("f", "one", 0640);
    REQUIRE(replace_file_atomic(dir / "f", "two", 0600));
    CHECK(dir.content("f") == "two");
    CHECK(dir.mode("f") == 0640);
    CHECK(code_of(replace_file_atomic(dir / "no/f", "x", 0600)) == Errc::not_found);
    dir.directory("d");
    CHECK_FALSE(replace_file_atomic(dir / "d", "x", 0600));
    CHECK(dir.names() == "d f");
}

TEST_CASE("a file exists when it can be reached") {
    const TempDir dir;
    CHECK(file_exists(dir.path()));
    CHECK(file_exists(dir.put("f", "")));
    CHECK_FALSE(file_exists(dir / "g"));
    CHECK_FALSE(file_exists(dir.link("dangling", "nowhere")));
    CHECK_FALSE(file_exists(dir / "f/x"));
    CHECK_FALSE(file_exists(""));
}

TEST_CASE("errno values carry their meaning and a remedy") {
    struct Row {
        int number;
        Errc code;
        const char* remedy;
    };
    for (const Row& row :
         {Row{ENOENT, Errc::not_found, "; create it"}, Row{EEXIST, Errc::exists, ""},
          Row{EACCES, Errc::io, "; check owner and mode"}, Row{ENOSPC, Errc::io, "; free some space"},
          Row{EDQUOT, Errc::io, "; free some space"}, Row{EROFS, Errc::io, "; the file system is read-only"},
          Row{EMFILE, Errc::io, "; raise the limit"}, Row{EFBIG, Errc::io, ""}}) {
        const Error error = errno_error("write", "/x", row.number);
        CHECK(error.code == row.code);
        CHECK(error.message.rfind(std::string("cannot write /x: ") + std::strerror(row.number), 0) == 0);
        CHECK(mentions(error.message, row.remedy));
    }
}
