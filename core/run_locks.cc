#include "core/run_locks.h"

#include <fmt/format.h>
#include <unistd.h>

#include "core/json.h"
#include "core/timestamp.h"

namespace ctrlexec {
namespace {

constexpr std::size_t max_lock_files = 1'000'000;
constexpr std::size_t max_note_bytes = 4096;
constexpr std::string_view suffix = ".lock";

// What old programs make of host and script: other characters than word characters, '.' and '-' become '_'.
std::string file_part(std::string_view text) {
    std::string part;
    for (const char c : text) {
        const bool kept = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                          c == '_' || c == '.' || c == '-';
        part += kept ? c : '_';
    }
    return part;
}

}  // namespace

std::string RunLocks::path_of(std::string_view host, std::string_view script) const {
    return fmt::format("{}/{}--{}{}", directory_, file_part(host), file_part(script), suffix);
}

Result<bool> RunLocks::is_held(std::string_view host, std::string_view script) const {
    return FileLock::is_held(path_of(host, script));
}

Result<FileLock> RunLocks::acquire(std::string_view host, std::string_view script,
                                   std::string_view reqid) const {
    TRY_DO(make_directories(directory_, 0755));
    TRY(FileLock lock, FileLock::acquire(path_of(host, script), FileLock::Wait::no));
    const json::Value note(json::Object{{"host", host},
                                        {"script", script},
                                        {"reqid", reqid},
                                        {"pid", static_cast<std::int64_t>(::getpid())},
                                        {"since", iso8601(now_seconds())}});
    // In place: a rename would leave the lock on a file that nobody finds any more. Readers tolerate half a
    // note.
    TRY_DO(lock.write(json::dump(note)));
    return lock;
}

Result<std::vector<HeldLock>> RunLocks::held() const {
    std::vector<HeldLock> locks;
    const auto names = list_directory(directory_, max_lock_files);
    if (!names && names.error().code == Errc::not_found) return locks;
    if (!names) return names.error();
    for (const auto& name : *names) {
        if (name.size() <= suffix.size() || name.substr(name.size() - suffix.size()) != suffix) continue;
        const std::string path = directory_ + "/" + name;
        TRY(const bool held, FileLock::is_held(path));
        if (!held) continue;
        HeldLock lock;
        lock.name = name.substr(0, name.size() - suffix.size());
        const auto text = read_file(path, max_note_bytes);
        const auto note = text ? json::parse(*text, max_note_bytes) : Result<json::Value>(text.error());
        if (note) {
            lock.host = note->scalar("host");
            lock.script = note->scalar("script");
            lock.reqid = note->scalar("reqid");
            lock.since = note->scalar("since");
            lock.pid = note->scalar("pid");
        }
        locks.push_back(std::move(lock));
    }
    return locks;
}

}  // namespace ctrlexec
