#include "cmd/pairing_request.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>

#include "cmd/confirm.h"
#include "cmd/print.h"
#include "core/file.h"
#include "core/kept_request.h"
#include "core/log.h"
#include "core/staged_pairing.h"
#include "core/timestamp.h"
#include "net/pairing_wait.h"
#include "net/runtime.h"

namespace ctrlexec {
namespace {

Error log_failure(const AgentConfig& config, const Error& error) {
    const Errc code = error.code;
    const char* action = code == Errc::denied      ? "pair-denied"
                         : code == Errc::timed_out ? "pair-timeout"
                                                   : "pair-fail";
    log_event(LogLevel::warning, action, {{"HOST", config.hostname}, {"REASON", error.text()}});
    return error;
}

void warn(const Invocation& call, std::string_view text) {
    print_error_line(fmt::format("{}: warning: {}", call.program, text));
}

// What trust on first use cannot see.
void warn_unchecked(const Invocation& call, const NewPairing& pairing) {
    if (pairing.version == 1) {
        warn(call, fmt::format("{} speaks the first pairing protocol, in which an agent cannot check who "
                               "answers: whoever is in the path could have. Update it, or pair with --ca-pin",
                               pairing.dispatcher));
        return;
    }
    warn(call, fmt::format("nobody has checked that it was the dispatcher who answered (pair_trust = tofu). "
                           "Compare now: for request {} it must show the check code {}. If it does not, "
                           "somebody is in the path: stop this agent, and pair again with --ca-pin or a join "
                           "token",
                           pairing.reqid, pairing.sas));
}

Result<PairingEnd> refused(const AgentConfig& config, const NewPairing& pairing) {
    (void)remove_file(kept_request_path(config));
    log_event(LogLevel::warning, "pair-refused", {{"HOST", config.hostname}, {"REQID", pairing.reqid}});
    return fail(Errc::denied,
                fmt::format("nothing was stored: nobody has confirmed the check code. If the dispatcher has "
                            "registered this agent, take that back there: ctrl-exec-dispatcher unpair {} "
                            "--revoke",
                            config.hostname));
}

Result<PairingEnd> stage(const AgentConfig& config, const NewPairing& pairing) {
    if (const auto staged = stage_pairing(config, pairing, now_seconds()); !staged)
        return log_failure(config, staged.error());
    log_event(LogLevel::notice, "pair-staged", {{"HOST", config.hostname}, {"REQID", pairing.reqid}});
    return PairingEnd::staged;
}

Result<PairingEnd> settle(const Invocation& call, const AgentConfig& config, NewPairing pairing,
                          Asking asking) {
    const bool open = pairing.proof == PairingProof::none;
    if (open && pairing.version >= 2 && asking == Asking::on_terminal && ::isatty(STDIN_FILENO) == 1 &&
        ::isatty(STDOUT_FILENO) == 1) {
        const std::string question = fmt::format("Does the dispatcher show the check code {}?", pairing.sas);
        if (!confirmed_on_terminal(question, max_pairing_wait)) return refused(config, pairing);
        pairing.proof = PairingProof::check_code;
    } else if (open && config.pair_trust != PairTrust::tofu) {
        return stage(config, pairing);
    }
    TRY_DO(store_and_log(config, pairing));
    if (pairing.proof == PairingProof::none) warn_unchecked(call, pairing);
    return PairingEnd::stored;
}

}  // namespace

Result<void> store_and_log(const AgentConfig& config, const NewPairing& pairing) {
    if (const auto stored = store_pairing(config, pairing, now_seconds()); !stored)
        return log_failure(config, stored.error());
    log_event(LogLevel::notice, "pair-complete",
              {{"HOST", config.hostname},
               {"PAIR_V", std::to_string(pairing.version)},
               {"TRUST", std::string(trust_word(pairing.proof))}});
    return success();
}

Result<PairingEnd> pair_once(const Invocation& call, const AgentConfig& config, PairingAttempt attempt,
                             const ProofSources& sources, Asking asking) {
    auto proofs = sources.proofs();
    if (!proofs) return fail(Errc::config, proofs.error().text());
    attempt.proofs = std::move(*proofs);
    attempt.warn = [&call](std::string_view text) { warn(call, text); };
    Result<NewPairing> outcome = fail(Errc::internal, "not asked");
    {
        Runtime runtime;
        runtime.run([&]() -> asio::awaitable<int> {
            outcome = co_await request_pairing(runtime, config, std::move(attempt));
            co_return 0;
        });
    }
    if (!outcome) return log_failure(config, outcome.error());
    return settle(call, config, std::move(*outcome), asking);
}

Result<PairingEnd> pair_waiting(const Invocation& call, const AgentConfig& config, PairingAttempt attempt,
                                const ProofSources& sources, Asking asking, std::function<bool()> settled) {
    PairingWait wait;
    wait.attempt = std::move(attempt);
    wait.attempt.warn = [&call](std::string_view text) { warn(call, text); };
    wait.proofs = [&sources] { return sources.proofs(); };
    wait.settled = std::move(settled);
    wait.waiting = [&call](const Error& reason) {
        print_error_line(fmt::format("{}: not paired yet: {}; trying again", call.program, reason.text()));
    };
    Result<WaitedPairing> outcome = fail(Errc::internal, "not asked");
    {
        Runtime runtime;
        runtime.run([&]() -> asio::awaitable<int> {
            outcome = co_await wait_for_pairing(runtime, config, std::move(wait));
            co_return 0;
        });
    }
    if (!outcome) return log_failure(config, outcome.error());
    if (!outcome->pairing) return PairingEnd::stored;
    return settle(call, config, std::move(*outcome->pairing), asking);
}

void print_queued(const QueuedRequest& request) {
    std::string text = fmt::format("Pairing request sent: {}\n", request.reqid);
    if (request.by_token) {
        text += "The join token approves it.\n";
    } else if (request.sas.empty()) {
        text += fmt::format(
            "Pairing code: {}\nCompare the code with the dispatcher's, then approve it there: "
            "ctrl-exec-dispatcher approve {}\n",
            request.code, request.reqid);
    } else {
        text += fmt::format(
            "Pairing code: {0}\nCheck code: {1}\nType the check code at the dispatcher when you approve it "
            "there: ctrl-exec-dispatcher approve {2} --sas {1}\n",
            request.code, request.sas, request.reqid);
    }
    print_out(text);
    std::fflush(stdout);
}

void print_paired(const AgentConfig& config) {
    print_out(fmt::format("Paired: certificate stored in {}\n", config.cert));
    std::fflush(stdout);
}

void print_staged() {
    print_out(
        "Approved, but not stored yet: see on the dispatcher which check code it shows for this request, "
        "and type that here within an hour: ctrl-exec-agent pairing-confirm CODE\n");
    std::fflush(stdout);
}

int report_wait(const Invocation& call, const Error& error) {
    const int code = report(call, error);
    return error.code == Errc::cancelled ? 0 : code;
}

}  // namespace ctrlexec
