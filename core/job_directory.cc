#include "core/job_directory.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

#include "core/json.h"

namespace ctrlexec {
namespace {

constexpr std::size_t max_record = 64u << 10;  // names of a request's length are cut off long before
constexpr off_t result_bytes = 4096;
constexpr const char* result_place = ".result";

template <typename T>
Result<T> read_record(const std::string& path) {
    TRY(const std::string text, read_file(path, max_record));
    auto value = json::parse(text, max_record);
    auto record = value ? T::from_json(*value) : Result<T>(value.error());
    if (record) return record;
    return fail(Errc::bad_request, fmt::format("{}: {}; remove its directory", path, record.error().text()));
}

Result<void> sync(const UniqueFd& fd, const std::string& path) {
    return ::fsync(fd.get()) == 0 || errno == EINVAL ? success() : errno_error("sync", path, errno);
}

Result<void> sync_directory(const std::string& path) {
    const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!fd) return errno_error("open", path, errno);
    return sync(fd, path);
}

Result<UniqueFd> make_file(const std::string& path) {
    UniqueFd fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (!fd) return errno_error("create", path, errno);
    return fd;
}

// For small files: never partly written but by a full disk.
Result<void> write_whole(const UniqueFd& fd, std::string_view text, const std::string& path) {
    const ssize_t written = ::pwrite(fd.get(), text.data(), text.size(), 0);
    if (written == static_cast<ssize_t>(text.size())) return success();
    return errno_error("write", path, written < 0 ? errno : ENOSPC);
}

}  // namespace

Result<void> JobDirectory::fill(const JobRecord& record) const {
    TRY(const UniqueFd job, make_file(file("job.json")));
    TRY_DO(write_whole(job, json::dump(record.to_json()), file("job.json")));
    TRY_DO(sync(job, file("job.json")));
    TRY(const UniqueFd lock, make_file(file("lock")));
    TRY(const UniqueFd place, make_file(file(result_place)));
    const int problem = ::posix_fallocate(place.get(), 0, result_bytes);
    if (problem == ENOSPC || problem == EDQUOT) return errno_error("write", file(result_place), problem);
    TRY_DO(sync(place, file(result_place)));
    return sync_directory(path_);
}

Result<JobRecord> JobDirectory::record() const {
    return read_record<JobRecord>(file("job.json"));
}

Result<FileLock> JobDirectory::lock() const {
    return FileLock::acquire(file("lock"), FileLock::Wait::no);
}

Result<bool> JobDirectory::is_locked() const {
    return FileLock::is_held(file("lock"));
}

Result<void> JobDirectory::want_cancel() const {
    if (cancel_wanted()) return success();
    TRY_DO(make_file(file("cancel")));
    return success();
}

bool JobDirectory::cancel_wanted() const {
    return file_exists(file("cancel"));
}

Result<void> JobDirectory::write_start(const JobStart& start) const {
    return create_file_atomic(file("started.json"), json::dump(start.to_json()), 0600);
}

Result<JobStart> JobDirectory::start() const {
    return read_record<JobStart>(file("started.json"));
}

// Not durable: after a restart of the machine there is no such process.
Result<void> JobDirectory::note_script(const ProcessIdentity& script) const {
    TRY(const UniqueFd fd, make_file(file("script.json")));
    return write_whole(fd, json::dump(script.to_json()), file("script.json"));
}

Result<ProcessIdentity> JobDirectory::script() const {
    return read_record<ProcessIdentity>(file("script.json"));
}

Result<void> JobDirectory::write_result(const JobResult& result) const {
    const std::string place = file(result_place);
    const UniqueFd fd(::open(place.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600));
    if (!fd) return errno_error("write", place, errno);
    const std::string text = json::dump(result.to_json());
    TRY_DO(write_whole(fd, text, place));
    if (::ftruncate(fd.get(), static_cast<off_t>(text.size())) != 0)
        return errno_error("write", place, errno);
    TRY_DO(sync(fd, place));
    if (::rename(place.c_str(), file("result.json").c_str()) != 0) return errno_error("rename", place, errno);
    return sync_directory(path_);
}

Result<JobResult> JobDirectory::result() const {
    return read_record<JobResult>(file("result.json"));
}

bool JobDirectory::claim_logging() const {
    return make_file(file("logged")).has_value();
}

}  // namespace ctrlexec
