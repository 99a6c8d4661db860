#include "core/auth_policy.h"

#include <algorithm>
#include <optional>

#include "core/digest.h"
#include "core/glob.h"

namespace ctrlexec {
namespace {

using enum PolicyAction;
using Grants = std::vector<const PolicyGrant*>;

bool matches_one(const std::vector<std::string>& patterns, std::string_view text) {
    return std::ranges::any_of(patterns,
                               [&](const std::string& pattern) { return glob_matches(pattern, text); });
}

bool has_tag(const PolicyGrant& grant, const Tags& tags) {
    return std::ranges::any_of(grant.tags, [&](const auto& wanted) {
        return std::ranges::any_of(tags, [&](const auto& tag) {
            return tag.first == wanted.first && glob_matches(wanted.second, tag.second);
        });
    });
}

// What a grant must permit for the action; nothing for an action that we do not know.
std::optional<unsigned> actions_for(std::string_view action) {
    if (action == "api") return static_cast<unsigned>(api);
    if (action == "run") return static_cast<unsigned>(run);
    if (action == "ping") return static_cast<unsigned>(ping);
    if (action == "status") return static_cast<unsigned>(status) | static_cast<unsigned>(run);
    if (action == "metrics") return static_cast<unsigned>(metrics);
    return std::nullopt;
}

// The grants that permit action and script somewhere.
Grants applicable(const Grants& grants, const AuthRequest& question) {
    const auto actions = actions_for(question.action);
    const bool has_script = question.action == "run" || question.action == "status";
    Grants found;
    for (const PolicyGrant* grant : grants) {
        if (!actions || (grant->actions & *actions) == 0) continue;
        if (!has_script || matches_one(grant->scripts, question.script)) found.push_back(grant);
    }
    return found;
}

bool covers_name(const Grants& grants, const std::string& host) {
    return std::ranges::any_of(grants,
                               [&](const PolicyGrant* grant) { return matches_one(grant->hosts, host); });
}

bool covers_tags(const Grants& grants, const Tags& tags) {
    return std::ranges::any_of(grants, [&](const PolicyGrant* grant) { return has_tag(*grant, tags); });
}

bool is_about_hosts(const AuthRequest& question) {
    return question.action != "api" && question.action != "metrics";
}

}  // namespace

// Every line is compared, each in constant time: how long it takes tells nothing about the hashes.
std::vector<const PolicyGrant*> AuthPolicy::grants_of(std::string_view token) const {
    Grants found;
    if (token.empty() || token.size() > max_token) return found;
    const auto digest = sha256(token);
    const std::string_view wanted(reinterpret_cast<const char*>(digest.data()), digest.size());
    for (const PolicyGrant& grant : grants_) {
        if (equal_constant_time(grant.digest, wanted)) found.push_back(&grant);
    }
    return found;
}

AuthPolicy::Verdict AuthPolicy::judge(const AuthRequest& question, const std::vector<Tags>& tags) const {
    const Grants mine = grants_of(question.token);
    if (mine.empty()) return Verdict::unknown_token;
    const Grants grants = applicable(mine, question);
    if (grants.empty()) return Verdict::not_permitted;
    if (!is_about_hosts(question)) return Verdict::permitted;
    for (std::size_t i = 0; i < question.hosts.size(); ++i) {
        const bool covered =
            covers_name(grants, question.hosts[i]) || (i < tags.size() && covers_tags(grants, tags[i]));
        if (!covered) return Verdict::not_permitted;
    }
    // A record without hosts must not be everybody's.
    return question.hosts.empty() ? Verdict::not_permitted : Verdict::permitted;
}

std::vector<std::size_t> AuthPolicy::undecided(const AuthRequest& question) const {
    std::vector<std::size_t> open;
    if (!is_about_hosts(question)) return open;
    const Grants grants = applicable(grants_of(question.token), question);
    const bool by_tags =
        std::ranges::any_of(grants, [](const PolicyGrant* grant) { return !grant->tags.empty(); });
    for (std::size_t i = 0; by_tags && i < question.hosts.size(); ++i) {
        if (!covers_name(grants, question.hosts[i])) open.push_back(i);
    }
    return open;
}

std::string AuthPolicy::name_of(std::string_view token) const {
    for (const PolicyGrant* grant : grants_of(token)) {
        if (!grant->name.empty()) return grant->name;
    }
    return {};
}

}  // namespace ctrlexec
