#include "core/result_groups.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <utility>

#include "core/digest.h"
#include "core/target.h"

namespace ctrlexec {
namespace {

constexpr std::size_t overhead = 1024;  // of a group, beside what the result says

bool is_of_word(char c) {
    const auto byte = static_cast<unsigned char>(c);
    return std::isalnum(byte) != 0 || byte >= 0x80 ||
           std::string_view("-_.:[]").find(c) != std::string_view::npos;
}

// "192.0.2.1:7443", "[::1]:7443", "web-01", without what only ends the word.
bool names_host(std::string_view word, std::string_view host) {
    if (word == host) return true;
    const auto target = Target::parse(word);
    return target && (target->host == host || is_ip_address(target->host));
}

std::array<std::uint8_t, 32> key_of(const RunResult& result) {
    std::string text = fmt::format("{} {} {} {} {} ", word(result.outcome()), result.exit, result.signal,
                                   result.output_truncated ? 1 : 0, result.errors_truncated ? 1 : 0);
    const std::string error = without_hosts(result.error, result.host);
    for (const std::string_view part :
         {std::string_view(result.output), std::string_view(result.errors), std::string_view(error)}) {
        text += to_hex(sha256(part));
    }
    return sha256(text);
}

void add_name(ResultGroup& group, std::string host) {
    ++group.count;
    group.hosts.insert(std::upper_bound(group.hosts.begin(), group.hosts.end(), host), std::move(host));
    if (group.hosts.size() > ResultGroup::max_hosts) group.hosts.pop_back();
}

}  // namespace

std::string without_hosts(std::string_view error, std::string_view host) {
    std::string text;
    while (!error.empty()) {
        const auto end = std::find_if_not(error.begin(), error.end(), is_of_word);
        std::string_view word = error.substr(0, static_cast<std::size_t>(end - error.begin()));
        if (word.empty()) {
            text += error[0];
            error.remove_prefix(1);
            continue;
        }
        const auto last = word.find_last_not_of(":.");
        word = word.substr(0, last == std::string_view::npos ? word.size() : last + 1);
        if (names_host(word, host)) {
            text += "HOST";
        } else {
            text += word;
        }
        error.remove_prefix(word.size());
    }
    return text;
}

std::optional<RunResult> ResultGroups::add(RunResult result) {
    const Key key = key_of(result);
    const auto found = groups_.find(key);
    if (found != groups_.end()) {
        ResultGroup& group = found->second;
        if (group.count == 1) group.result.error = without_hosts(group.result.error, group.result.host);
        add_name(group, std::move(result.host));
        return std::nullopt;
    }
    const std::size_t bytes = result.output.size() + result.errors.size() + result.error.size() + overhead;
    if (bytes > left_) return result;
    left_ -= bytes;
    ResultGroup& group = groups_[key];
    add_name(group, result.host);
    group.result = std::move(result);
    return std::nullopt;
}

std::vector<ResultGroup> ResultGroups::take() {
    std::vector<ResultGroup> groups;
    groups.reserve(groups_.size());
    for (auto& entry : groups_) groups.push_back(std::move(entry.second));
    groups_.clear();
    std::sort(groups.begin(), groups.end(), [](const ResultGroup& a, const ResultGroup& b) {
        return a.count != b.count ? a.count > b.count : a.hosts.front() < b.hosts.front();
    });
    return groups;
}

}  // namespace ctrlexec
