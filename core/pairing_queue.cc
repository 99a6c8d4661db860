#include "core/pairing_queue.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <thread>

#include "core/config_file.h"
#include "core/csr.h"
#include "core/hostname.h"
#include "core/pairing_messages.h"
#include "core/pairing_proof.h"
#include "core/timestamp.h"
#include "core/utf8.h"

namespace ctrlexec {
namespace {

constexpr std::size_t max_request_bytes = 64 * 1024;
constexpr std::size_t max_answer_bytes = 256 * 1024;
constexpr std::size_t max_files = 100'000;
constexpr std::size_t max_note_bytes = 4096;
constexpr std::int64_t answer_lifetime = 600;  // seconds that a listener has to deliver it

bool ends_with(std::string_view text, std::string_view end) {
    return text.size() > end.size() && text.substr(text.size() - end.size()) == end;
}

bool has_expired(const PairingRequest& request, std::int64_t now) {
    const auto received = parse_iso8601(request.received);
    return !received || now - *received > pairing_lifetime;
}

Result<PairingRequest> load(const std::string& path) {
    TRY(const std::string text, read_file(path, max_request_bytes));
    const auto value = json::parse(text, max_request_bytes);
    auto request = value ? PairingRequest::from_json(*value) : Result<PairingRequest>(value.error());
    if (!request) return fail(Errc::io, fmt::format("{}: {}; remove it", path, request.error().text()));
    return request;
}

// Members of version 2; false: they make no sense.
bool read_version_2(const json::Value& value, PairingRequest& request) {
    if (value.find("pair_v") == nullptr) return true;
    request.version = 2;
    request.sas = value.text("sas");
    request.dispatcher_serial = value.text("dispatcher_serial");
    request.ca_digest = value.text("ca_digest");
    std::int64_t broken_off = 0;
    if (parse_integer(value.scalar("broken_off"), 0, 1'000'000, broken_off))
        request.broken_off = static_cast<int>(broken_off);
    return value.scalar("pair_v") == "2" &&
           (request.sas.empty() || check_code_of(request.sas) == request.sas);
}

// An id becomes a part of a path.
Error bad_id() {
    return fail(Errc::bad_request, "not the id of a pairing request");
}

}  // namespace

bool is_valid_reqid(std::string_view id) {
    return id.size() >= 8 && id.size() <= 32 && std::all_of(id.begin(), id.end(), [](char c) {
               return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
           });
}

Result<PairingRequest> PairingRequest::from_json(const json::Value& value) {
    PairingRequest request;
    request.id = value.scalar("id");
    request.hostname = value.scalar("hostname");
    request.ip = value.scalar("ip");
    request.csr = value.text("csr");
    request.nonce = value.scalar("nonce");
    request.received = value.scalar("received");
    request.lookup_by = value.scalar("lookup_by");
    std::int64_t port = 0;
    if (parse_integer(value.scalar("agent_port"), 1, 65535, port))
        request.agent_port = static_cast<int>(port);
    if (!is_valid_reqid(request.id) || !is_valid_hostname(request.hostname) ||
        request.csr.size() > max_csr_bytes || !read_version_2(value, request)) {
        return fail(Errc::bad_request, "not a pairing request");
    }
    request.code = pairing_code(request.csr);  // never the stored one: it is what the operator compares
    return request;
}

json::Value PairingRequest::to_json() const {
    json::Object object{{"id", id},       {"hostname", hostname}, {"ip", ip},    {"csr", csr},
                        {"nonce", nonce}, {"received", received}, {"code", code}};
    if (agent_port != 0) object.push_back({"agent_port", agent_port});
    if (!lookup_by.empty()) object.push_back({"lookup_by", lookup_by});
    if (version >= 2) {
        object.push_back({"pair_v", version});
        object.push_back({"sas", sas});
        object.push_back({"dispatcher_serial", dispatcher_serial});
        object.push_back({"ca_digest", ca_digest});
        if (broken_off > 0) object.push_back({"broken_off", broken_off});
    }
    return json::Value(std::move(object));
}

json::Value denied_answer(const PairingRequest& request, std::string_view reason) {
    json::Object answer{{"status", "denied"}, {"reason", reason}};
    if (request.version >= 2) answer.push_back({"pair_v", 2});
    return json::Value(std::move(answer));
}

std::string PairingQueue::path(std::string_view id, std::string_view suffix) const {
    return fmt::format("{}/{}{}", directory_, id, suffix);
}

Result<FileLock> PairingQueue::lock() const {
    TRY_DO(make_directories(directory_, 0700));
    return FileLock::acquire(directory_ + "/.lock", FileLock::Wait::yes);
}

Result<FileLock> PairingQueue::lock_listener() const {
    TRY_DO(make_directories(directory_, 0700));
    auto lock = FileLock::acquire(directory_ + "/.listener", FileLock::Wait::no);
    if (!lock && lock.error().code == Errc::locked) {
        return fail(Errc::locked, "pairing mode is already running on " + directory_);
    }
    return lock;
}

Result<void> PairingQueue::require_listener() const {
    TRY(const bool held, FileLock::is_held(directory_ + "/.listener"));
    if (held) return success();
    return fail(Errc::not_found,
                "no pairing-mode is running, so the agent's connection is gone; start pairing-mode and ask "
                "again from "
                "the agent");
}

std::string PairingQueue::listener_note() const {
    const auto text = read_file(directory_ + "/.listener", max_note_bytes);
    const std::string note = text ? printable(trim(*text)) : std::string();
    return note.empty() ? "another process serves the queue" : note;
}

Result<void> PairingQueue::add(const PairingRequest& request, std::size_t limit, std::int64_t now) const {
    if (!is_valid_reqid(request.id)) return bad_id();
    TRY(const auto waiting, list_all(now));
    if (waiting.size() >= limit) return fail(Errc::busy, std::string(queue_full));
    return create_file_atomic(path(request.id, ".json"), json::dump(request.to_json()), 0600);
}

Result<void> PairingQueue::update(const PairingRequest& request) const {
    if (!is_valid_reqid(request.id)) return bad_id();
    const std::string file = path(request.id, ".json");
    TRY_DO(load(file));
    return write_file_atomic(file, json::dump(request.to_json()), 0600);
}

Result<std::vector<PairingRequest>> PairingQueue::list(std::int64_t now) const {
    TRY(std::vector<PairingRequest> requests, list_all(now));
    std::erase_if(requests, [](const PairingRequest& request) { return !request.is_revealed(); });
    return requests;
}

Result<std::vector<PairingRequest>> PairingQueue::list_all(std::int64_t now) const {
    std::vector<PairingRequest> requests;
    const auto names = list_directory(directory_, max_files);
    if (!names && names.error().code == Errc::not_found) return requests;
    if (!names) return names.error();
    for (const auto& name : *names) {
        if (!ends_with(name, ".json")) continue;
        auto request = load(directory_ + "/" + name);
        if (!request || request->id + ".json" != name || has_expired(*request, now) || answer(request->id))
            continue;
        requests.push_back(std::move(*request));
    }
    // `received` has whole seconds only; the file's own time orders those of one second.
    const auto order = [&](const PairingRequest& request) {
        return std::pair(request.received, modified_at(path(request.id, ".json")));
    };
    std::sort(requests.begin(), requests.end(),
              [&](const auto& a, const auto& b) { return order(a) < order(b); });
    return requests;
}

Result<PairingRequest> PairingQueue::find(std::string_view id, std::int64_t now) const {
    if (!is_valid_reqid(id)) {
        return fail(Errc::not_found,
                    fmt::format("'{}' is no request id (8 to 32 hex digits); see list-requests",
                                printable(id.substr(0, 60))));
    }
    const Error unknown =
        fail(Errc::not_found, fmt::format("no pairing request '{}' is waiting; see list-requests", id));
    auto request = load(path(id, ".json"));
    if (!request && request.error().code == Errc::not_found) return unknown;
    if (request && (request->id != id || has_expired(*request, now) || !request->is_revealed() || answer(id)))
        return unknown;
    return request;
}

void PairingQueue::await_reveal(std::string_view id) const {
    constexpr int most_looks = 20;
    constexpr std::chrono::milliseconds pause{100};
    if (!is_valid_reqid(id)) return;
    for (int looks = 0; looks < most_looks; ++looks) {
        const auto request = load(path(id, ".json"));
        if (!request || request->is_revealed()) return;
        std::this_thread::sleep_for(pause);
    }
}

Result<void> PairingQueue::stage_approval(FileSet& files, const PairingRequest& request,
                                          const json::Value& answer) const {
    if (!is_valid_reqid(request.id)) return bad_id();
    return files.stage(path(request.id, ".approved"), json::dump(answer), 0600);
}

Result<void> PairingQueue::deny(const PairingRequest& request, std::string_view reason) const {
    if (!is_valid_reqid(request.id)) return bad_id();
    return write_file_atomic(path(request.id, ".denied"), json::dump(denied_answer(request, reason)), 0600);
}

std::optional<json::Value> PairingQueue::answer(std::string_view id) const {
    if (!is_valid_reqid(id)) return std::nullopt;
    for (const std::string_view suffix : {".denied", ".approved"}) {
        const auto text = read_file(path(id, suffix), max_answer_bytes);
        if (!text) continue;
        auto value = json::parse(*text, max_answer_bytes);
        if (value && !value->text("status").empty()) return std::move(*value);
    }
    return std::nullopt;
}

void PairingQueue::drop(std::string_view id) const {
    if (!is_valid_reqid(id)) return;
    // Best effort: what stays behind expires.
    for (const std::string_view suffix : {".json", ".approved", ".denied"})
        (void)remove_file(path(id, suffix));
}

void PairingQueue::drop_all() const {
    const auto names = list_directory(directory_, max_files);
    if (!names) return;
    for (const auto& name : *names) {
        if (const auto dot = name.find('.'); is_valid_reqid(name.substr(0, dot))) drop(name.substr(0, dot));
    }
}

void PairingQueue::drop_expired(std::int64_t now) const {
    const auto names = list_directory(directory_, max_files);
    if (!names) return;
    for (const auto& name : *names) {
        const std::string id = name.substr(0, name.find('.'));
        if (name != id + ".json" || !is_valid_reqid(id)) continue;
        const auto request = load(directory_ + "/" + name);
        const bool usable = request && request->id == id;
        if (!usable || has_expired(*request, answer(id) ? now - answer_lifetime : now)) drop(id);
    }
}

}  // namespace ctrlexec
