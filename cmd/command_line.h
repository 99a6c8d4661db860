// From argv to a verb and its Invocation: names, options anywhere on the line, arity, help. All of it once,
// for all verbs.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "cmd/applet.h"
#include "core/result.h"

namespace ctrlexec {

struct ParsedCommand {
    const Applet* applet = nullptr;  // null: print `text` and exit 0
    std::string text;                // help, version, links
    Invocation call;
};

// `arguments[0]` is the program's name. Errc::usage with a message that already names the program and where
// help is.
Result<ParsedCommand> parse_command_line(const std::vector<std::string>& arguments);

// The known word closest to a mistyped one, "" when none is close.
std::string_view did_you_mean(std::string_view typed, const std::vector<std::string_view>& known);

}  // namespace ctrlexec
