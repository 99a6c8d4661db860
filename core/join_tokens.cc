#include "core/join_tokens.h"

#include <dirent.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>

#include "core/address_list.h"
#include "core/certificate.h"
#include "core/config_file.h"
#include "core/digest.h"
#include "core/file.h"
#include "core/log.h"
#include "core/pairing_proof.h"
#include "core/registry.h"
#include "core/tag_cache.h"
#include "core/timestamp.h"
#include "core/utf8.h"

namespace ctrlexec {
namespace {

constexpr std::size_t max_tokens = 1000;
constexpr std::size_t max_token_bytes = 64 * 1024;
constexpr std::size_t max_files = max_join_uses + 100;
constexpr std::size_t max_pattern = 253;
constexpr std::size_t max_prefixes = 4096;
constexpr std::size_t max_tags = 32;
constexpr std::size_t max_tag_value = 192;
constexpr std::size_t redemption_name = 64 + 5;    // HEX.json
constexpr std::int64_t kept_after_expiry = 86400;  // seconds
constexpr std::int64_t retry_time = 3600;          // within it an agent that lost its answer asks again
constexpr std::int64_t nanoseconds = 1'000'000'000;

Error bad_terms(std::string message) {
    return fail(Errc::usage, std::move(message));
}

Result<void> check_tags(const Tags& tags) {
    if (tags.size() > max_tags) return bad_terms(fmt::format("at most {} tags", max_tags));
    for (std::size_t i = 0; i < tags.size(); ++i) {
        const auto& [key, value] = tags[i];
        const bool plain = std::none_of(value.begin(), value.end(), [](char c) {
            return static_cast<unsigned char>(c) < ' ' || c == '\x7f';
        });
        if (!is_config_key(key) || value.empty() || value.size() > max_tag_value || !plain ||
            !is_utf8(value)) {
            return bad_terms(
                fmt::format("'{}' is no tag KEY=VALUE (a key is 1 to 64 letters, digits, '_', "
                            "'-' and '.', a value 1 to {} bytes)",
                            printable((key + "=" + value).substr(0, 80)), max_tag_value));
        }
        for (std::size_t j = 0; j < i; ++j)
            if (tags[j].first == key) return bad_terms(fmt::format("the tag '{}' is there twice", key));
    }
    return success();
}

Result<void> check_terms(const JoinTerms& terms) {
    if (terms.ttl < min_join_ttl || terms.ttl > max_join_ttl)
        return bad_terms("a join token is valid for 1m to 365d");
    if (terms.uses < 1 || terms.uses > max_join_uses)
        return bad_terms(fmt::format("a join token has 1 to {} uses", max_join_uses));
    const bool is_pattern = std::all_of(terms.hosts.begin(), terms.hosts.end(), [](char c) {
        return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
               std::string_view("-._*?").find(c) != std::string_view::npos;
    });
    if (!is_pattern || terms.hosts.size() > max_pattern)
        return bad_terms(fmt::format("'{}' is no pattern of host names, such as web-*",
                                     printable(terms.hosts.substr(0, 80))));
    if (terms.from.size() > max_prefixes) return bad_terms("too many addresses");
    if (const auto list = AddressList::parse(terms.from); !list) return bad_terms(list.error().text());
    return check_tags(terms.tags);
}

Error unknown_token(std::string_view kid) {
    return fail(Errc::not_found, fmt::format("there is no join token '{}'; see join-token list",
                                             printable(kid.substr(0, 60))));
}

}  // namespace

std::string_view JoinTokenRecord::state(std::int64_t now) const {
    if (revoked != 0) return "revoked";
    if (has_expired(now)) return "expired";
    return used < terms.uses ? "usable" : "used up";
}

Result<JoinTokenRecord> JoinTokenRecord::from_json(const json::Value& value) {
    JoinTokenRecord record;
    record.kid = value.text("kid");
    const auto key = from_hex(value.text("key"));
    const auto created = parse_iso8601(value.text("created"));
    const auto expires = parse_iso8601(value.text("expires"));
    std::int64_t uses = 0;
    if (!is_valid_kid(record.kid) || !key || key->size() != 32 || !created || !expires ||
        !parse_integer(value.scalar("uses"), 1, max_join_uses, uses)) {
        return fail(Errc::bad_request, "not the record of a join token");
    }
    record.key = *key;
    record.created = *created;
    record.expires = *expires;
    record.terms.ttl = *expires - *created;
    record.terms.uses = static_cast<int>(uses);
    record.terms.hosts = value.text("hosts");
    record.terms.from = value.text("from");
    record.terms.replace = value.scalar("replace") == "1";
    record.terms.tags = tags_of(value);
    // One that was touched there counts as revoked, whatever it says.
    if (value.find("revoked") != nullptr)
        record.revoked = parse_iso8601(value.text("revoked")).value_or(record.created);
    return record;
}

json::Value JoinTokenRecord::to_json() const {
    json::Object object{{"kid", kid},
                        {"key", hex_of(key)},
                        {"created", iso8601(created)},
                        {"expires", iso8601(expires)},
                        {"uses", terms.uses}};
    if (!terms.hosts.empty()) object.push_back({"hosts", terms.hosts});
    if (!terms.from.empty()) object.push_back({"from", terms.from});
    if (!terms.tags.empty()) object.push_back({"tags", tags_json(terms.tags)});
    if (terms.replace) object.push_back({"replace", 1});
    if (revoked != 0) object.push_back({"revoked", iso8601(revoked)});
    return json::Value(std::move(object));
}

JoinTokens::JoinTokens(const DispatcherConfig& config)
    : root_(config.join_tokens_dir()),
      ca_file_(config.ca_dir + "/ca.crt"),
      agents_dir_(config.agents_dir()) {}

std::string JoinTokens::directory(std::string_view kid) const {
    return fmt::format("{}/{}", root_, kid);
}

Result<std::vector<std::string>> JoinTokens::kids() const {
    auto names = list_directory(root_, 10 * max_tokens);
    if (!names && names.error().code == Errc::not_found) return std::vector<std::string>();
    if (names) std::erase_if(*names, [](const std::string& name) { return !is_valid_kid(name); });
    return names;
}

Result<JoinToken> JoinTokens::create(const JoinTerms& terms, std::int64_t now) const {
    TRY_DO(check_terms(terms));
    const auto authority = Certificate::from_file(ca_file_);
    if (!authority) {
        return fail(Errc::config, authority.error().message + "; run ctrl-exec-dispatcher setup-ca",
                    authority.error().detail);
    }
    JoinToken token;
    token.kid = random_hex(8);
    token.secret = random_bytes(join_secret_bytes);
    token.pin.digest = digest_of(authority->spki_der());
    JoinTokenRecord record;
    record.kid = token.kid;
    record.key = join_key(token.secret, token.pin.digest);
    record.terms = terms;
    record.created = now;
    record.expires = now + terms.ttl;
    TRY(const FileLock held, Registry(agents_dir_).lock());
    TRY_DO(purge_locked(now));
    TRY(const auto others, kids());
    if (others.size() >= max_tokens) {
        return fail(Errc::busy,
                    fmt::format("there are {} join tokens already; they are forgotten a day after "
                                "they have expired",
                                others.size()));
    }
    TRY_DO(make_directories(root_, 0700));
    TRY_DO(make_directories(directory(token.kid), 0700));
    TRY_DO(write_file_atomic(directory(token.kid) + "/token.json", json::dump(record.to_json()), 0600));
    log_event(LogLevel::notice, "join-token-create",
              {{"EXPIRES", iso8601(record.expires)},
               {"FROM", terms.from},
               {"HOSTS", terms.hosts},
               {"KID", record.kid},
               {"REPLACE", terms.replace ? "1" : ""},
               {"USES", std::to_string(terms.uses)}});
    return token;
}

Result<JoinTokenRecord> JoinTokens::find(std::string_view kid) const {
    if (!is_valid_kid(kid)) return unknown_token(kid);
    const std::string path = directory(kid) + "/token.json";
    const auto text = read_file(path, max_token_bytes);
    if (!text && text.error().code == Errc::not_found) return unknown_token(kid);
    if (!text) return text.error();
    const auto value = json::parse(*text, max_token_bytes);
    auto record = value ? JoinTokenRecord::from_json(*value) : Result<JoinTokenRecord>(value.error());
    if (record && record->kid != kid) record = fail(Errc::bad_request, "the record of another token");
    if (!record) {
        return fail(Errc::io, fmt::format("{}: {}; remove its directory and make a new token", path,
                                          record.error().text()));
    }
    return record;
}

// Names only: a token may have 100,000 redemptions.
// What cannot be counted is an error: to take it for less would give away a use twice.
Result<int> JoinTokens::used(std::string_view kid) const {
    const std::string path = directory(kid);
    const std::unique_ptr<DIR, int (*)(DIR*)> open(::opendir(path.c_str()), &::closedir);
    if (!open) return errno_error("read", path, errno);
    int count = 0;
    errno = 0;
    while (const dirent* entry = ::readdir(open.get())) {
        const std::string_view name(entry->d_name);
        if (name.size() == redemption_name && name.front() != '.' && name.ends_with(".json")) ++count;
    }
    if (errno != 0) return errno_error("read", path, errno);
    return count;
}

Result<JoinTokenListing> JoinTokens::list() const {
    TRY(const auto names, kids());
    JoinTokenListing listing;
    for (const auto& kid : names) {
        auto record = find(kid);
        const auto count = record ? used(kid) : Result<int>(record.error());
        if (record && count) {
            record->used = *count;
            listing.tokens.push_back(std::move(*record));
        } else if (count.error().code != Errc::not_found) {
            listing.problems.push_back(printable(count.error().text()));
        }
    }
    std::stable_sort(listing.tokens.begin(), listing.tokens.end(),
                     [](const auto& a, const auto& b) { return a.created < b.created; });
    return listing;
}

Result<bool> JoinTokens::revoke(std::string_view kid, std::int64_t now) const {
    TRY(const FileLock held, Registry(agents_dir_).lock());
    TRY(JoinTokenRecord record, find(kid));
    if (record.revoked != 0) return false;
    record.revoked = now;
    TRY_DO(write_file_atomic(directory(kid) + "/token.json", json::dump(record.to_json()), 0600));
    log_event(LogLevel::notice, "join-token-revoke", {{"KID", record.kid}});
    return true;
}

std::size_t JoinTokens::usable(std::int64_t now) const {
    const auto listing = list();
    if (!listing) return 0;
    return static_cast<std::size_t>(
        std::count_if(listing->tokens.begin(), listing->tokens.end(),
                      [now](const JoinTokenRecord& token) { return token.is_usable(now); }));
}

bool JoinTokens::are_awaited(std::int64_t now) const {
    const auto listing = list();
    if (!listing) return false;
    return std::any_of(listing->tokens.begin(), listing->tokens.end(), [&](const JoinTokenRecord& token) {
        if (token.revoked != 0 || token.used == 0) return token.is_usable(now);
        // The directory changes with each redemption.
        return token.is_usable(now) || modified_at(directory(token.kid)) / nanoseconds + retry_time > now;
    });
}

Result<void> JoinTokens::purge(std::int64_t now) const {
    if (!file_exists(root_)) return success();
    TRY(const FileLock held, Registry(agents_dir_).lock());
    return purge_locked(now);
}

Result<void> JoinTokens::purge_locked(std::int64_t now) const {
    TRY(const auto names, kids());
    for (const auto& kid : names) {
        const std::string directory = this->directory(kid);
        const auto record = find(kid);
        // One without a record was being made, or forgotten, when the process ended.
        const bool empty = !record && record.error().code == Errc::not_found;
        const std::int64_t expired = record  ? record->expires
                                     : empty ? modified_at(directory) / nanoseconds
                                             : now;
        if (now < expired + kept_after_expiry) continue;
        TRY_DO(forget(directory));
    }
    return success();
}

Result<void> JoinTokens::forget(const std::string& directory) const {
    TRY(auto files, list_directory(directory, max_files));
    // The record last: without it nothing that is left counts.
    for (const auto& file : files)
        if (file != "token.json") (void)::unlink((directory + "/" + file).c_str());
    TRY_DO(remove_file(directory + "/token.json"));
    (void)::rmdir(directory.c_str());
    return success();
}

Result<void> JoinTokens::discard(std::string_view kid) const {
    if (!is_valid_kid(kid)) return unknown_token(kid);
    TRY(const FileLock held, Registry(agents_dir_).lock());
    TRY_DO(forget(directory(kid)));
    log_event(LogLevel::notice, "join-token-revoke", {{"KID", std::string(kid)}});
    return success();
}

}  // namespace ctrlexec
