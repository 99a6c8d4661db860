// Usage: discover [HOST[:PORT]...]
// Asks agents, by default all that are registered, what they are: HOST, STATUS, VERSION, SCRIPTS, TAGS of
// each. Their tags are kept for tag:KEY=VALUE. Exit 0 when every agent answered, else 1.
#include <fmt/format.h>

#include <algorithm>

#include "cmd/ask_hook.h"
#include "cmd/dispatcher_context.h"
#include "cmd/print.h"
#include "cmd/target_options.h"
#include "cmd/verbs.h"
#include "core/tag_cache.h"
#include "core/utf8.h"
#include "net/dispatch.h"
#include "net/runtime.h"
#include "net/tag_records.h"

namespace ctrlexec {
namespace {

std::string scripts_text(const json::Value& answer) {
    std::string text;
    const auto* scripts = answer.find("scripts");
    if (scripts == nullptr || scripts->if_array() == nullptr) return text;
    for (const auto& script : *scripts->if_array()) text += (text.empty() ? "" : " ") + script.scalar("name");
    return text;
}

std::string tags_text(const json::Value& answer) {
    std::string text;
    for (const auto& [key, value] : tags_of(answer)) text += (text.empty() ? "" : " ") + key + "=" + value;
    return text;
}

void print_table(const Invocation& call, const std::vector<DiscoveryResult>& results) {
    std::vector<std::vector<std::string>> rows;
    for (const auto& r : results) {
        auto& row = rows.emplace_back();
        row.push_back(r.host);
        row.emplace_back(r.ok() ? "ok" : "error");
        row.push_back(r.answer.scalar("version"));
        row.push_back(scripts_text(r.answer));
        row.push_back(tags_text(r.answer));
    }
    print_out(format_table({"HOST", "STATUS", "VERSION", "SCRIPTS", "TAGS"}, rows));
    for (const auto& r : results) {
        if (!r.ok()) print_error_line(fmt::format("{}: {}: {}", call.program, r.host, printable(r.error)));
    }
}

void print_json(const std::vector<DiscoveryResult>& results) {
    json::Array array;
    for (const auto& result : results) array.push_back(result.to_json());
    print_out(json::dump(json::Object{{"ok", 1}, {"results", std::move(array)}}) + "\n");
}

}  // namespace

int dispatcher_discover(const Invocation& call) {
    std::vector<std::string> words = call.operands;
    if (words.empty()) words.emplace_back("all");
    auto chosen = choose_targets(call, words);
    if (!chosen) return report(call, chosen.error());
    const DispatcherConfig& config = chosen->config;
    std::vector<Target>& targets = chosen->targets;
    auto question = hook_question(call, "ping", targets);
    if (!question) return report(call, question.error());

    Runtime runtime;
    const auto dispatch = Dispatch::create(runtime, config, Dispatch::Connections::one_each);
    if (!dispatch) return report(call, dispatch.error());
    if (const auto refused = refused_by_hook(runtime, *dispatch, call, std::move(*question))) return *refused;
    DiscoveredTags tags(targets);
    std::vector<DiscoveryResult> results;
    Result<void> kept;
    std::function<void(DiscoveryResult)> on_result = [&](DiscoveryResult result) {
        tags.add(result);
        results.push_back(std::move(result));
    };
    runtime.run([&]() -> asio::awaitable<int> {
        co_await dispatch->discover(std::move(targets), std::move(on_result));
        kept = co_await keep_tags(runtime, config, std::move(tags));
        co_return 0;
    });
    std::ranges::stable_sort(results, {}, &DiscoveryResult::host);
    if (call.has("--json")) {
        print_json(results);
    } else {
        print_table(call, results);
    }
    if (!kept)
        print_error_line(fmt::format("{}: the tags are not kept: {}", call.program, kept.error().text()));
    const bool all_ok = std::ranges::all_of(results, &DiscoveryResult::ok);
    return all_ok && kept ? 0 : 1;
}

}  // namespace ctrlexec
