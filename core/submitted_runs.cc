#include "core/submitted_runs.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "core/config_file.h"
#include "core/file.h"
#include "core/pairing_queue.h"
#include "core/timestamp.h"

namespace ctrlexec {
namespace {

using State = SubmittedHost::State;

constexpr std::size_t max_run_bytes = 256u << 20;  // as RunStore has it
constexpr std::string_view lock_suffix = ".lock";
constexpr std::array<std::string_view, 3> words{"asked", "accepted", "done"};

bool is_ours(std::string_view file) {
    for (const std::string_view suffix : {std::string_view(".json"), lock_suffix}) {
        if (file.ends_with(suffix) && is_valid_reqid(file.substr(0, file.size() - suffix.size())))
            return true;
    }
    return false;
}

Error no_record() {
    return fail(Errc::bad_request, "not the record of a submitted run");
}

Result<SubmittedHost> host_of(const json::Value& value) {
    SubmittedHost host;
    host.target.host = value.scalar("host");
    std::int64_t port = 0;
    const auto state = std::ranges::find(words, value.text("state"));
    if (host.target.host.empty() || !parse_integer(value.scalar("port"), 0, 65535, port) ||
        state == words.end())
        return no_record();
    host.target.port = static_cast<int>(port);
    host.state = static_cast<State>(state - words.begin());
    if (host.state != State::done) return host;
    const auto* result = value.find("result");
    if (result == nullptr || result->if_object() == nullptr) return no_record();
    host.result = RunResult::from_record(*result);
    return host;
}

json::Value value_of(const SubmittedHost& host) {
    json::Object object{{"host", host.target.host},
                        {"port", host.target.port},
                        {"state", words[static_cast<std::size_t>(host.state)]}};
    if (host.state == State::done) object.push_back({"result", host.result.to_json()});
    return object;
}

}  // namespace

bool SubmittedRun::done() const {
    return std::ranges::all_of(hosts, [](const SubmittedHost& host) { return host.state == State::done; });
}

std::vector<std::string> SubmittedRun::host_names() const {
    std::vector<std::string> names;
    for (const auto& host : hosts) names.push_back(host.target.host);
    return names;
}

std::vector<std::string> SubmittedRun::pending() const {
    std::vector<std::string> names;
    for (const auto& host : hosts) {
        if (host.state != State::done) names.push_back(host.target.host);
    }
    return names;
}

json::Array SubmittedRun::results() const {
    json::Array results;
    for (const auto& host : hosts) {
        if (host.state == State::done) results.push_back(host.result.to_json());
    }
    return results;
}

void SubmittedRun::merge(const SubmittedRun& other) {
    for (std::size_t i = 0; i < std::min(hosts.size(), other.hosts.size()); ++i) {
        if (other.hosts[i].state > hosts[i].state) hosts[i] = other.hosts[i];
    }
}

json::Value SubmittedRun::to_answer(json::Value ok) const {
    if (done()) return to_stored(now_seconds()).to_answer(std::move(ok));
    return json::Object{{"ok", std::move(ok)},
                        {"reqid", reqid},
                        {"script", script},
                        {"hosts", json::strings(host_names())},
                        {"results", results()},
                        {"status", "running"},
                        {"pending", json::strings(pending())}};
}

StoredRun SubmittedRun::to_stored(std::int64_t completed) const {
    StoredRun run;
    run.reqid = reqid;
    run.script = script;
    run.hosts = host_names();
    run.results = results();
    run.completed = completed;
    return run;
}

Result<SubmittedRun> SubmittedRun::from_json(const json::Value& value) {
    const auto* hosts = value.find("hosts");
    SubmittedRun run;
    run.reqid = value.scalar("reqid");
    run.script = value.scalar("script");
    run.username = value.scalar("username");
    if (!is_valid_reqid(run.reqid) || hosts == nullptr || hosts->if_array() == nullptr ||
        !parse_integer(value.scalar("submitted"), 0, INT64_MAX, run.submitted))
        return no_record();
    for (const auto& item : *hosts->if_array()) {
        TRY(SubmittedHost host, host_of(item));
        run.hosts.push_back(std::move(host));
    }
    return run;
}

json::Value SubmittedRun::to_json() const {
    json::Array list;
    for (const auto& host : hosts) list.push_back(value_of(host));
    return json::Object{{"reqid", reqid},
                        {"script", script},
                        {"username", username},
                        {"submitted", submitted},
                        {"hosts", std::move(list)}};
}

std::string SubmittedRuns::path_of(std::string_view reqid, std::string_view suffix) const {
    return fmt::format("{}/{}{}", directory_, reqid, suffix);
}

Result<FileLock> SubmittedRuns::create(const SubmittedRun& run) const {
    if (!is_valid_reqid(run.reqid)) return fail(Errc::internal, "invalid reqid");
    TRY_DO(make_directories(directory_, 0750));
    TRY(FileLock lock, FileLock::acquire(path_of(run.reqid, lock_suffix), FileLock::Wait::no));
    TRY_DO(create_file_atomic(path_of(run.reqid), json::dump(run.to_json()), 0640));
    return lock;
}

Result<SubmittedRun> SubmittedRuns::find(std::string_view reqid) const {
    if (!is_valid_reqid(reqid)) return RunStore::unknown(reqid);
    // Before the record is read: when nobody submits it any more, the record says all that he has found.
    const auto submitting = FileLock::is_held(path_of(reqid, lock_suffix));
    if (!submitting) return submitting.error();
    const std::string path = path_of(reqid);
    const auto text = read_file(path, max_run_bytes);
    if (!text) return text.error().code == Errc::not_found ? RunStore::unknown(reqid) : text.error();
    const auto value = json::parse(*text, max_run_bytes);
    auto run = value ? SubmittedRun::from_json(*value) : Result<SubmittedRun>(value.error());
    if (!run) return fail(Errc::io, fmt::format("{}: {}; remove it", path, run.error().text()));
    if (run->reqid != reqid)
        return fail(Errc::io, fmt::format("{}: holds run {}; remove it", path, run->reqid));
    run->submitting = *submitting;
    return run;
}

// What another process has completed meanwhile, or an error.
Result<SubmittedRun> SubmittedRuns::completed(const SubmittedRun& run) const {
    TRY(const StoredRun stored, store_.find(run.reqid));
    if (stored.results.size() != run.hosts.size()) return no_record();
    SubmittedRun whole = run;
    for (std::size_t i = 0; i < whole.hosts.size(); ++i) {
        whole.hosts[i].state = State::done;
        whole.hosts[i].result = RunResult::from_record(stored.results[i]);
    }
    return whole;
}

Result<SubmittedRun> SubmittedRuns::update(const SubmittedRun& run, std::int64_t now) const {
    TRY_DO(make_directories(directory_, 0750));
    TRY(const FileLock lock, FileLock::acquire(directory_ + "/.lock", FileLock::Wait::yes));
    auto stored = find(run.reqid);
    if (!stored && stored.error().code == Errc::not_found) return completed(run);
    if (!stored) return stored.error();
    SubmittedRun sum = std::move(*stored);
    sum.merge(run);
    if (sum.done()) {
        // In this order: killed in between, it is done twice, with the same results.
        TRY_DO(store_.save(sum.to_stored(now)));
        TRY_DO(remove_file(path_of(sum.reqid)));
        TRY_DO(remove_file(path_of(sum.reqid, lock_suffix)));
        return sum;
    }
    const std::string text = json::dump(sum.to_json());
    if (text.size() > max_run_bytes) return fail(Errc::too_large, "the results are too large to be stored");
    TRY_DO(write_file_atomic(path_of(sum.reqid), text, 0640));
    return sum;
}

Result<void> SubmittedRuns::purge(std::int64_t now) const {
    return remove_files_before(directory_, now - kept, is_ours);
}

}  // namespace ctrlexec
