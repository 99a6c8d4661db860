// Usage: pairing-mode
// Listens for pairing requests until SIGTERM or SIGINT. On a terminal each request is shown and answered
// there; approve and deny answer from another process, terminal or not.
#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>

#include "cmd/dispatcher_context.h"
#include "cmd/pairing_prompt.h"
#include "cmd/print.h"
#include "cmd/verbs.h"
#include "core/pairing_approval.h"
#include "core/timestamp.h"
#include "net/pairing_mode.h"
#include "net/runtime.h"
#include "net/terminal_input.h"

namespace ctrlexec {
namespace {

constexpr std::chrono::seconds decision_timeout{60};  // RSA keys on slow disks included

void print_now(const std::string& text) {
    print_out(text);
    std::fflush(stdout);
}

PairingEvents announce() {
    PairingEvents events;
    events.requested = [](const PairingRequest& request) { print_now(announcement(request)); };
    events.ended = [](const PairingRequest& request, const std::string& outcome) {
        print_now(ending(request, outcome));
    };
    return events;
}

Result<std::string> approve(const DispatcherConfig& config, const std::string& id) {
    TRY(const Approval approval, approve_pairing(config, id, now_seconds()));
    return approval.text();
}

Result<std::string> approve_replacing(const DispatcherConfig& config, const std::string& id) {
    ApprovalOptions options;
    options.replace = true;
    TRY(const Approval approval, approve_pairing(config, id, now_seconds(), options));
    return approval.text();
}

Result<std::string> deny(const DispatcherConfig& config, const std::string& id) {
    TRY(const PairingRequest request, deny_pairing(config, id, now_seconds()));
    return denial_text(request);
}

// Signing and fsync take their time: on a worker.
using Decision = Result<std::string> (*)(const DispatcherConfig&, const std::string&);
asio::awaitable<void> decide(Runtime& runtime, const DispatcherConfig& config, PairingPrompt& prompt,
                             PairingRequest request, Decision decision) {
    std::function<Result<std::string>()> work = [config, id = request.id, decision] {
        return decision(config, id);
    };
    const auto text = co_await offload<std::string>(runtime.pool(), decision_timeout, std::move(work));
    prompt.decided(request, text.has_value(), text ? *text : text.error().text());
}

asio::awaitable<void> converse(Runtime& runtime, PairingPrompt& prompt, PairingMode& mode) {
    std::function<void(std::string)> on_line = [&prompt](const std::string& line) { prompt.line(line); };
    co_await read_terminal_lines(runtime, std::move(on_line));
    mode.stop();
}

}  // namespace

int dispatcher_pairing_mode(const Invocation& call) {
    const auto port = port_option(call);
    if (!port) return report(call, port.error());
    auto config = open_dispatcher(call);
    if (!config) return report(call, config.error());
    if (*port != 0) config->pairing_port = *port;
    const bool interactive = ::isatty(STDIN_FILENO) == 1 && ::isatty(STDOUT_FILENO) == 1;

    Runtime runtime;
    std::unique_ptr<PairingMode> mode;
    PairingPrompt::Actions actions;
    PairingPrompt* asking = nullptr;
    actions.approve = [&](const PairingRequest& request) {
        runtime.spawn(decide(runtime, *config, *asking, request, approve));
    };
    actions.replace = [&](const PairingRequest& request) {
        runtime.spawn(decide(runtime, *config, *asking, request, approve_replacing));
    };
    actions.deny = [&](const PairingRequest& request) {
        runtime.spawn(decide(runtime, *config, *asking, request, deny));
    };
    actions.quit = [&] { mode->stop(); };
    PairingPrompt prompt(std::move(actions));
    asking = &prompt;
    PairingEvents events = announce();
    if (interactive) {
        events.requested = [&](const PairingRequest& request) { prompt.requested(request); };
        events.ended = [&](const PairingRequest& request, const std::string& outcome) {
            prompt.ended(request, outcome);
        };
    }
    auto opened = PairingMode::create(runtime, *config, std::move(events));
    if (!opened) return report(call, opened.error());
    mode = std::move(*opened);
    print_now(fmt::format("Pairing mode: listening on {}\n", mode->address()));
    if (interactive) runtime.spawn(converse(runtime, prompt, *mode));
    return runtime.run([&] { return mode->serve(); });
}

}  // namespace ctrlexec
