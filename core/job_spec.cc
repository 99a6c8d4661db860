#include "core/job_spec.h"

#include "core/base64.h"
#include "core/config_file.h"
#include "core/json.h"
#include "core/utf8.h"

namespace ctrlexec {
namespace {

constexpr std::int64_t max_milliseconds = INT64_C(1) << 40;
constexpr std::int64_t max_output = INT64_C(1) << 30;
constexpr std::string_view exact = "b64";

Error bad_spec(std::string_view what) {
    return fail(Errc::bad_request, "not the specification of a job", std::string(what));
}

// Arguments, paths and environments are bytes; JSON strings are UTF-8.
json::Value from_bytes(const std::string& bytes) {
    if (is_utf8(bytes)) return bytes;
    return json::Object{{std::string(exact), base64(bytes)}};
}

bool to_bytes(const json::Value* value, std::string& out) {
    if (value == nullptr) return false;
    if (const auto* text = value->if_string()) {
        out = *text;
        return true;
    }
    const auto* encoded = value->find(exact);
    if (encoded == nullptr || encoded->if_string() == nullptr) return false;
    auto bytes = from_base64(*encoded->if_string());
    if (bytes) out = std::move(*bytes);
    return bytes.has_value();
}

json::Value from_list(const std::vector<std::string>& items) {
    json::Array array;
    for (const auto& item : items) array.push_back(from_bytes(item));
    return array;
}

bool to_list(const json::Value* value, std::vector<std::string>& out) {
    const auto* array = value == nullptr ? nullptr : value->if_array();
    if (array == nullptr) return false;
    for (const auto& item : *array) {
        if (!to_bytes(&item, out.emplace_back())) return false;
    }
    return true;
}

bool to_number(const json::Value& value, std::string_view key, std::int64_t low, std::int64_t high,
               std::int64_t& out) {
    const auto* member = value.find(key);
    const std::int64_t* number = member == nullptr ? nullptr : member->if_integer();
    if (number == nullptr || *number < low || *number > high) return false;
    out = *number;
    return true;
}

template <typename T>
json::Value from_numbers(const std::vector<T>& numbers) {
    json::Array array;
    for (const T number : numbers) array.emplace_back(std::int64_t{number});
    return array;
}

constexpr std::int64_t max_id = UINT32_MAX - 1;  // the highest one means "unchanged" to system calls
constexpr std::size_t max_groups = 65'536;       // of a process

// As whom the script runs was found by the agent; null: as we do.
json::Value from_credentials(const std::optional<Credentials>& credentials) {
    if (!credentials) return json::Value();
    return json::Object{
        {"uid", std::int64_t{credentials->uid}},       {"gid", std::int64_t{credentials->gid}},
        {"groups", from_numbers(credentials->groups)}, {"user", from_bytes(credentials->user)},
        {"home", from_bytes(credentials->home)},       {"own", credentials->own}};
}

bool to_groups(const json::Value* value, std::vector<gid_t>& out) {
    const auto* array = value == nullptr ? nullptr : value->if_array();
    if (array == nullptr || array->size() > max_groups) return false;
    for (const auto& item : *array) {
        const std::int64_t* number = item.if_integer();
        if (number == nullptr || *number < 0 || *number > max_id) return false;
        out.push_back(static_cast<gid_t>(*number));
    }
    return true;
}

// Nothing of it may be missing: a script must never run as somebody else than was meant.
bool to_credentials(const json::Value* value, std::optional<Credentials>& out) {
    if (value == nullptr) return false;
    if (value->is_null()) return true;
    Credentials credentials;
    std::int64_t uid = 0;
    std::int64_t gid = 0;
    const auto* own = value->find("own");
    if (!to_number(*value, "uid", 0, max_id, uid) || !to_number(*value, "gid", 0, max_id, gid) ||
        !to_groups(value->find("groups"), credentials.groups) ||
        !to_bytes(value->find("user"), credentials.user) ||
        !to_bytes(value->find("home"), credentials.home) || own == nullptr || own->if_bool() == nullptr) {
        return false;
    }
    credentials.uid = static_cast<uid_t>(uid);
    credentials.gid = static_cast<gid_t>(gid);
    credentials.own = *own->if_bool();
    out = std::move(credentials);
    return true;
}

bool to_time(const json::Value& value, std::string_view key, std::chrono::milliseconds& out) {
    std::int64_t count = 0;
    if (!to_number(value, key, 0, max_milliseconds, count)) return false;
    out = std::chrono::milliseconds(count);
    return true;
}

}  // namespace

Result<JobSpec> JobSpec::parse(std::string_view text) {
    TRY(const json::Value value, json::parse(text, max_job_spec));
    std::string path;
    if (!to_bytes(value.find("path"), path) || path.empty() || path.front() != '/') return bad_spec("path");
    JobSpec spec{SpawnPlan(ApprovedProgram(std::move(path)))};
    SpawnPlan& plan = spec.plan;
    if (!to_list(value.find("arguments"), plan.arguments)) return bad_spec("arguments");
    if (!to_list(value.find("environment"), plan.environment)) return bad_spec("environment");
    if (!to_bytes(value.find("directory"), plan.directory)) return bad_spec("directory");
    if (!to_bytes(value.find("input"), spec.input)) return bad_spec("input");
    if (!to_credentials(value.find("credentials"), plan.credentials)) return bad_spec("credentials");
    std::int64_t mask = 0;
    std::int64_t nice = 0;
    if (!to_number(value, "umask", 0, 0777, mask) || !to_number(value, "nice", -20, 19, nice))
        return bad_spec("umask or nice");
    plan.umask = static_cast<mode_t>(mask);
    plan.nice = static_cast<int>(nice);
    std::int64_t limit = 0;
    if (!to_time(value, "input_timeout_ms", spec.input_timeout) ||
        !to_time(value, "run_timeout_ms", spec.run_timeout) ||
        !to_time(value, "kill_grace_ms", spec.kill_grace) ||
        !to_number(value, "output_limit", 0, max_output, limit)) {
        return bad_spec("limits");
    }
    spec.output_limit = static_cast<std::size_t>(limit);
    return spec;
}

std::string JobSpec::to_json() const {
    return json::dump(json::Object{{"path", from_bytes(plan.program.path())},
                                   {"arguments", from_list(plan.arguments)},
                                   {"environment", from_list(plan.environment)},
                                   {"directory", from_bytes(plan.directory)},
                                   {"credentials", from_credentials(plan.credentials)},
                                   {"umask", std::int64_t{plan.umask}},
                                   {"nice", std::int64_t{plan.nice}},
                                   {"input", from_bytes(input)},
                                   {"input_timeout_ms", std::int64_t{input_timeout.count()}},
                                   {"run_timeout_ms", std::int64_t{run_timeout.count()}},
                                   {"kill_grace_ms", std::int64_t{kill_grace.count()}},
                                   {"output_limit", std::uint64_t{output_limit}}});
}

}  // namespace ctrlexec
