#include "net/api_requests.h"

#include <fmt/format.h>

#include <algorithm>

#include "core/allowlist.h"
#include "core/base64.h"
#include "core/digest.h"
#include "core/duration.h"
#include "core/utf8.h"
#include "net/http_fields.h"

namespace ctrlexec {
namespace {

constexpr std::size_t max_body = 1u << 20;
constexpr std::size_t max_hosts = 10'000;

std::string path_of(std::string_view target) {
    if (const auto scheme = target.find("://"); scheme != std::string_view::npos && target.front() != '/') {
        const auto slash = target.find('/', scheme + 3);
        target = slash == std::string_view::npos ? std::string_view("/") : target.substr(slash);
    }
    return std::string(target.substr(0, target.find('?')));
}

// What follows the scheme in Authorization; "" when it names another one.
std::string_view credentials(const HttpMessage& request, std::string_view scheme) {
    const std::string_view value = request.header("authorization");
    if (value.size() <= scheme.size() || value[scheme.size()] != ' ' ||
        !http::equal_ignoring_case(value.substr(0, scheme.size()), scheme))
        return {};
    const auto start = value.find_first_not_of(' ', scheme.size());
    return start == std::string_view::npos ? std::string_view() : value.substr(start);
}

// Bearer is RFC 6750 section 2.1; Basic, RFC 7617, is what browsers have: the token is the password.
void read_authorization(const HttpMessage& request, ApiCall& call) {
    call.token = credentials(request, "bearer");
    const auto basic = from_base64(credentials(request, "basic"));
    const auto colon = basic ? basic->find(':') : std::string::npos;
    if (colon == std::string::npos) return;
    call.username = to_utf8(basic->substr(0, colon));
    call.token = basic->substr(colon + 1);
}

Error bad(std::string message, std::string detail = {}) {
    return fail(Errc::bad_request, std::move(message), std::move(detail));
}

// "30s", or a number of seconds.
Result<std::optional<std::chrono::milliseconds>> read_timeout(const json::Value& body) {
    using Timeout = std::optional<std::chrono::milliseconds>;
    const auto* member = body.find("timeout");
    if (member == nullptr || member->is_null()) return Timeout();
    const bool typed = member->if_string() != nullptr || member->if_integer() != nullptr;
    const auto timeout = typed ? parse_duration(member->scalar())
                               : Result<std::chrono::milliseconds>(bad("must be text or seconds"));
    if (!timeout) return bad("invalid timeout", timeout.error().message);
    return Timeout(*timeout);
}

}  // namespace

bool is_acceptable_content(const HttpMessage& request) {
    if (request.has_header("content-encoding") && request.header("content-encoding") != "identity")
        return false;
    if (!request.has_header("content-type")) return true;
    std::string_view type = request.header("content-type");
    type = type.substr(0, type.find(';'));
    while (!type.empty() && type.back() == ' ') type.remove_suffix(1);
    // The last two are what curl and old clients send when nobody tells them otherwise.
    for (const std::string_view known :
         {"application/json", "application/x-www-form-urlencoded", "text/plain"}) {
        if (http::equal_ignoring_case(type, known)) return true;
    }
    return false;
}

std::shared_ptr<const ApiCall> read_api_call(std::shared_ptr<const ApiSnapshot> snapshot,
                                             std::shared_ptr<ApiState> state, std::string source_ip,
                                             HttpMessage request) {
    auto call = std::make_shared<ApiCall>();
    call->snapshot = std::move(snapshot);
    call->state = std::move(state);
    call->source_ip = std::move(source_ip);
    call->path = path_of(request.target);
    read_authorization(request, *call);
    if (!request.body.empty()) {
        auto value = json::parse(request.body, max_body);
        if (value && value->if_object() != nullptr) {
            if (std::string user = value->scalar("username"); !user.empty()) call->username = to_utf8(user);
            if (std::string token = value->scalar("token"); !token.empty()) call->token = std::move(token);
            call->body = std::move(*value);
        } else {
            call->body_error = value ? "not a JSON object" : value.error().detail;
        }
    }
    call->request = std::move(request);
    return call;
}

Result<const json::Value*> required_body(const ApiCall& call) {
    if (call.body) {
        for (const std::string_view name : {"username", "token"}) {
            const auto* member = call.body->find(name);
            if (member != nullptr && (member->if_array() != nullptr || member->if_object() != nullptr))
                return bad(fmt::format("{} must be text", name));
        }
        return &*call.body;
    }
    if (call.body_error.empty()) return bad("request body required", "a JSON object");
    return bad("invalid JSON", call.body_error);
}

Result<std::vector<Target>> read_hosts(const json::Value* body, bool required) {
    const auto* member = body == nullptr ? nullptr : body->find("hosts");
    const bool absent = member == nullptr || member->is_null();
    if (absent && !required) return std::vector<Target>();
    const Error not_a_list = bad("hosts must be a non-empty array");
    if (absent || member->if_array() == nullptr || member->if_array()->empty()) return not_a_list;
    std::vector<std::string> words;
    for (const auto& item : *member->if_array()) {
        if (item.if_string() == nullptr) return bad(not_a_list.message, "of host names");
        words.push_back(*item.if_string());
    }
    if (words.size() > max_hosts) return bad(fmt::format("more than {} hosts", max_hosts));
    auto targets = parse_targets(words, 0);
    if (!targets) return bad("invalid host", targets.error().message);
    return targets;
}

Result<bool> read_async(const json::Value& body) {
    const auto* async = body.find("async");
    if (async == nullptr || async->is_null()) return false;
    if (async->if_bool() == nullptr) return bad("async must be true or false");
    return *async->if_bool();
}

Result<RunRequest> read_run(const ApiCall& call, const json::Value& body) {
    const auto* script = body.find("script");
    const std::string name = script != nullptr && script->if_string() != nullptr ? *script->if_string() : "";
    if (!is_valid_script_name(name)) return bad("script name required", "letters, digits, '_' and '-' only");
    // The agent's rules for arguments hold here too: numbers and booleans become text as there.
    TRY(RunRequest request, RunRequest::from_json(body));
    if (!request.problem.empty()) return bad(request.problem);
    TRY(request.timeout, read_timeout(body));
    request.reqid = new_reqid();
    request.username = call.username;
    request.token = call.token;
    return request;
}

}  // namespace ctrlexec
