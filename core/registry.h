// The registered agents: agents/<hostname>.json in the dispatcher's state directory.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/auth_policy.h"
#include "core/file.h"
#include "core/json.h"
#include "core/result.h"

namespace ctrlexec {

struct AgentRecord {
    std::string hostname;
    std::string ip;
    std::string paired;  // ISO 8601
    std::string expiry;  // OpenSSL text
    std::string reqid;
    std::string dispatcher_serial;
    std::string serial_status = "current";
    std::string serial_broadcast;
    std::string serial_confirmed;
    std::string key;                 // SHA-256 of its certificate's SPKI, lower-case hex; "" when unknown
    std::string certificate_serial;  // normal form; "" when unknown
    std::string cn;                  // of its certificate, which a renewal keeps; "" when it is the hostname
    // How it was paired: "token", "sas" (the check code was compared), "unchecked" (it could have been),
    // "legacy" (there was none). "" in records of earlier releases, which are legacy.
    std::string trust;
    std::string join;          // the join token it came with (core/join_tokens), and the digest of its
    std::string csr;           // request, by which its redemption is named; both "" without
    Tags tags;                 // given with that token; they count more than what the agent says
    bool key_learned = false;  // from a connection, not at approval
    int agent_port = 0;        // 0: the default port
    std::string lookup_by;     // "ip": connect to `ip`; else to the name, and to `ip` when it has no address
    json::Value other;         // members we do not know; kept when the record is rewritten

    const std::string& common_name() const { return cn.empty() ? hostname : cn; }
    std::string_view trust_text() const { return trust.empty() ? "legacy" : std::string_view(trust); }

    // Until the certificate expires, rounded down, below 0 when it has; nothing when `expiry` is no date.
    std::optional<std::int64_t> days_left(std::int64_t now) const;

    static Result<AgentRecord> from_json(const json::Value& value);
    json::Value to_json() const;
};

struct RegistryListing {
    std::vector<AgentRecord> agents;    // sorted by name
    std::vector<std::string> problems;  // one sentence for each file that could not be used
};

class Registry {
  public:
    explicit Registry(std::string directory) : directory_(std::move(directory)) {}

    // A registry that does not exist yet is empty.
    Result<RegistryListing> list() const;
    // The same without reading the records: sorted; one that turns out to be unusable is among them.
    Result<std::vector<std::string>> names() const;
    Result<AgentRecord> find(std::string_view hostname) const;  // Errc::not_found
    Result<void> save(const AgentRecord& record) const;
    // The same as part of a larger change: written when `files` is committed.
    Result<void> stage(FileSet& files, const AgentRecord& record) const;
    Result<void> remove(std::string_view hostname) const;  // Errc::not_found

    // Held around every change, so that none is lost to another process; blocks.
    Result<FileLock> lock() const;
    // Reads the record under the lock and writes what `change` made of it; nothing when it says false.
    // Errc::not_found. The record as it is afterwards.
    Result<AgentRecord> update(std::string_view hostname,
                               const std::function<bool(AgentRecord&)>& change) const;

  private:
    Result<std::string> path_of(std::string_view hostname) const;
    std::string directory_;
};

}  // namespace ctrlexec
