// Reading and writing the policy file; what its lines mean is in auth_policy.cc.
#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <memory>

#include "core/auth_policy.h"
#include "core/base64.h"
#include "core/config_file.h"
#include "core/digest.h"
#include "core/file.h"
#include "core/utf8.h"

namespace ctrlexec {
namespace {

using enum PolicyAction;

constexpr std::size_t max_name = 64;
constexpr std::string_view hash_prefix = "sha256:";
constexpr std::string_view alphanumeric = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";

bool consists_of(std::string_view text, std::string_view more) {
    return std::ranges::all_of(text, [&](char c) {
        return alphanumeric.find(c) != std::string_view::npos || more.find(c) != std::string_view::npos;
    });
}

Error bad(std::string message) {
    return fail(Errc::config, std::move(message));
}

std::string quoted(std::string_view text) {
    return "'" + printable(text.substr(0, 80)) + "'";
}

std::vector<std::string_view> fields_of(std::string_view line) {
    std::vector<std::string_view> fields;
    for (line = trim(line); !line.empty(); line = trim(line)) {
        const auto end = std::min(line.find_first_of(" \t"), line.size());
        fields.push_back(line.substr(0, end));
        line.remove_prefix(end);
    }
    return fields;
}

// "a,b" as a and b; "-" alone as nothing.
Result<std::vector<std::string_view>> items_of(std::string_view field, std::string_view what) {
    std::vector<std::string_view> items;
    if (field == "-") return items;
    for (std::size_t at = 0; at <= field.size();) {
        const auto comma = std::min(field.find(',', at), field.size());
        items.push_back(field.substr(at, comma - at));
        at = comma + 1;
        if (items.back().empty() || items.back() == "-")
            return bad(fmt::format(
                "{} in {}: an empty item; write a comma between two items only, '-' alone for none", what,
                quoted(field)));
    }
    return items;
}

Result<std::string> read_digest(std::string_view field) {
    const std::string_view hex = field.substr(std::min(field.size(), hash_prefix.size()));
    std::string digest;
    for (std::size_t i = 0; i + 1 < hex.size(); i += 2) {
        const auto digit = [&](char c) { return std::string_view("0123456789abcdef").find(c); };
        if (digit(hex[i]) > 15 || digit(hex[i + 1]) > 15) break;
        digest += static_cast<char>(digit(hex[i]) << 4 | digit(hex[i + 1]));
    }
    // The field may be the token itself, written there by mistake: it is not repeated.
    if (!field.starts_with(hash_prefix) || hex.size() != 64 || digest.size() != 32)
        return bad(
            "the line must begin with 'sha256:' and the 64 lower-case hex digits of the token's hash; make "
            "it "
            "with 'ctrl-exec-dispatcher token'");
    const auto of_nothing = sha256("");
    if (digest == std::string(of_nothing.begin(), of_nothing.end()))
        return bad("this is the hash of an empty token; make one with 'ctrl-exec-dispatcher token'");
    return digest;
}

Result<unsigned> read_actions(std::string_view field) {
    constexpr unsigned all = static_cast<unsigned>(api) | static_cast<unsigned>(run) |
                             static_cast<unsigned>(ping) | static_cast<unsigned>(status) |
                             static_cast<unsigned>(metrics);
    constexpr std::array<std::pair<std::string_view, unsigned>, 6> words{{
        {"*", all},
        {"api", static_cast<unsigned>(api)},
        {"metrics", static_cast<unsigned>(metrics)},
        {"ping", static_cast<unsigned>(ping)},
        {"run", static_cast<unsigned>(run)},
        {"status", static_cast<unsigned>(status)},
    }};
    TRY(const auto items, items_of(field, "actions"));
    auto actions = static_cast<unsigned>(api);
    for (const auto item : items) {
        const auto found = std::ranges::find(words, item, &std::pair<std::string_view, unsigned>::first);
        if (found == words.end())
            return bad(
                fmt::format("{} is no action; use run, ping, status, metrics, api or *", quoted(item)));
        actions |= found->second;
    }
    return actions;
}

Result<std::vector<std::string>> read_scripts(std::string_view field) {
    TRY(const auto items, items_of(field, "scripts"));
    std::vector<std::string> scripts;
    for (const auto item : items) {
        if (!consists_of(item, "_-*?"))
            return bad(fmt::format(
                "{} matches no script; use letters, digits, '_', '-', and '*' and '?' as wildcards",
                quoted(item)));
        scripts.emplace_back(item);
    }
    return scripts;
}

Result<void> read_hosts(std::string_view field, PolicyGrant& grant) {
    constexpr std::string_view tag = "tag:";
    TRY(const auto items, items_of(field, "hosts"));
    for (const auto item : items) {
        const auto equals = item.find('=');
        if (item.starts_with(tag)) {
            const auto key = item.substr(tag.size(), std::max(equals, tag.size()) - tag.size());
            if (equals == std::string_view::npos || key.empty() || !consists_of(key, "_-.") ||
                equals + 1 == item.size())
                return bad(
                    fmt::format("{} is no tag; write tag:KEY=VALUE, such as tag:env=prod*", quoted(item)));
            grant.tags.emplace_back(key, item.substr(equals + 1));
        } else if (consists_of(item, "._-:*?")) {
            grant.hosts.emplace_back(item);
        } else {
            return bad(fmt::format(
                "{} matches no host; use names or addresses without port, '*' and '?' as wildcards, or "
                "tag:KEY=VALUE",
                quoted(item)));
        }
    }
    return success();
}

Result<PolicyGrant> read_line(std::string_view line) {
    const bool has_control = std::ranges::any_of(
        line, [](char c) { return (static_cast<unsigned char>(c) < 0x20 && c != '\t') || c == 0x7f; });
    if (has_control || !is_utf8(line)) return bad("not plain UTF-8 text; remove control characters");
    if (line.size() > max_policy_line)
        return bad(
            fmt::format("longer than {} bytes; several lines may have the same hash", max_policy_line));
    const auto fields = fields_of(line);
    PolicyGrant grant;
    TRY(grant.digest, read_digest(fields[0]));
    if (fields.size() < 4 || fields.size() > 5)
        return bad(
            fmt::format("{} fields; expected 'sha256:HEX ACTIONS SCRIPTS HOSTS [NAME]'", fields.size()));
    TRY(grant.actions, read_actions(fields[1]));
    TRY(grant.scripts, read_scripts(fields[2]));
    TRY_DO(read_hosts(fields[3], grant));
    if (fields.size() == 5) grant.name = fields[4];
    if (grant.name.size() > max_name || !consists_of(grant.name, "._-"))
        return bad(fmt::format("{} is no name; use up to {} letters, digits, '.', '_' and '-'",
                               quoted(grant.name), max_name));
    return grant;
}

}  // namespace

Result<AuthPolicy> AuthPolicy::parse(const std::string& path, std::string_view text) {
    AuthPolicy policy;
    if (text.starts_with("\xef\xbb\xbf"))
        return bad(fmt::format("{}:1: begins with a byte order mark; save it as UTF-8 without one", path));
    for (int line = 1; !text.empty(); ++line) {
        const auto end = text.find('\n');
        const std::string_view content = trim(text.substr(0, end));
        text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
        if (content.empty() || content.front() == '#') continue;
        auto grant = read_line(content);
        if (!grant) return bad(fmt::format("{}:{}: {}", path, line, grant.error().message));
        if (policy.grants_.size() == max_policy_grants)
            return bad(
                fmt::format("{}:{}: more than {} grants; remove old ones", path, line, max_policy_grants));
        policy.grants_.push_back(std::move(*grant));
    }
    return policy;
}

Result<AuthPolicy> AuthPolicy::load(const std::string& path) {
    struct stat found {};
    if (::stat(path.c_str(), &found) != 0) {
        const Error why = errno_error("read", path, errno);
        return bad(fmt::format("auth_policy: {}", why.message));
    }
    if ((found.st_mode & 0022) != 0)
        return bad(
            fmt::format("auth_policy: others than its owner may write to {0} (mode {1:04o}), and so give "
                        "themselves any right; run `chmod go-w {0}`",
                        path, found.st_mode & 07777u));
    const auto text = read_file(path, max_policy_bytes);
    if (!text) return bad(fmt::format("auth_policy: {}", text.error().message));
    return parse(path, *text);
}

std::string new_token() {
    std::string token = base64(random_bytes(32));
    token.erase(token.find_last_not_of('=') + 1);
    std::ranges::replace(token, '+', '-');
    std::ranges::replace(token, '/', '_');
    return "ce_" + token;
}

Result<std::string> policy_line(std::string_view token, std::string_view actions, std::string_view scripts,
                                std::string_view hosts, std::string_view name) {
    for (const auto field : {actions, scripts, hosts}) {
        if (fields_of(field).size() != 1)
            return bad(fmt::format("{} must be a list with commas and without blanks", quoted(field)));
    }
    if (name.find_first_of(" \t") != std::string_view::npos)
        return bad(fmt::format("{} is no name; it must have no blanks", quoted(name)));
    std::string line =
        fmt::format("{}{} {} {} {}", hash_prefix, to_hex(sha256(token)), actions, scripts, hosts);
    if (!name.empty()) line += fmt::format(" {}", name);
    if (auto grant = read_line(line); !grant) return std::move(grant).error();
    return line;
}

Result<void> append_to_policy(const std::string& named, const std::string& line) {
    // A link stays what it is, and what it leads to is changed.
    const std::unique_ptr<char, decltype(&std::free)> resolved(::realpath(named.c_str(), nullptr),
                                                               &std::free);
    const std::string path = resolved ? resolved.get() : named;
    TRY(const FileLock lock, FileLock::acquire(path + ".lock", FileLock::Wait::yes));
    std::string text;
    if (file_exists(path)) {
        TRY_DO(AuthPolicy::load(path));
        TRY(text, read_file(path, max_policy_bytes));
        if (!text.empty() && text.back() != '\n') text += '\n';
    }
    text += line + '\n';
    if (text.size() > max_policy_bytes)
        return bad(
            fmt::format("{}: would be larger than {} bytes; remove old lines", path, max_policy_bytes));
    TRY_DO(AuthPolicy::parse(path, text));
    return replace_file_atomic(path, text, 0600);
}

}  // namespace ctrlexec
