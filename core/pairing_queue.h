// Pairing requests that wait for the operator: pairing/<reqid>.json, and the answers that approve and deny
// leave there for the listener, which holds the agent's connection.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/file.h"
#include "core/json.h"
#include "core/result.h"

namespace ctrlexec {

inline constexpr std::int64_t pairing_lifetime = 600;  // seconds

// What a request says of a join token: which one, and that its sender has it (hex).
struct JoinProof {
    std::string kid;
    std::string mac;
};

struct PairingRequest {
    std::string id;
    std::string hostname;
    std::string ip;
    std::string csr;  // PEM, exactly as sent: the code is made of it
    std::string nonce;
    std::string received;  // ISO 8601
    std::string code;
    int agent_port = 0;
    std::string lookup_by;
    int version = 1;                // of the pairing protocol that the agent speaks
    std::string commit;             // version 2: hex; binds the agent to a nonce that it reveals later
    std::string sas;                // version 2, once revealed: "4831-1920"
    std::string dispatcher_serial;  // version 2: as told in the first answer
    std::string ca_digest;          // likewise; SHA-256 of the CA's PEM text, hex
    int broken_off = 0;  // version 2: attempts in this name, within an hour, that ended before a decision
    std::optional<JoinProof> join;

    // Nothing may be decided before an agent of version 2 has kept its commitment.
    bool is_revealed() const { return version < 2 || !sas.empty(); }
    // What an approval can rest on: "sas", or "legacy", which has no check code.
    std::string_view trust() const { return version < 2 ? "legacy" : "sas"; }

    static Result<PairingRequest> from_json(const json::Value& value);
    json::Value to_json() const;
};

// The last answer to who is not paired.
json::Value denied_answer(const PairingRequest& request, std::string_view reason);

bool is_valid_reqid(std::string_view id);  // 8 to 32 lower-case hex digits

class PairingQueue {
  public:
    explicit PairingQueue(std::string directory) : directory_(std::move(directory)) {}

    // Held around every change that must not interleave: approve against expiry and hang-up.
    Result<FileLock> lock() const;
    // Held by a listener for its lifetime; Errc::locked when another one serves this queue.
    Result<FileLock> lock_listener() const;
    // Errc::not_found when no listener holds that lock: then nobody holds the agents' connections either.
    Result<void> require_listener() const;
    // What the listener has noted in its lock file: "the API process listens on [::]:7444".
    std::string listener_note() const;

    // Errc::busy when `limit` requests wait already. Call with the lock held.
    Result<void> add(const PairingRequest& request, std::size_t limit, std::int64_t now) const;
    // Now that it is revealed; Errc::not_found when it is gone. Call with the lock held.
    Result<void> update(const PairingRequest& request) const;

    // What waits: revealed, not too old and not answered yet, oldest first. Broken files are left out (and
    // dropped by drop_expired). Who is not revealed yet counts against the limit of add().
    Result<std::vector<PairingRequest>> list(std::int64_t now) const;
    // Returns once the request is revealed or gone, after 2 s at most. An agent tells its id while its reveal
    // is on the way, and an orchestrator approves at once. Call without the lock, which the listener needs.
    void await_reveal(std::string_view id) const;
    Result<PairingRequest> find(std::string_view id, std::int64_t now) const;  // Errc::not_found

    // Leaves the listener the body of its second answer, when `files` is committed. Call with the lock held.
    Result<void> stage_approval(FileSet& files, const PairingRequest& request,
                                const json::Value& answer) const;
    Result<void> deny(const PairingRequest& request, std::string_view reason) const;

    // The answer when there is one: a JSON object with "status".
    std::optional<json::Value> answer(std::string_view id) const;

    // Removes the request and its answer. drop_all: at listener start, when no agent waits any more.
    // drop_expired leaves for the listener what was answered in the last moment.
    void drop(std::string_view id) const;
    void drop_all() const;
    void drop_expired(std::int64_t now) const;

    const std::string& directory() const { return directory_; }

  private:
    Result<std::vector<PairingRequest>> list_all(std::int64_t now) const;
    std::string path(std::string_view id, std::string_view suffix) const;
    std::string directory_;
};

}  // namespace ctrlexec
