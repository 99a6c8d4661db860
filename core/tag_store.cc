#include "core/tag_store.h"

#include <fmt/format.h>

#include <algorithm>

#include "core/file.h"
#include "core/json.h"
#include "core/registry.h"
#include "core/tag_cache.h"

namespace ctrlexec {
namespace {

constexpr std::size_t max_bytes = 64u << 20;
constexpr std::size_t max_tag_bytes = 4096;  // of one agent, keys and values together: more are left out

Result<json::Object> read_agents(const std::string& path) {
    const auto text = read_file(path, max_bytes);
    if (!text && text.error().code == Errc::not_found) return json::Object();
    if (!text) return text.error();
    auto value = json::parse(*text, max_bytes);
    auto* agents = value ? value->find("agents") : nullptr;
    if (agents == nullptr || agents->if_object() == nullptr)
        return fail(Errc::io,
                    fmt::format("{} is damaged; remove it, 'ctrl-exec-dispatcher discover' makes it "
                                "anew",
                                path));
    return std::move(*agents->if_object());
}

json::Value entry_of(const Tags& tags, std::int64_t now) {
    json::Object kept;
    std::size_t bytes = 0;
    for (const auto& [key, value] : tags) {
        bytes += key.size() + value.size();
        if (bytes <= max_tag_bytes) kept.push_back({key, value});
    }
    return json::Object{{"seen", now}, {"tags", std::move(kept)}};
}

}  // namespace

TagStore::TagStore(const DispatcherConfig& config)
    : path_(config.state_dir + "/tags.json"), agents_dir_(config.agents_dir()) {}

Result<TagsOfHosts> TagStore::load() const {
    TRY(const json::Object agents, read_agents(path_));
    TagsOfHosts hosts;
    for (const auto& agent : agents) hosts[agent.key] = tags_of(agent.value);
    return hosts;
}

Result<void> TagStore::update(const TagsOfHosts& fresh, std::int64_t now) const {
    const Registry registry(agents_dir_);
    TRY(const FileLock held, registry.lock());
    TRY(const auto names, registry.names());
    auto known = read_agents(path_);
    if (!known && known.error().code != Errc::io && known.error().code != Errc::too_large)
        return known.error();
    json::Object agents = known ? std::move(*known) : json::Object();
    std::erase_if(agents, [&](const json::Member& agent) {
        return fresh.contains(agent.key) || !std::ranges::binary_search(names, agent.key);
    });
    for (const auto& [host, tags] : fresh) {
        if (std::ranges::binary_search(names, host)) agents.push_back({host, entry_of(tags, now)});
    }
    const std::string text = json::dump(json::Object{{"agents", std::move(agents)}});
    if (text.size() > max_bytes)
        return fail(Errc::too_large,
                    fmt::format("{} would be larger than {} bytes; agents have fewer or shorter tags, please",
                                path_, max_bytes));
    return replace_file_atomic(path_, text, 0644);
}

}  // namespace ctrlexec
