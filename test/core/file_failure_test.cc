// Full disks, other users and other processes: each in a process of its own.
#include <doctest/doctest.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <string>
#include <string_view>
#include <vector>

#include "core/file.h"
#include "test/temp_dir.h"

using namespace ctrlexec;
using namespace ctrlexec::testing;

namespace {

constexpr rlim_t room = 10'000;
const std::string too_much(100'000, 'x');

// Writing stops in the middle: the first write(2) is short, the next one fails.
void limit_file_size() {
    ::signal(SIGXFSZ, SIG_IGN);
    const struct rlimit limit = {room, room};
    ::setrlimit(RLIMIT_FSIZE, &limit);
}

bool fails_with(const Result<void>& result, std::string_view part) {
    return !result && result.error().code == Errc::io && mentions(result.error().message, part);
}

// A file system of 64 KiB at `path`, seen by this process only. Needs root's capabilities.
bool mount_small(const std::string& path) {
    return ::geteuid() == 0 && ::unshare(CLONE_NEWNS) == 0 &&
           ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 &&
           ::mount("none", path.c_str(), "tmpfs", 0, "size=64k") == 0;
}

}  // namespace

TEST_CASE("a write that stops in the middle leaves the old file and no temporary one") {
    const TempDir dir;
    dir.put("f", "old", 0644);
    CHECK(in_process([&] {
              limit_file_size();
              if (!fails_with(write_file_atomic(dir / "f", too_much, 0600), "cannot write " + (dir / "f")))
                  return 1;
              if (!fails_with(write_file_atomic(dir / "new", too_much, 0600), "cannot write")) return 2;
              if (!fails_with(create_file_atomic(dir / "new", too_much, 0600), "cannot write")) return 3;
              if (!write_file_atomic(dir / "fits", std::string(room, 'y'), 0600)) return 4;
              return 0;
          }) == 0);
    CHECK(dir.content("f") == "old");
    CHECK(dir.mode("f") == 0644);
    CHECK(dir.content("fits").size() == room);
    CHECK(dir.names() == "f fits");
}

TEST_CASE("a file set that does not fit changes none of its files") {
    const TempDir dir;
    dir.put("a", "old a");
    dir.put("b", "old b");
    CHECK(in_process([&] {
              limit_file_size();
              FileSet set;
              if (!set.stage(dir / "a", "new a", 0600)) return 1;
              return fails_with(set.stage(dir / "b", too_much, 0600), "cannot write") ? 0 : 2;
          }) == 0);
    CHECK(dir.content("a") == "old a");
    CHECK(dir.content("b") == "old b");
    CHECK(dir.names() == "a b");
}

TEST_CASE("a full disk is told as such, and the old file stays") {
    constexpr int not_permitted = 77;
    const TempDir dir;
    const std::string disk = dir.directory("disk");
    const int outcome = in_process([&] {
        if (!mount_small(disk)) return not_permitted;
        if (!write_file_atomic(disk + "/f", "old", 0600)) return 1;
        if (!fails_with(write_file_atomic(disk + "/f", too_much, 0600), "free some space")) return 2;
        if (!fails_with(create_file_atomic(disk + "/g", too_much, 0600), "free some space")) return 3;
        if (dir.names("disk") != "f") return 4;
        const auto text = read_file(disk + "/f", 100);
        if (!text || *text != "old") return 5;
        return write_file_atomic(disk + "/f", std::string(30'000, 'z'), 0600) ? 0
                                                                              : 6;  // the room is free again
    });
    if (outcome == not_permitted) {
        MESSAGE("not tested: no file system may be mounted here");
    } else {
        CHECK(outcome == 0);
    }
}

TEST_CASE("a name too long for the file system is an error that leaves nothing") {
    const TempDir dir;
    const auto written = write_file_atomic(dir / std::string(256, 'n'), "x", 0600);
    REQUIRE_FALSE(written);
    CHECK(written.error().code == Errc::io);
    CHECK(dir.names() == "");
}

TEST_CASE("a directory that is not ours is said to be whose") {
    const TempDir dir;
    REQUIRE(::chmod(dir.path().c_str(), 0755) == 0);
    const std::string closed = dir.directory("closed", 0555);
    CHECK(check_writable(dir.path()));
    CHECK(dir.names() == "closed");
    CHECK(check_writable(dir / "missing").error().code == Errc::not_found);
    CHECK(check_writable(dir.put("file", "")).error().code == Errc::io);
    const uid_t owner = ::geteuid();
    CHECK(as_ordinary_user([&] {
              const auto result = check_writable(closed);
              return !fails_with(result, "cannot write to " + closed) ||
                     !fails_with(result, "belongs to uid " + std::to_string(owner)) ||
                     !fails_with(result, "we run as uid " + std::to_string(::geteuid()));
          }) == 0);
}

TEST_CASE("a missing permission names the path that is in the way, its owner and us") {
    const TempDir dir;
    REQUIRE(::chmod(dir.path().c_str(), 0755) == 0);
    const std::string secret = dir.put("secret", "x", 0600);
    const std::string closed = dir.directory("closed", 0700);
    const std::string lock = dir.put("lock", "", 0600);
    const uid_t owner = ::geteuid();
    CHECK(as_ordinary_user([&] {
              const auto names = [&](const auto& result, const std::string& path) {
                  return !result &&
                         mentions(result.error().message,
                                  path + " belongs to uid " + std::to_string(owner) + ", we run as uid " +
                                      std::to_string(::geteuid()) + "; chown it, or run as its owner");
              };
              if (!names(read_file(secret, 10), secret)) return 1;
              if (!names(read_file(closed + "/sub/f", 10), closed)) return 2;
              if (!names(write_file_atomic(secret, "y", 0600), dir.path())) return 3;
              if (!names(create_file_atomic(closed + "/f", "y", 0600), closed)) return 4;
              if (!names(make_directories(dir / "new/sub", 0755), dir.path())) return 5;
              if (!names(FileLock::acquire(lock, FileLock::Wait::no), lock)) return 6;
              if (!names(FileLock::acquire(dir / "other-lock", FileLock::Wait::no), dir.path())) return 7;
              if (!names(list_directory(closed, 10), closed)) return 8;
              if (!names(remove_file(secret), dir.path())) return 9;
              return 0;
          }) == 0);
}

TEST_CASE("a mode that shuts us out of what is ours is told as it is") {
    const TempDir dir;
    REQUIRE(::chmod(dir.path().c_str(), 0777) == 0);
    CHECK(as_ordinary_user([&] {
              const std::string mine = dir / "mine";
              if (::mkdir(mine.c_str(), 0500) != 0) return 1;
              const auto written = write_file_atomic(mine + "/f", "x", 0600);
              return fails_with(written,
                                mine + " is ours (uid " + std::to_string(::geteuid()) + ") and has mode 0500")
                         ? 0
                         : 2;
          }) == 0);
}

TEST_CASE("a file that may not be read or written says so, and is not called missing") {
    const TempDir dir;
    REQUIRE(::chmod(dir.path().c_str(), 0755) == 0);
    dir.put("secret", "x", 0000);
    dir.directory("closed", 0000);
    CHECK(as_ordinary_user([&] {
              for (const std::string& path : {dir / "secret", dir / "closed/f"}) {
                  const auto text = read_file(path, 10);
                  if (text || text.error().code != Errc::io ||
                      !mentions(text.error().message, "check owner and mode"))
                      return 1;
              }
              if (!fails_with(write_file_atomic(dir / "closed/f", "x", 0600), "check owner and mode"))
                  return 2;
              return 0;
          }) == 0);
    REQUIRE(::chmod((dir / "closed").c_str(), 0700) == 0);
}

TEST_CASE("a held lock is refused at once to another process, and free again when it is released") {
    const TempDir dir;
    const std::string path = dir / "lock";
    const auto can_lock = [&] {
        return in_process([&] {
            const auto lock = FileLock::acquire(path, FileLock::Wait::no);
            if (lock) return 0;
            return lock.error().code == Errc::locked && mentions(lock.error().message, path) ? 1 : 2;
        });
    };
    {
        const auto held = FileLock::acquire(path, FileLock::Wait::no);
        REQUIRE(held);
        CHECK(dir.mode("lock") == 0600);
        CHECK(can_lock() == 1);
        CHECK(*FileLock::is_held(path));
        CHECK(in_process([&] { return *FileLock::is_held(path) ? 0 : 1; }) == 0);
        CHECK(FileLock::acquire(path, FileLock::Wait::no).error().code ==
              Errc::locked);  // also in this process
    }
    CHECK_FALSE(*FileLock::is_held(path));
    CHECK(can_lock() == 0);
    CHECK_FALSE(*FileLock::is_held(dir / "missing"));
    CHECK(dir.names() == "lock");
}

TEST_CASE("the lock of a process that is killed is free again") {
    const TempDir dir;
    const Pipe locked;
    const pid_t child = start_process([&] {
        const auto held = FileLock::acquire(dir / "lock", FileLock::Wait::yes);
        if (held && locked.tell()) ::pause();
        return 1;
    });
    REQUIRE(locked.wait());
    CHECK(FileLock::acquire(dir / "lock", FileLock::Wait::no).error().code == Errc::locked);
    REQUIRE(::kill(child, SIGKILL) == 0);
    CHECK(status_of(child) == 128 + SIGKILL);
    CHECK(FileLock::acquire(dir / "lock", FileLock::Wait::no));
}

TEST_CASE("a waiting process gets the lock when it is released, and sees what its holder wrote") {
    const TempDir dir;
    const Pipe start;
    const Pipe got_it;
    const pid_t child = start_process([&] {
        if (!start.wait()) return 1;
        const auto lock = FileLock::acquire(dir / "lock", FileLock::Wait::yes);
        if (!lock || !got_it.tell()) return 2;
        const auto text = read_file(dir / "f", 10);
        return text && *text == "written" ? 0 : 3;
    });
    {
        const auto held = FileLock::acquire(dir / "lock", FileLock::Wait::yes);
        REQUIRE(held);
        REQUIRE(start.tell());
        CHECK(got_it.is_silent_for(50));
        dir.put("f", "written");
    }
    CHECK(status_of(child) == 0);
}

TEST_CASE("a lock is not taken through a symlink, nor where no file can be made") {
    const TempDir dir;
    dir.put("target", "x");
    CHECK_FALSE(FileLock::acquire(dir.link("link", "target"), FileLock::Wait::no));
    CHECK_FALSE(FileLock::acquire(dir.directory("d"), FileLock::Wait::no));
    CHECK(FileLock::acquire(dir / "missing/lock", FileLock::Wait::no).error().code == Errc::not_found);
}

TEST_CASE("of many processes that create the same file exactly one succeeds, and its data is whole") {
    const TempDir dir;
    const Pipe start;
    std::vector<pid_t> children;
    for (int i = 0; i < 8; ++i) {
        children.push_back(start_process([&, i] {
            if (!start.wait()) return 2;
            const auto made =
                create_file_atomic(dir / "f", std::string(30'000, static_cast<char>('a' + i)), 0600);
            return made ? 0 : made.error().code == Errc::exists ? 1 : 3;
        }));
    }
    for (int i = 0; i < 8; ++i) REQUIRE(start.tell());
    int winner = -1;
    for (int i = 0; i < 8; ++i) {
        const int status = status_of(children[static_cast<std::size_t>(i)]);
        CHECK(status < 2);
        if (status != 0) continue;
        CHECK(winner == -1);
        winner = i;
    }
    REQUIRE(winner >= 0);
    CHECK(dir.content("f") == std::string(30'000, static_cast<char>('a' + winner)));
    CHECK(dir.names() == "f");
}
