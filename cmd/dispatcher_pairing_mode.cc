// Usage: pairing-mode
// Listens for pairing requests until SIGTERM or SIGINT. On a terminal each request is shown and answered
// there; approve and deny answer from another process, terminal or not. Where another process serves the
// queue, a terminal shows and answers the requests of that.
#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>

#include "cmd/dispatcher_context.h"
#include "cmd/pairing_prompt.h"
#include "cmd/print.h"
#include "cmd/verbs.h"
#include "core/pairing_approval.h"
#include "core/timestamp.h"
#include "net/pairing_front_end.h"
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
    events.requested = [](const PairingRequest& request) { print_now(announcement(request, false)); };
    events.ended = [](const PairingRequest& request, const std::string& outcome) {
        print_now(ending(request, outcome));
    };
    return events;
}

Result<std::string> approve(const DispatcherConfig& config, const PairingRequest& request,
                            const ApprovalOptions& options) {
    TRY(const Approval approval, approve_pairing(config, request.id, now_seconds(), options));
    // Of the first version it was said when the request came.
    return request.version < 2 ? approval.text() : approval.text() + "\n" + approval.trust_text();
}

Result<std::string> deny(const DispatcherConfig& config, const PairingRequest& request) {
    TRY_DO(deny_pairing(config, request.id, now_seconds()));
    return denial_text(request);
}

// Signing and fsync take their time: on a worker.
asio::awaitable<void> decide(Runtime& runtime, PairingPrompt& prompt, PairingRequest request,
                             std::function<Result<std::string>()> work) {
    const auto text = co_await offload<std::string>(runtime.pool(), decision_timeout, std::move(work));
    prompt.decided(request, text.has_value(), text ? *text : text.error().text());
}

PairingPrompt::Actions actions_of(Runtime& runtime, const DispatcherConfig& config, PairingPrompt*& prompt,
                                  std::function<void()> quit) {
    PairingPrompt::Actions actions;
    actions.approve = [&](const PairingRequest& request, const ApprovalOptions& options) {
        runtime.spawn(
            decide(runtime, *prompt, request, [=, &config] { return approve(config, request, options); }));
    };
    actions.deny = [&](const PairingRequest& request) {
        runtime.spawn(decide(runtime, *prompt, request, [=, &config] { return deny(config, request); }));
    };
    actions.quit = std::move(quit);
    return actions;
}

// `stop` ends what serves.
asio::awaitable<void> converse(Runtime& runtime, PairingPrompt& prompt, std::function<void()> stop) {
    std::function<void(std::string)> on_line = [&prompt](const std::string& line) { prompt.line(line); };
    co_await read_terminal_lines(runtime, std::move(on_line));
    stop();
}

asio::awaitable<int> answer_for_others(const Invocation& call, PairingFrontEnd& front_end) {
    const auto served = co_await front_end.run();
    co_return served ? 0 : report(call, served.error());
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
    std::function<void()> stop;
    PairingPrompt* asking = nullptr;
    PairingPrompt prompt(actions_of(runtime, *config, asking, [&] { stop(); }));
    asking = &prompt;
    PairingEvents events = announce();
    if (interactive) {
        events.requested = [&](const PairingRequest& request) { prompt.requested(request); };
        events.ended = [&](const PairingRequest& request, const std::string& outcome) {
            prompt.ended(request, outcome);
        };
    }
    auto mode = PairingMode::create(runtime, *config, events);
    if (!mode && interactive && mode.error().code == Errc::locked) {
        PairingFrontEnd front_end(runtime, *config, events);
        stop = [&] { front_end.stop(); };
        print_now(fmt::format("Pairing mode: {}; this terminal answers its requests\n",
                              PairingQueue(config->pairing_dir()).listener_note()));
        runtime.spawn(converse(runtime, prompt, stop));
        return runtime.run([&] { return answer_for_others(call, front_end); });
    }
    if (!mode) return report(call, mode.error());
    stop = [&] { (*mode)->stop(); };
    print_now(fmt::format("Pairing mode: listening on {}\n", (*mode)->address()));
    if (interactive) runtime.spawn(converse(runtime, prompt, stop));
    return runtime.run([&] { return (*mode)->serve(); });
}

}  // namespace ctrlexec
