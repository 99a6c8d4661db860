#include "core/tag_cache.h"

#include <algorithm>

namespace ctrlexec {
namespace {

constexpr std::size_t max_tags = 64;
constexpr std::size_t max_tag_bytes = 256;  // of key and value together

}  // namespace

Tags tags_of(const json::Value& answer) {
    Tags tags;
    const auto* member = answer.find("tags");
    if (member == nullptr || member->if_object() == nullptr) return tags;
    for (const auto& [key, value] : *member->if_object()) {
        std::string text = value.scalar();
        if (tags.size() == max_tags) break;
        if (key.size() + text.size() <= max_tag_bytes) tags.emplace_back(key, std::move(text));
    }
    return tags;
}

Tags with_assigned(Tags said, const Tags& assigned) {
    std::erase_if(said, [&](const auto& tag) {
        return std::ranges::any_of(assigned, [&](const auto& other) { return other.first == tag.first; });
    });
    said.insert(said.end(), assigned.begin(), assigned.end());
    return said;
}

json::Value tags_json(const Tags& tags) {
    json::Object object;
    for (const auto& [key, value] : tags) object.push_back({key, value});
    return json::Value(std::move(object));
}

void TagCache::put(const std::string& host, Tags tags, Time now) {
    if (!hosts_.contains(host) && hosts_.size() >= max_hosts) make_room(now);
    hosts_[host] = Entry{std::move(tags), now + kept};
}

const Tags* TagCache::find(const std::string& host, Time now) const {
    const auto found = hosts_.find(host);
    return found == hosts_.end() || now >= found->second.until ? nullptr : &found->second.tags;
}

// What is too old, then, if that was nothing, the oldest.
void TagCache::make_room(Time now) {
    std::erase_if(hosts_, [&](const auto& entry) { return now >= entry.second.until; });
    if (hosts_.size() < max_hosts) return;
    hosts_.erase(std::ranges::min_element(
        hosts_, [](const auto& a, const auto& b) { return a.second.until < b.second.until; }));
}

}  // namespace ctrlexec
