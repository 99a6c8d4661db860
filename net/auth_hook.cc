#include "net/auth_hook.h"

#include <fmt/format.h>

#include "core/script_environment.h"
#include "net/child.h"

namespace ctrlexec {
namespace {

constexpr std::chrono::milliseconds kill_grace{500};

// A NUL would cut a value short: the hook would judge something else than what runs.
bool has_nul(const std::vector<std::string>& values) {
    for (const auto& value : values) {
        if (value.find('\0') != std::string::npos) return true;
    }
    return false;
}

Result<void> judge(const Result<ChildOutcome>& outcome, std::chrono::seconds timeout, int* code) {
    if (!outcome) return fail(Errc::denied, "the auth hook could not be run", outcome.error().text());
    if (outcome->timed_out)
        return fail(Errc::denied, fmt::format("the auth hook took longer than {} s", timeout.count()));
    if (outcome->signal != 0)
        return fail(Errc::denied, fmt::format("the auth hook was killed by signal {}", outcome->signal));
    if (outcome->exit_status >= 1 && outcome->exit_status <= 3 && code != nullptr)
        *code = outcome->exit_status;
    return judge_hook(outcome->exit_status);
}

asio::awaitable<Result<void>> ask_once(std::string path, AuthRequest request, std::chrono::seconds timeout,
                                       int* code) {
    if (code != nullptr) *code = 1;
    CO_TRY(ApprovedProgram program, AuthHook::approve(path));
    SpawnPlan plan(std::move(program));
    plan.environment = script_environment();
    const std::vector<std::string> own = request.environment();
    if (has_nul(own)) co_return fail(Errc::denied, "the request holds a NUL byte");
    plan.environment.insert(plan.environment.end(), own.begin(), own.end());
    plan.capture_output = false;
    ChildLimits limits;
    limits.run_timeout = timeout;
    limits.input_timeout = timeout;
    limits.kill_grace = kill_grace;
    std::string input = request.input();
    const auto outcome = co_await run_child(std::move(plan), std::move(input), limits);
    co_return judge(outcome, timeout, code);
}

}  // namespace

asio::awaitable<Result<void>> ask_hook(std::string path, AuthRequest request, std::chrono::seconds timeout,
                                       int* code) {
    std::vector<AuthRequest> parts = request.parts();
    for (auto& part : parts) CO_TRY_DO(co_await ask_once(path, std::move(part), timeout, code));
    co_return success();
}

}  // namespace ctrlexec
