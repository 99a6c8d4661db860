#include "cmd/watched_output.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>

#include "cmd/print.h"
#include "core/run_summary.h"
#include "core/timestamp.h"
#include "core/utf8.h"

namespace ctrlexec {
namespace {

using State = SubmittedHost::State;

std::string progress(const SubmittedHost& host, const HostNote& note, std::int64_t now) {
    if (host.state == State::asked) return "not confirmed yet";
    if (!note.problem.empty()) return "accepted";
    std::string text = "running";
    if (note.state.started > 0)
        text += fmt::format("  {} s", std::max<std::int64_t>(0, now - note.state.started));
    const std::uint64_t bytes = note.state.output_bytes + note.state.errors_bytes;
    return bytes == 0 ? text : text + fmt::format("  {} bytes so far", bytes);
}

}  // namespace

Result<FoundRun> find_run(Runtime& runtime, const AsyncRuns& runs, const DispatcherConfig& config,
                          const std::string& reqid) {
    FoundRun found;
    Result<std::shared_ptr<WatchedRun>> watched = fail(Errc::internal, "not looked up");
    runtime.run([&]() -> asio::awaitable<int> {
        watched = co_await runs.find(reqid);
        co_return 0;
    });
    if (watched) {
        found.watched = std::move(*watched);
        return found;
    }
    if (watched.error().code != Errc::not_found) return watched.error();
    TRY(found.stored, RunStore(config.runs_dir()).find(reqid));
    return found;
}

void print_pending(const WatchedRun& watched) {
    const std::int64_t now = now_seconds();
    for (std::size_t i = 0; i < watched.run.hosts.size(); ++i) {
        const SubmittedHost& host = watched.run.hosts[i];
        if (host.state == State::done) continue;
        print_out(fmt::format("==> {}  [PENDING  {}  req:{}]\n", printable(host.target.host),
                              progress(host, watched.notes[i], now), watched.run.reqid));
        const std::string& problem = watched.notes[i].problem;
        if (!problem.empty()) print_out(fmt::format("    ERROR: {}\n", printable(problem)));
    }
    std::fflush(stdout);
}

void print_run_json(const FoundRun& found) {
    const json::Value answer = found.watched ? found.watched->run.to_answer(1) : found.stored.to_answer(1);
    print_out(json::dump(answer) + "\n");
}

std::vector<RunResult> results_of(const FoundRun& found) {
    std::vector<RunResult> results;
    if (found.watched) {
        for (const auto& host : found.watched->run.hosts) {
            if (host.state == State::done) results.push_back(host.result);
        }
        return results;
    }
    for (const auto& value : found.stored.results) results.push_back(RunResult::from_record(value));
    return results;
}

int exit_code_of(const FoundRun& found) {
    if (found.watched && !found.watched->run.done()) return exit_pending;
    RunSummary summary;
    for (const auto& result : results_of(found)) summary.add(result);
    return summary.total() > 0 ? summary.wait_exit_code() : exit_failed;
}

}  // namespace ctrlexec
