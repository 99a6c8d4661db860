#include "core/run_request.h"

#include <algorithm>

#include "core/timestamp.h"

namespace ctrlexec {
namespace {

constexpr std::size_t max_body = 1u << 20;

// execve ends an argument at its first NUL: what would run is not what was asked for.
bool has_nul(std::string_view text) {
    return text.find('\0') != std::string_view::npos;
}

}  // namespace

void RunRequest::take_arguments(const json::Value& value) {
    const auto* array = value.if_array();
    const bool nested =
        array != nullptr && std::any_of(array->begin(), array->end(), [](const json::Value& item) {
            return item.if_array() != nullptr || item.if_object() != nullptr;
        });
    if (array == nullptr || nested) {
        problem = "args must be an array";
        return;
    }
    for (const auto& item : *array) {
        arguments.push_back(item.scalar());
        if (has_nul(arguments.back())) problem = "an argument holds a NUL byte";
    }
}

Result<RunRequest> RunRequest::parse(std::string_view body) {
    TRY(const json::Value value, json::parse(body, max_body));
    return from_json(value);
}

Result<RunRequest> RunRequest::from_json(const json::Value& value) {
    if (value.if_object() == nullptr) return fail(Errc::bad_request, "invalid JSON", "not an object");
    RunRequest request;
    request.script = value.scalar("script");
    request.reqid = value.scalar("reqid");
    request.username = value.scalar("username");
    request.token = value.scalar("token");
    const auto* arguments = value.find("args");
    if (arguments != nullptr && !arguments->is_null()) request.take_arguments(*arguments);
    return request;
}

json::Value RunRequest::to_value() const {
    return json::Object{{"script", script},
                        {"args", json::strings(arguments)},
                        {"reqid", reqid},
                        {"username", username},
                        {"token", token}};
}

std::string RunRequest::script_input(const std::string& peer_ip, std::int64_t now) const {
    return json::dump(json::Object{{"script", script},
                                   {"args", json::strings(arguments)},
                                   {"reqid", reqid},
                                   {"peer_ip", peer_ip},
                                   {"username", username},
                                   {"token", token},
                                   {"timestamp", iso8601(now)}});
}

}  // namespace ctrlexec
