#include <fmt/format.h>

#include <set>

#include "core/log.h"
#include "core/run_locks.h"
#include "net/dispatch.h"

namespace ctrlexec {
namespace {

void log_lock(std::string_view action, const std::string& host, const RunRequest& request) {
    log_event(LogLevel::info, action,
              {{"REQID", request.reqid}, {"SCRIPT", request.script}, {"TARGET", host}});
}

Result<LockAttempt> try_locks(const std::string& directory, const std::vector<Target>& targets,
                              const RunRequest& request) {
    const RunLocks locks(directory);
    LockAttempt attempt;
    std::set<std::string> mine;  // two ports of one host share its lock
    for (const auto& target : targets) {
        if (!mine.insert(target.host).second) continue;
        auto held = locks.acquire(target.host, request.script, request.reqid);
        if (!held && held.error().code != Errc::locked) return std::move(held).error();
        log_lock(held ? "lock-acquire" : "lock-conflict", target.host, request);
        if (held) {
            attempt.held.emplace(target.host, std::move(*held));
        } else {
            attempt.conflicts.push_back(target.host + ":" + request.script);
        }
    }
    if (!attempt.conflicts.empty()) attempt.held.clear();
    return attempt;
}

Result<LockAttempt> look_at_locks(const std::string& directory, const std::vector<Target>& targets,
                                  const RunRequest& request) {
    const RunLocks locks(directory);
    LockAttempt attempt;
    for (const auto& target : targets) {
        TRY(const bool held, locks.is_held(target.host, request.script));
        if (!held) continue;
        log_lock("lock-conflict", target.host, request);
        attempt.conflicts.push_back(target.host + ":" + request.script);
    }
    return attempt;
}

}  // namespace

void log_lock_released(const std::string& host, const RunRequest& request) {
    log_lock("lock-release", host, request);
}

asio::awaitable<Result<LockAttempt>> Dispatch::lock(std::vector<Target> targets,
                                                    std::shared_ptr<const RunRequest> request,
                                                    LockUse use) const {
    std::function<Result<LockAttempt>()> work = [directory = config_.locks_dir(),
                                                 targets = std::move(targets), request, use] {
        return use == LockUse::hold ? try_locks(directory, targets, *request)
                                    : look_at_locks(directory, targets, *request);
    };
    co_return co_await offload<LockAttempt>(runtime_->pool(), file_timeout, std::move(work));
}

}  // namespace ctrlexec
