#include "cmd/ask_hook.h"

#include <fmt/format.h>

#include "cmd/dispatcher_context.h"
#include "cmd/output_format.h"
#include "cmd/print.h"
#include "core/json.h"
#include "core/timestamp.h"

namespace ctrlexec {

Result<AuthRequest> hook_question(const Invocation& call, std::string action,
                                  const std::vector<Target>& targets) {
    AuthRequest question;
    question.action = std::move(action);
    for (const auto& target : targets) question.hosts.push_back(target.host);
    question.username = username_of(call);
    TRY(question.token, token_of(call));
    question.source_ip = "127.0.0.1";
    question.time = now_seconds();
    return question;
}

std::optional<int> refused_by_hook(Runtime& runtime, const Dispatch& dispatch, const Invocation& call,
                                   AuthRequest question) {
    int code = 0;
    Result<void> allowed;
    runtime.run([&]() -> asio::awaitable<int> {
        allowed = co_await dispatch.authorise(std::move(question), &code);
        co_return 0;
    });
    if (allowed) return std::nullopt;
    const Error& error = allowed.error();
    if (wants_json(call)) {
        print_out(json::dump(json::Object{{"ok", 0}, {"error", error.message}, {"code", code}}) + "\n");
    }
    print_error_line(fmt::format("{}: not authorised: {}", call.program, error.text()));
    return info(error.code).exit_code;
}

}  // namespace ctrlexec
