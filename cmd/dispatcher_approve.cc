// Usage: approve ID [--sas CODE] [--replace] [--agent-port N] [--lookup-by ip|hostname]
// Signs the request, registers the agent, and leaves the answer for the listener that holds the agent's
// connection. A registered agent of the same name is replaced, and its certificate revoked, only with
// --replace; on a terminal that is asked. Without --sas it says what nobody has checked.
#include <fmt/format.h>
#include <unistd.h>

#include "cmd/agent_place.h"
#include "cmd/confirm.h"
#include "cmd/dispatcher_context.h"
#include "cmd/print.h"
#include "cmd/verbs.h"
#include "core/pairing_approval.h"
#include "core/pairing_proof.h"
#include "core/timestamp.h"
#include "core/utf8.h"

namespace ctrlexec {
namespace {

Result<ApprovalOptions> options_of(const Invocation& call) {
    ApprovalOptions options;
    options.replace = call.has("--replace");
    TRY(const auto port, agent_port_option(call));
    options.agent_port = port.value_or(0);
    TRY(const auto lookup, lookup_option(call));
    options.lookup_by = lookup.value_or("");
    const std::string typed = call.text("--sas");
    options.sas = check_code_of(typed);
    if (call.has("--sas") && options.sas.empty()) {
        return fail(Errc::usage,
                    fmt::format("--sas: '{}' is no check code; it has 8 digits, such as 4831-1920",
                                printable(typed.substr(0, 60))));
    }
    return options;
}

bool replacement_is_confirmed(const Error& question) {
    if (::isatty(STDIN_FILENO) == 0) return false;
    print_error_line(question.text());
    return confirmed("Replace it?");
}

}  // namespace

int dispatcher_approve(const Invocation& call) {
    auto options = options_of(call);
    if (!options) return report(call, options.error());
    const auto config = open_dispatcher(call);
    if (!config) return report(call, config.error());
    auto approval = approve_pairing(*config, call.operands[0], now_seconds(), *options);
    if (!approval && approval.error().code == Errc::exists && replacement_is_confirmed(approval.error())) {
        options->replace = true;
        approval = approve_pairing(*config, call.operands[0], now_seconds(), *options);
    }
    if (!approval) return report(call, approval.error());
    if (call.has("--json")) {
        json::Object answer{{"ok", 1}, {"agent", approval->agent.to_json()}};
        if (!approval->replaced_serial.empty()) answer.push_back({"revoked", approval->replaced_serial});
        print_out(json::dump(json::Value(std::move(answer))) + "\n");
        return 0;
    }
    print_out(approval->text() + "\n");
    if (approval->is_checked()) {
        print_out(approval->trust_text() + "\n");
    } else {
        print_error_line(approval->trust_text());
    }
    return 0;
}

}  // namespace ctrlexec
