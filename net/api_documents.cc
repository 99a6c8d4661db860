#include "net/api_documents.h"

#include <fmt/format.h>

#include "core/timestamp.h"

namespace ctrlexec {
namespace {

constexpr std::size_t max_document = 4u << 20;

// {"components":{"schemas":{NAME:{…,"enum":[…]}}}}; an empty enum would permit nothing at all.
void set_enum(json::Value& document, std::string_view schema, const std::vector<std::string>& values) {
    if (values.empty()) return;
    document.find("components")->find("schemas")->find(schema)->set("enum", json::strings(values));
}

HttpAnswer live_document(const ApiState& state, const std::vector<std::string>& hosts) {
    auto parsed = json::parse(openapi_text, max_document);
    if (!parsed) return api_error(500, "internal error");
    json::Value document = std::move(*parsed);
    json::Value* about = document.find("info");
    about->set("version", fmt::format("{}+{}", about->text("version"), now_seconds()));
    set_enum(document, "Host", hosts);
    set_enum(document, "Script", {state.script_names.begin(), state.script_names.end()});
    return json_answer(200, document);
}

}  // namespace

json::Value api_index(json::Array endpoints) {
    return json::Object{{"name", "ctrl-exec-api"},
                        {"version", CTRL_EXEC_VERSION},
                        {"spec", "/openapi.json"},
                        {"live_spec", "/openapi-live.json"},
                        {"endpoints", std::move(endpoints)}};
}

HttpAnswer api_health() {
    return json_answer(200, json::Object{{"ok", true}, {"version", CTRL_EXEC_VERSION}});
}

HttpAnswer one_word(int status, std::string_view word) {
    HttpAnswer answer;
    answer.status = status;
    answer.body = fmt::format("{}\n", word);
    answer.headers.emplace_back("Content-Type", "text/plain");
    return answer;
}

asio::awaitable<HttpAnswer> api_document(std::shared_ptr<const ApiCall>) {
    HttpAnswer answer;
    answer.body = openapi_text;
    co_return answer;
}

asio::awaitable<HttpAnswer> api_docs(std::shared_ptr<const ApiCall>) {
    HttpAnswer answer;
    answer.body = docs_page;
    answer.headers.emplace_back("Content-Type", "text/html; charset=utf-8");
    answer.headers.emplace_back("Content-Security-Policy", std::string(docs_page_policy));
    answer.headers.emplace_back("X-Content-Type-Options", "nosniff");
    answer.headers.emplace_back("Referrer-Policy", "no-referrer");
    co_return answer;
}

asio::awaitable<HttpAnswer> api_live_document(std::shared_ptr<const ApiCall> call) {
    const auto hosts = co_await registered_names(call);
    if (!hosts) co_return api_failed("the registry cannot be read", hosts.error());
    co_return live_document(*call->state, *hosts);
}

}  // namespace ctrlexec
