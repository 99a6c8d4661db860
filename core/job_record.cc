#include "core/job_record.h"

#include "core/config_file.h"
#include "core/trusted_dispatchers.h"

namespace ctrlexec {
namespace {

constexpr std::size_t reqid_digits = 16;
constexpr std::size_t max_text = 256;  // bytes; escaped sixfold they fit into the place reserved for them
constexpr std::int64_t max_limit = INT64_C(1) << 40;

bool is_reqid(std::string_view text) {
    return text.size() == reqid_digits &&
           text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

bool read_number(const json::Value& value, std::string_view key, std::int64_t low, std::int64_t high,
                 std::int64_t& out) {
    return parse_integer(value.scalar(key), low, high, out);
}

bool read_flag(const json::Value& value, std::string_view key) {
    const auto* member = value.find(key);
    const bool* flag = member == nullptr ? nullptr : member->if_bool();
    return flag != nullptr && *flag;
}

}  // namespace

bool JobKey::is_valid() const {
    return is_reqid(reqid) && is_valid_dispatcher_id(dispatcher);
}

std::optional<JobKey> JobKey::from_name(std::string_view name) {
    if (name.size() <= reqid_digits || name[reqid_digits] != '-') return std::nullopt;
    JobKey key{std::string(name.substr(0, reqid_digits)), std::string(name.substr(reqid_digits + 1))};
    if (!key.is_valid()) return std::nullopt;
    return key;
}

Result<JobRecord> JobRecord::from_json(const json::Value& value) {
    JobRecord record;
    record.key = {value.scalar("reqid"), value.scalar("dispatcher")};
    record.script = value.scalar("script");
    record.username = value.scalar("username");
    record.peer_ip = value.scalar("peer_ip");
    std::int64_t timeout = 0;
    std::int64_t grace = 0;
    std::int64_t limit = 0;
    if (!record.key.is_valid() || record.script.empty() ||
        !read_number(value, "accepted", 0, INT64_MAX, record.accepted) ||
        !read_number(value, "timeout_ms", 0, max_limit, timeout) ||
        !read_number(value, "kill_grace_ms", 0, max_limit, grace) ||
        !read_number(value, "output_limit", 0, max_limit, limit)) {
        return fail(Errc::bad_request, "not the record of a job");
    }
    record.timeout = std::chrono::milliseconds(timeout);
    record.kill_grace = std::chrono::milliseconds(grace);
    record.output_limit = static_cast<std::size_t>(limit);
    return record;
}

json::Value JobRecord::to_json() const {
    return json::Object{{"reqid", key.reqid},
                        {"dispatcher", key.dispatcher},
                        {"script", script},
                        {"username", username},
                        {"peer_ip", peer_ip},
                        {"accepted", accepted},
                        {"timeout_ms", std::int64_t{timeout.count()}},
                        {"kill_grace_ms", std::int64_t{kill_grace.count()}},
                        {"output_limit", std::uint64_t{output_limit}}};
}

Result<JobStart> JobStart::from_json(const json::Value& value) {
    JobStart start;
    TRY(start.supervisor, ProcessIdentity::from_json(value));
    if (!read_number(value, "started", 0, INT64_MAX, start.started))
        return fail(Errc::bad_request, "not the start of a job");
    return start;
}

json::Value JobStart::to_json() const {
    json::Value value = supervisor.to_json();
    value.set("started", started);
    return value;
}

Result<JobResult> JobResult::from_json(const json::Value& value) {
    JobResult result;
    std::int64_t exit = 0;
    std::int64_t signal = 0;
    if (!read_number(value, "exit", -1, 255, exit) || !read_number(value, "signal", 0, 128, signal) ||
        !read_number(value, "started", 0, INT64_MAX, result.started) ||
        !read_number(value, "ended", 0, INT64_MAX, result.ended)) {
        return fail(Errc::bad_request, "not the result of a job");
    }
    result.exit = static_cast<int>(exit);
    result.signal = static_cast<int>(signal);
    result.timed_out = read_flag(value, "timed_out");
    result.cancelled = read_flag(value, "cancelled");
    result.lost = read_flag(value, "lost");
    result.error = value.scalar("error");
    result.warning = value.scalar("warning");
    return result;
}

JobResult JobResult::lost_because(std::string why, std::int64_t started, std::int64_t now) {
    JobResult result;
    result.lost = true;
    result.error = std::move(why);
    result.started = started;
    result.ended = now;
    return result;
}

json::Value JobResult::to_json() const {
    json::Value value(
        json::Object{{"exit", exit}, {"signal", signal}, {"started", started}, {"ended", ended}});
    if (timed_out) value.set("timed_out", true);
    if (cancelled) value.set("cancelled", true);
    if (lost) value.set("lost", true);
    if (!error.empty()) value.set("error", std::string_view(error).substr(0, max_text));
    if (!warning.empty()) value.set("warning", std::string_view(warning).substr(0, max_text));
    return value;
}

}  // namespace ctrlexec
