// The policy file and its globs: whatever a file holds, a grant is what its line says and nothing more, an
// error names its line, and a glob agrees with a slow, obvious matcher.
#include <algorithm>
#include <string>
#include <vector>

#include "core/auth_policy.h"
#include "core/digest.h"
#include "core/glob.h"
#include "core/utf8.h"
#include "test/fuzz/harness.h"

namespace ctrlexec::fuzz {
namespace {

constexpr std::size_t max_slow = 64;

// reached[p]: the first p characters of the pattern can match what of the text has been taken so far.
bool slow_match(std::string_view pattern, std::string_view text) {
    const auto pass_stars = [&](std::vector<bool>& reached) {
        for (std::size_t p = 0; p < pattern.size(); ++p) {
            if (reached[p] && pattern[p] == '*') reached[p + 1] = true;
        }
    };
    std::vector<bool> reached(pattern.size() + 1);
    reached[0] = true;
    pass_stars(reached);
    for (const char c : text) {
        std::vector<bool> next(pattern.size() + 1);
        for (std::size_t p = 0; p < pattern.size(); ++p) {
            if (!reached[p]) continue;
            if (pattern[p] == '*') next[p] = true;
            if (pattern[p] == '?' || pattern[p] == c) next[p + 1] = true;
        }
        pass_stars(next);
        reached = next;
    }
    return reached[pattern.size()];
}

void check_glob(std::string_view pattern, std::string_view text) {
    pattern = pattern.substr(0, max_slow);
    text = text.substr(0, max_slow);
    // The slow one knows bytes only.
    const bool ascii = std::ranges::all_of(text, [](char c) { return static_cast<unsigned char>(c) < 0x80; });
    if (ascii) require(glob_matches(pattern, text) == slow_match(pattern, text));
    if (pattern.find_first_of("*?") == std::string_view::npos)
        require(glob_matches(pattern, text) == (pattern == text));
    require(glob_matches("*", text));
    if (is_utf8(pattern)) require(glob_matches(std::string(pattern) + "*", pattern));
}

std::string joined(const std::vector<std::string>& items) {
    std::string text;
    for (const auto& item : items) text += (text.empty() ? "" : ",") + item;
    return text.empty() ? "-" : text;
}

// The grant as a line of a file again.
std::string rendered(const PolicyGrant& grant) {
    std::vector<std::string> actions{"api"};
    if (grant.permits(PolicyAction::run)) actions.emplace_back("run");
    if (grant.permits(PolicyAction::ping)) actions.emplace_back("ping");
    if (grant.permits(PolicyAction::status)) actions.emplace_back("status");
    if (grant.permits(PolicyAction::metrics)) actions.emplace_back("metrics");
    std::vector<std::string> hosts = grant.hosts;
    for (const auto& [key, value] : grant.tags) hosts.push_back("tag:" + key + "=" + value);
    const auto* bytes = reinterpret_cast<const std::uint8_t*>(grant.digest.data());
    return "sha256:" + to_hex({bytes, grant.digest.size()}) + " " + joined(actions) + " " +
           joined(grant.scripts) + " " + joined(hosts) + (grant.name.empty() ? "" : " " + grant.name) + "\n";
}

void check_grant(const PolicyGrant& grant) {
    require(grant.digest.size() == 32 && grant.permits(PolicyAction::api));
    require(grant.name.size() <= 64);
    std::vector<std::string> all = grant.scripts;
    all.insert(all.end(), grant.hosts.begin(), grant.hosts.end());
    for (const auto& [key, value] : grant.tags) {
        all.push_back(key);
        all.push_back(value);
    }
    for (const auto& item : all)
        require(!item.empty() && is_utf8(item) && item.find_first_of(" \t\n,") == std::string::npos);
    // Unless the line is longer than before, it can be read and says the same.
    const std::string line = rendered(grant);
    if (line.size() > max_policy_line) return;
    const auto again = AuthPolicy::parse("x", line);
    require(again && again->grants().size() == 1);
    require(rendered(again->grants().front()) == line);
}

}  // namespace

int fuzz_auth_policy(const std::uint8_t* data, std::size_t size) {
    const std::string_view text = text_of_input(data, size);
    const auto line_end = std::min(text.find('\n'), text.size());
    check_glob(text.substr(0, line_end), text.substr(std::min(line_end + 1, text.size())));
    const auto policy = AuthPolicy::parse("x", text);
    if (!policy) {
        require(policy.error().code == Errc::config);
        require(policy.error().message.starts_with("x:") && is_utf8(policy.error().message));
        require(printable(policy.error().message) == policy.error().message);
        return 0;
    }
    for (const auto& grant : policy->grants()) check_grant(grant);
    // Nobody has the token of a hash that chance has made, and nothing is not a token.
    AuthRequest question;
    question.action = "api";
    require(policy->judge(question, {}) == AuthPolicy::Verdict::unknown_token);
    question.token = text;
    question.action = "run";
    question.hosts.emplace_back("web-01");
    require(policy->judge(question, {}) == AuthPolicy::Verdict::unknown_token);
    require(policy->undecided(question).empty());
    return 0;
}

}  // namespace ctrlexec::fuzz
