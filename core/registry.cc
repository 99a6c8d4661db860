#include "core/registry.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "core/config_file.h"
#include "core/file.h"
#include "core/hostname.h"
#include "core/tag_cache.h"
#include "core/timestamp.h"
#include "core/utf8.h"

namespace ctrlexec {
namespace {

constexpr std::size_t max_record_bytes = 64 * 1024;
constexpr std::size_t max_agents = 100'000;
constexpr std::string_view suffix = ".json";

using Field = std::pair<std::string_view, std::string AgentRecord::*>;
constexpr std::array<Field, 16> fields{{
    {"hostname", &AgentRecord::hostname},
    {"ip", &AgentRecord::ip},
    {"paired", &AgentRecord::paired},
    {"expiry", &AgentRecord::expiry},
    {"reqid", &AgentRecord::reqid},
    {"dispatcher_serial", &AgentRecord::dispatcher_serial},
    {"serial_status", &AgentRecord::serial_status},
    {"serial_broadcast", &AgentRecord::serial_broadcast},
    {"serial_confirmed", &AgentRecord::serial_confirmed},
    {"lookup_by", &AgentRecord::lookup_by},
    {"key", &AgentRecord::key},
    {"serial", &AgentRecord::certificate_serial},
    {"cn", &AgentRecord::cn},
    {"trust", &AgentRecord::trust},
    {"join", &AgentRecord::join},
    {"csr", &AgentRecord::csr},
}};

// Unknown to the old program, so written only when set.
constexpr std::size_t old_fields = 9;

// The record in `file`, which must be that of the agent the file is named after: else find() would answer
// with another agent's address.
Result<AgentRecord> load(const std::string& directory, std::string_view file) {
    const std::string path = fmt::format("{}/{}", directory, file);
    TRY(const std::string text, read_file(path, max_record_bytes));
    auto value = json::parse(text, max_record_bytes);
    auto record = value ? AgentRecord::from_json(*value) : Result<AgentRecord>(value.error());
    if (!record) {
        return fail(Errc::io, fmt::format("{}: {}; repair or remove the file and pair the agent again", path,
                                          record.error().text()));
    }
    if (record->hostname + std::string(suffix) != file) {
        return fail(Errc::io,
                    fmt::format("{}: holds the record of '{}'; rename or remove it", path, record->hostname));
    }
    return record;
}

Error unknown_agent(std::string_view hostname) {
    return fail(Errc::not_found, fmt::format("no agent '{}' is registered; see list-agents", hostname));
}

}  // namespace

Result<AgentRecord> AgentRecord::from_json(const json::Value& value) {
    const auto* object = value.if_object();
    if (object == nullptr) return fail(Errc::bad_request, "not a JSON object");
    AgentRecord record;
    json::Object other;
    for (const auto& member : *object) {
        const auto known =
            std::find_if(fields.begin(), fields.end(), [&](const Field& f) { return f.first == member.key; });
        if (known != fields.end()) {
            record.*(known->second) = member.value.scalar();
        } else if (member.key == "agent_port") {
            std::int64_t port = 0;
            if (parse_integer(member.value.scalar(), 1, 65535, port))
                record.agent_port = static_cast<int>(port);
        } else if (member.key == "tags") {
            record.tags = tags_of(value);
        } else if (member.key == "key_learned") {
            record.key_learned = member.value.scalar() == "1";
        } else {
            other.push_back(member);
        }
    }
    if (!is_valid_hostname(record.hostname)) {
        return fail(Errc::bad_request, fmt::format("'{}' is no valid hostname", printable(record.hostname)));
    }
    record.other = json::Value(std::move(other));
    return record;
}

json::Value AgentRecord::to_json() const {
    json::Object object;
    for (std::size_t i = 0; i < fields.size(); ++i) {
        const auto& [name, member] = fields[i];
        if (i >= old_fields && (this->*member).empty()) continue;
        object.push_back({std::string(name), this->*member});
    }
    if (!tags.empty()) object.push_back({"tags", tags_json(tags)});
    if (key_learned) object.push_back({"key_learned", 1});
    if (agent_port != 0) object.push_back({"agent_port", agent_port});
    if (const auto* rest = other.if_object()) object.insert(object.end(), rest->begin(), rest->end());
    return json::Value(std::move(object));
}

std::optional<std::int64_t> AgentRecord::days_left(std::int64_t now) const {
    return days_until(expiry, now);
}

Result<std::string> Registry::path_of(std::string_view hostname) const {
    if (!is_valid_hostname(hostname)) {
        return fail(Errc::bad_request, fmt::format("'{}' is no valid hostname", printable(hostname)));
    }
    return fmt::format("{}/{}{}", directory_, hostname, suffix);
}

Result<RegistryListing> Registry::list() const {
    RegistryListing listing;
    const auto names = list_directory(directory_, max_agents);
    if (!names && names.error().code == Errc::not_found) return listing;
    if (!names) return names.error();
    for (const auto& name : *names) {
        if (name.size() <= suffix.size() ||
            name.compare(name.size() - suffix.size(), suffix.size(), suffix) != 0)
            continue;
        auto record = load(directory_, name);
        if (record) {
            listing.agents.push_back(std::move(*record));
        } else if (record.error().code != Errc::not_found) {  // it may have been removed meanwhile
            listing.problems.push_back(printable(record.error().text()));
        }
    }
    // By name: among file names "web-01.json" precedes "web.json".
    std::sort(listing.agents.begin(), listing.agents.end(),
              [](const AgentRecord& a, const AgentRecord& b) { return a.hostname < b.hostname; });
    return listing;
}

Result<std::vector<std::string>> Registry::names() const {
    auto names = list_directory(directory_, max_agents);
    if (!names && names.error().code == Errc::not_found) return std::vector<std::string>();
    if (!names) return names;
    std::erase_if(*names, [](std::string& name) {
        if (!name.ends_with(suffix)) return true;
        name.resize(name.size() - suffix.size());
        return !is_valid_hostname(name);
    });
    std::sort(names->begin(), names->end());
    return names;
}

Result<AgentRecord> Registry::find(std::string_view hostname) const {
    TRY_DO(path_of(hostname));
    auto record = load(directory_, fmt::format("{}{}", hostname, suffix));
    if (!record && record.error().code == Errc::not_found) return unknown_agent(hostname);
    return record;
}

Result<void> Registry::save(const AgentRecord& record) const {
    FileSet files;
    TRY_DO(stage(files, record));
    return files.commit();
}

Result<void> Registry::stage(FileSet& files, const AgentRecord& record) const {
    TRY(const std::string path, path_of(record.hostname));
    TRY_DO(make_directories(directory_, 0755));
    return files.stage(path, json::dump(record.to_json()), 0644);
}

Result<FileLock> Registry::lock() const {
    TRY_DO(make_directories(directory_, 0755));
    return FileLock::acquire(directory_ + "/.lock", FileLock::Wait::yes);
}

Result<AgentRecord> Registry::update(std::string_view hostname,
                                     const std::function<bool(AgentRecord&)>& change) const {
    TRY(const FileLock held, lock());
    TRY(AgentRecord record, find(hostname));
    if (change(record)) TRY_DO(save(record));
    return record;
}

Result<void> Registry::remove(std::string_view hostname) const {
    TRY(const std::string path, path_of(hostname));
    if (!file_exists(path)) return unknown_agent(hostname);
    return remove_file(path);
}

}  // namespace ctrlexec
