#include "cmd/help.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

namespace ctrlexec {
namespace {

std::string verbs_of(Role role) {
    std::string text;
    for (const auto& applet : applets()) {
        if (applet.role == role) text += fmt::format("  {:<16} {}\n", applet.verb, applet.summary);
    }
    return text;
}

std::string options_text(std::span<const OptionSpec> options) {
    std::string text;
    for (const auto& option : options) {
        const std::string left =
            option.value.empty() ? std::string(option.name) : fmt::format("{} {}", option.name, option.value);
        text += fmt::format("  {:<18} {}\n", left, option.help);
    }
    return text;
}

}  // namespace

std::string link_names() {
    std::string text;
    for (const auto& link : links()) text += fmt::format("{}\n", link.name);
    return text;
}

std::string overview_of(Role role, std::string_view program) {
    return fmt::format(
        "Usage: {0} COMMAND [OPTION]... [ARGUMENT]...\n\nCommands:\n{1}\nOptions of every command:\n{2}\n"
        "'{0} help COMMAND' says more.\n",
        program, verbs_of(role), options_text(common_options(role)));
}

std::string overview() {
    return fmt::format(
        "ctrl-exec {}: runs allowlisted scripts on remote hosts over mutual TLS.\n\n"
        "Usage: ctrl-exec [ROLE] COMMAND [OPTION]... [ARGUMENT]...\n\n"
        "Role dispatcher (also 'ctrl-exec-dispatcher', 'ced', and without a role):\n{}\n"
        "Role agent (also 'ctrl-exec-agent', 'cea'):\n{}\n"
        "Role api (also 'ctrl-exec-api'): the HTTP API; it takes no command.\n"
        "Role pairing: the dispatcher's pairing-mode.\n\n"
        "Role container (not named; 'ctrl-exec' alone with ROLE=dispatcher or agent means entrypoint):\n{}\n"
        "  --version          print the version\n"
        "  --list-links       print the names to link this binary to\n\n"
        "'ctrl-exec ROLE help COMMAND' says more.\n",
        CTRL_EXEC_VERSION, verbs_of(Role::dispatcher), verbs_of(Role::agent), verbs_of(Role::container));
}

std::string help_for(const Applet& applet, std::string_view program) {
    const bool implied = program == "ctrl-exec pairing" || applet.role == Role::api;
    const std::string name = implied ? std::string(program) : fmt::format("{} {}", program, applet.verb);
    std::string operands = applet.operands.empty() ? "" : fmt::format(" {}", applet.operands);
    return fmt::format("Usage: {} [OPTION]...{}\n\n{}{}.\n\nOptions:\n{}{}\nExample:\n  {} {}\n", name,
                       operands, static_cast<char>(applet.summary[0] - 'a' + 'A'), applet.summary.substr(1),
                       options_text(applet.options), options_text(common_options(applet.role)),
                       role_program(applet.role), applet.example);
}

}  // namespace ctrlexec
