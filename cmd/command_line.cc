#include "cmd/command_line.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <optional>

#include "cmd/help.h"
#include "core/utf8.h"

namespace ctrlexec {
namespace {

// Who is called: "ced ping x", "ctrl-exec dispatcher ping x" and "ctrl-exec ping x" are the same.
struct Caller {
    std::string program;
    Role role = Role::dispatcher;
    bool any_role = false;  // called as ctrl-exec without a role: help shows everything
    std::vector<std::string> rest;
    std::string implied_verb;  // "pairing" and "api" are roles with one verb
};

Error usage_error(const Caller& caller, std::string_view verb, std::string what) {
    const std::string help = !caller.implied_verb.empty() ? caller.program + " --help"
                             : verb.empty()               ? caller.program + " help"
                                                          : fmt::format("{} help {}", caller.program, verb);
    return fail(Errc::usage, fmt::format("{}: {}\nTry '{}'.", caller.program, what, help));
}

Caller identify(const std::vector<std::string>& arguments) {
    Caller caller;
    std::string name = arguments.empty() ? "ctrl-exec" : arguments[0];
    if (const auto slash = name.rfind('/'); slash != std::string::npos) name = name.substr(slash + 1);
    if (arguments.size() > 1) caller.rest.assign(arguments.begin() + 1, arguments.end());
    for (const auto& link : links()) {
        if (link.name != name) continue;
        caller.program = name;
        caller.role = link.role;
        if (link.role == Role::api) caller.implied_verb = "serve";
        return caller;
    }
    caller.program = "ctrl-exec";
    caller.any_role = true;
    const std::string first = caller.rest.empty() ? "" : caller.rest[0];
    if (first == "dispatcher" || first == "agent" || first == "pairing" || first == "api") {
        caller.program = "ctrl-exec " + first;
        caller.role = first == "agent" ? Role::agent : first == "api" ? Role::api : Role::dispatcher;
        caller.any_role = false;
        caller.rest.erase(caller.rest.begin());
        if (first == "pairing") caller.implied_verb = "pairing-mode";
        if (first == "api") caller.implied_verb = "serve";
    }
    return caller;
}

const OptionSpec* find_option(std::span<const OptionSpec> specs, std::string_view name) {
    const auto found =
        std::find_if(specs.begin(), specs.end(), [&](const OptionSpec& o) { return o.name == name; });
    return found == specs.end() ? nullptr : &*found;
}

const Applet* find_applet(Role role, std::string_view verb) {
    const auto all = applets();
    const auto found = std::find_if(all.begin(), all.end(),
                                    [&](const Applet& a) { return a.role == role && a.verb == verb; });
    return found == all.end() ? nullptr : &*found;
}

bool takes_value(Role role, std::string_view name) {
    if (const auto* common = find_option(common_options(role), name)) return !common->value.empty();
    for (const auto& applet : applets()) {
        if (applet.role != role) continue;
        if (const auto* own = find_option(applet.options, name)) return !own->value.empty();
    }
    return false;
}

// Options may stand before the verb, so their values must not be taken for it.
std::string find_verb(const Caller& caller) {
    for (std::size_t i = 0; i < caller.rest.size(); ++i) {
        const std::string& word = caller.rest[i];
        if (word == "--") break;
        if (word.size() < 2 || word[0] != '-') return word;
        if (word.find('=') == std::string::npos && takes_value(caller.role, word)) ++i;
    }
    return {};
}

// `ctrl-exec entrypoint …`: verbs of containers have no role to be named by. Asked only when the dispatcher,
// whose role is implied, has no such verb.
void find_container_verb(Caller& caller) {
    if (!caller.any_role || find_applet(caller.role, find_verb(caller)) != nullptr) return;
    Caller container = caller;
    container.role = Role::container;
    container.any_role = false;
    if (find_applet(Role::container, find_verb(container)) != nullptr) caller = std::move(container);
}

// `ctrl-exec` alone in a container whose environment says what it is to be.
Result<void> take_role_from_environment(Caller& caller) {
    const char* role = std::getenv("ROLE");
    if (!caller.any_role || !caller.rest.empty() || role == nullptr || *role == '\0') return success();
    const std::string_view name = role;
    if (name != "dispatcher" && name != "agent") {
        return fail(Errc::config,
                    fmt::format("ctrl-exec: the environment variable ROLE must be dispatcher or agent, "
                                "not '{}'",
                                printable(name.substr(0, 80))));
    }
    caller.rest.assign(1, "entrypoint");
    caller.rest.emplace_back(name);
    return success();
}

Error unknown_verb(const Caller& caller, const std::string& verb) {
    std::vector<std::string_view> known;
    for (const auto& applet : applets()) {
        const bool container = caller.any_role && applet.role == Role::container;
        if (applet.role == caller.role || container) known.push_back(applet.verb);
    }
    std::string what = fmt::format("unknown command '{}'", printable(verb));
    if (const auto close = did_you_mean(verb, known); !close.empty()) {
        what += fmt::format("; did you mean '{}'?", close);
    } else if (caller.role == Role::dispatcher && find_applet(Role::agent, verb) != nullptr) {
        what += fmt::format("; it is one of the agent's: 'ctrl-exec-agent {}'", verb);
    } else if (caller.role == Role::agent && find_applet(Role::dispatcher, verb) != nullptr) {
        what += fmt::format("; it is one of the dispatcher's: 'ctrl-exec-dispatcher {}'", verb);
    }
    return usage_error(caller, "", std::move(what));
}

Error unknown_option(const Caller& caller, const Applet& applet, std::string_view option) {
    std::vector<std::string_view> known;
    for (const auto& spec : common_options(applet.role)) known.push_back(spec.name);
    for (const auto& spec : applet.options) known.push_back(spec.name);
    std::string what = fmt::format("unknown option '{}'", printable(option));
    if (const auto close = did_you_mean(option, known); !close.empty())
        what += fmt::format("; did you mean '{}'?", close);
    return usage_error(caller, applet.verb, std::move(what));
}

// Takes the option at rest[i] and its value; moves i to the last word used.
Result<void> take_option(const Caller& caller, const Applet& applet, std::size_t& i, Invocation& call) {
    const std::string& word = caller.rest[i];
    const auto equals = word.find('=');
    const std::string name = word.substr(0, equals);
    const auto* spec = find_option(applet.options, name);
    if (spec == nullptr) spec = find_option(common_options(applet.role), name);
    if (spec == nullptr) return unknown_option(caller, applet, name);
    if (spec->value.empty()) {
        if (equals != std::string::npos)
            return usage_error(caller, applet.verb, fmt::format("{} takes no value", name));
        call.options[name] = "";
        return success();
    }
    if (equals == std::string::npos && i + 1 >= caller.rest.size())
        return usage_error(caller, applet.verb, fmt::format("{} needs a value", name));
    const std::string value = equals == std::string::npos ? caller.rest[++i] : word.substr(equals + 1);
    std::string& known = call.options[name];
    known = spec->is_list && !known.empty() ? known + "," + value : value;
    return success();
}

Result<void> check_arity(const Caller& caller, const Applet& applet, const Invocation& call) {
    const int count = static_cast<int>(call.operands.size());
    if (count < applet.min_operands) {
        return usage_error(caller, applet.verb, fmt::format("'{}' needs {}", applet.verb, applet.operands));
    }
    if (applet.max_operands >= 0 && count > applet.max_operands) {
        const auto& extra = call.operands[static_cast<std::size_t>(applet.max_operands)];
        return usage_error(caller, applet.verb, fmt::format("unexpected argument '{}'", printable(extra)));
    }
    return success();
}

Result<ParsedCommand> parse_verb(const Caller& caller, const Applet& applet) {
    ParsedCommand command;
    command.applet = &applet;
    Invocation& call = command.call;
    call.program = caller.program;
    call.verb = applet.verb;
    bool verb_seen = !caller.implied_verb.empty();
    for (std::size_t i = 0; i < caller.rest.size(); ++i) {
        const std::string& word = caller.rest[i];
        if (word == "--") {
            if (!applet.passes_arguments)
                return usage_error(caller, applet.verb, "nothing may follow '--' here");
            call.passed.assign(caller.rest.begin() + static_cast<std::ptrdiff_t>(i) + 1, caller.rest.end());
            break;
        }
        if (word == "--help" || word == "-h")
            return ParsedCommand{nullptr, help_for(applet, caller.program), {}};
        if (word.size() > 1 && word[0] == '-') {
            TRY_DO(take_option(caller, applet, i, call));
        } else if (!verb_seen) {
            verb_seen = true;
        } else {
            call.operands.push_back(word);
        }
    }
    TRY_DO(check_arity(caller, applet, call));
    return command;
}

Result<ParsedCommand> help(const Caller& caller, const std::string& about) {
    const auto text = [&](std::string value) { return ParsedCommand{nullptr, std::move(value), {}}; };
    if (about.empty()) return text(caller.any_role ? overview() : overview_of(caller.role, caller.program));
    if (caller.any_role && (about == "dispatcher" || about == "agent")) {
        const Role role = about == "agent" ? Role::agent : Role::dispatcher;
        return text(overview_of(role, "ctrl-exec " + about));
    }
    if (caller.any_role && about == "api")
        return text(help_for(*find_applet(Role::api, "serve"), "ctrl-exec api"));
    if (const auto* applet = find_applet(caller.role, about)) return text(help_for(*applet, caller.program));
    const auto* agent = caller.any_role ? find_applet(Role::agent, about) : nullptr;
    if (agent != nullptr) return text(help_for(*agent, "ctrl-exec agent"));
    const auto* container = caller.any_role ? find_applet(Role::container, about) : nullptr;
    if (container != nullptr) return text(help_for(*container, caller.program));
    return unknown_verb(caller, about);
}

}  // namespace

Result<ParsedCommand> parse_command_line(const std::vector<std::string>& arguments) {
    Caller caller = identify(arguments);
    TRY_DO(take_role_from_environment(caller));
    find_container_verb(caller);
    const bool asks_help = !caller.rest.empty() && caller.rest[0] == "help";
    if (asks_help && !caller.implied_verb.empty()) {
        const auto* only = find_applet(caller.role, caller.implied_verb);
        return ParsedCommand{nullptr, help_for(*only, caller.program), {}};
    }
    const bool version = !caller.rest.empty() && caller.rest[0] == "--version";
    if (version) return ParsedCommand{nullptr, fmt::format("ctrl-exec {}\n", CTRL_EXEC_VERSION), {}};
    const std::string verb = caller.implied_verb.empty() ? find_verb(caller) : caller.implied_verb;
    if (verb == "help") {
        const auto at = std::find(caller.rest.begin(), caller.rest.end(), "help");
        return help(caller, at + 1 == caller.rest.end() ? std::string() : *(at + 1));
    }
    if (verb.empty()) {
        const std::string first = caller.rest.empty() ? "--help" : caller.rest[0];
        if (first == "--list-links") return ParsedCommand{nullptr, link_names(), {}};
        if (first == "--help" || first == "-h") {
            TRY(const ParsedCommand shown, help(caller, ""));
            if (!caller.rest.empty()) return shown;
            return usage_error(caller, "", "no command given");
        }
        const bool known =
            find_option(common_options(caller.role), first.substr(0, first.find('='))) != nullptr;
        return usage_error(caller, "",
                           known || first == "--" || first.empty()
                               ? std::string("no command given")
                               : fmt::format("unknown option '{}', and no command given", printable(first)));
    }
    const auto* applet = find_applet(caller.role, verb);
    if (applet == nullptr) return unknown_verb(caller, verb);
    return parse_verb(caller, *applet);
}

}  // namespace ctrlexec
