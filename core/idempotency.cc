#include "core/idempotency.h"

#include <fmt/format.h>

#include "core/config_file.h"
#include "core/digest.h"
#include "core/file.h"
#include "core/pairing_queue.h"

namespace ctrlexec {
namespace {

constexpr std::size_t max_record = 4096;
constexpr std::string_view suffix = ".json";
constexpr std::size_t name_length = 64;

bool is_record(std::string_view file) {
    return file.size() == name_length + suffix.size() && file.ends_with(suffix);
}

}  // namespace

Result<IdempotencyRecord> IdempotencyRecord::from_json(const json::Value& value) {
    IdempotencyRecord record;
    record.reqid = value.scalar("reqid");
    record.fingerprint = value.scalar("fingerprint");
    if (!is_valid_reqid(record.reqid) || record.fingerprint.empty() ||
        !parse_integer(value.scalar("started"), 0, INT64_MAX, record.started))
        return fail(Errc::bad_request, "not the record of an Idempotency-Key");
    return record;
}

json::Value IdempotencyRecord::to_json() const {
    return json::Object{{"reqid", reqid}, {"fingerprint", fingerprint}, {"started", started}};
}

std::string IdempotencyStore::name_of(std::string_view token, std::string_view username,
                                      std::string_view key) {
    // Each part behind its length: no two callers' parts can be cut differently and still be the same text.
    return to_hex(sha256(
        fmt::format("{}:{}{}:{}{}:{}", token.size(), token, username.size(), username, key.size(), key)));
}

std::string IdempotencyStore::path_of(const std::string& name) const {
    return fmt::format("{}/{}{}", directory_, name, suffix);
}

Result<IdempotencyRecord> IdempotencyStore::find(const std::string& name, std::int64_t now) const {
    TRY(const std::string text, read_file(path_of(name), max_record));
    const auto value = json::parse(text, max_record);
    auto record = value ? IdempotencyRecord::from_json(*value) : Result<IdempotencyRecord>(value.error());
    if (!record)
        return fail(Errc::io, fmt::format("{}: {}; remove it", path_of(name), record.error().text()));
    if (record->started < now - kept) return fail(Errc::not_found, "the key has expired");
    return record;
}

Result<void> IdempotencyStore::claim(const std::string& name, const IdempotencyRecord& record) const {
    TRY_DO(make_directories(directory_, 0750));
    TRY(const FileLock lock, FileLock::acquire(directory_ + "/.lock", FileLock::Wait::yes));
    const auto earlier = find(name, record.started);
    if (earlier) return fail(Errc::exists, "the key has been used already");
    if (earlier.error().code != Errc::not_found) return earlier.error();
    return write_file_atomic(path_of(name), json::dump(record.to_json()), 0640);
}

Result<void> IdempotencyStore::purge(std::int64_t now) const {
    if (!file_exists(directory_)) return success();
    // With the lock: else a claim that has just replaced an expired record could be removed with it.
    TRY(const FileLock lock, FileLock::acquire(directory_ + "/.lock", FileLock::Wait::yes));
    return remove_files_before(directory_, now - kept, is_record);
}

}  // namespace ctrlexec
