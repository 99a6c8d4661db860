#include "core/job_store.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <ctime>
#include <memory>

#include "core/digest.h"
#include "core/fault_point.h"

namespace ctrlexec {
namespace {

constexpr std::size_t max_entries = 10 * max_stored_jobs;  // of the directory; with more it is not ours
constexpr std::size_t max_files = 64;                      // of one job
constexpr std::string_view temporary_suffix = ".tmp";

// False, with errno, when something is there: then it is the second submission of the same job.
bool rename_to_new(const std::string& from, const std::string& to) {
    constexpr unsigned no_replace = 1;  // RENAME_NOREPLACE; musl has no renameat2()
    if (::syscall(SYS_renameat2, AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), no_replace) == 0) return true;
    if (errno != EINVAL && errno != ENOSYS) return false;
    // Some network file systems cannot; rename(2) replaces an empty directory at most, and a job's is not.
    return ::rename(from.c_str(), to.c_str()) == 0;
}

bool is_directory(const std::string& path) {
    struct stat status {};
    return ::lstat(path.c_str(), &status) == 0 && S_ISDIR(status.st_mode);
}

void sync_directory(const std::string& path) {
    const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (fd) ::fsync(fd.get());
}

struct CloseDir {
    void operator()(DIR* dir) const { ::closedir(dir); }
};

// All names but "." and "..", at most `limit`.
std::vector<std::string> names_in(const std::string& path, std::size_t limit) {
    std::vector<std::string> names;
    const std::unique_ptr<DIR, CloseDir> dir(::opendir(path.c_str()));
    if (!dir) return names;
    while (const dirent* entry = ::readdir(dir.get())) {
        const std::string_view name = entry->d_name;
        if (name != "." && name != ".." && names.size() < limit) names.emplace_back(name);
    }
    return names;
}

// A job's directory holds files alone: whatever else is there stays, and the directory with it.
Result<void> remove_directory(const std::string& path) {
    for (const auto& name : names_in(path, max_files)) ::unlink(fmt::format("{}/{}", path, name).c_str());
    if (::rmdir(path.c_str()) != 0 && errno != ENOENT) return errno_error("remove", path, errno);
    return success();
}

// The group is the script's own as long as its leader is there, and its number cannot be another's.
void kill_what_is_left(const JobDirectory& job) {
    const auto script = job.script();
    if (script && script->exists()) ::kill(-script->pid, SIGKILL);
}

std::string why_lost(const Result<JobStart>& start) {
    if (!start && start.error().code == Errc::not_found)
        return "it was never started: the agent ended while it handed the job over";
    if (start && start->supervisor.boot != boot_id()) return "the host was restarted while it ran";
    return "its container was restarted, or its supervisor killed, while it ran";
}

// Kept as long as others, by the time of its directory.
JobResult unreadable(const JobDirectory& job, const Error& why) {
    const std::int64_t changed = modified_at(job.path()) / 1'000'000'000;
    return JobResult::lost_because("its outcome cannot be read: " + why.message, 0, changed);
}

}  // namespace

Result<void> JobStore::create(const JobRecord& record) const {
    if (!record.key.is_valid()) return fail(Errc::internal, "not the key of a job");
    TRY_DO(make_directories(directory_, 0700));
    const std::string path = at(record.key).path();
    if (is_directory(path)) return fail(Errc::exists, fmt::format("{} exists", path));
    const std::string temporary =
        fmt::format("{}/.{}.{}{}", directory_, record.key.name(), random_hex(6), temporary_suffix);
    if (::mkdir(temporary.c_str(), 0700) != 0) return errno_error("create", temporary, errno);
    auto made = JobDirectory(temporary).fill(record);
    fault_point("job-filled");
    if (made && !rename_to_new(temporary, path)) {
        const bool there = errno == EEXIST || errno == ENOTEMPTY;
        made =
            there ? fail(Errc::exists, fmt::format("{} exists", path)) : errno_error("create", path, errno);
    }
    if (!made) {
        (void)remove_directory(temporary);
        return made;
    }
    sync_directory(directory_);
    fault_point("job-created");
    return success();
}

Result<JobStore::Listing> JobStore::list() const {
    Listing listing;
    if (!file_exists(directory_)) return listing;
    TRY(const auto names, list_directory(directory_, max_entries));
    for (const auto& name : names) {
        const std::string path = fmt::format("{}/{}", directory_, name);
        auto key = JobKey::from_name(name);
        if (key && is_directory(path)) {
            listing.jobs.push_back(std::move(*key));
        } else {
            listing.strange.push_back(path);
        }
    }
    return listing;
}

Result<std::optional<JobResult>> JobStore::outcome(const JobKey& key, std::int64_t now) const {
    const JobDirectory job = at(key);
    if (!is_directory(job.path())) return fail(Errc::not_found, fmt::format("{}: no such job", job.path()));
    const auto known = [&job]() -> std::optional<JobResult> {
        auto result = job.result();
        if (result) return std::move(*result);
        if (result.error().code == Errc::not_found) return std::nullopt;
        return std::optional<JobResult>(unreadable(job, result.error()));
    };
    if (auto result = known()) return result;
    const auto lock = job.lock();
    if (!lock && lock.error().code == Errc::locked) return std::optional<JobResult>();
    // Whoever held the lock until now may have written it meanwhile.
    if (auto result = known()) return result;
    if (!lock) return std::optional<JobResult>(unreadable(job, lock.error()));
    kill_what_is_left(job);
    const auto start = job.start();
    const JobResult lost = JobResult::lost_because(why_lost(start), start ? start->started : 0, now);
    // On a disk that is full or read-only it is found lost again the next time.
    (void)job.write_result(lost);
    return std::optional<JobResult>(lost);
}

Result<void> JobStore::remove(const JobKey& key) const {
    const std::string doomed =
        fmt::format("{}/.{}.{}{}", directory_, key.name(), random_hex(6), temporary_suffix);
    const std::string path = at(key).path();
    if (::rename(path.c_str(), doomed.c_str()) != 0) {
        if (errno == ENOENT) return success();
        return errno_error("remove", path, errno);
    }
    return remove_directory(doomed);
}

void JobStore::remove_leftovers(std::int64_t min_age) const {
    const std::int64_t cutoff = static_cast<std::int64_t>(std::time(nullptr)) - min_age;
    for (const auto& name : names_in(directory_, max_entries)) {
        const bool ours = name.front() == '.' && name.ends_with(temporary_suffix);
        const std::string path = fmt::format("{}/{}", directory_, name);
        if (ours && is_directory(path) && modified_at(path) / 1'000'000'000 <= cutoff)
            (void)remove_directory(path);
    }
}

}  // namespace ctrlexec
