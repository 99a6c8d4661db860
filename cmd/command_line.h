// From argv to a verb and its Invocation: names, options anywhere on the line, arity, help. All of it once,
// for all verbs.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "cmd/applet.h"
#include "core/did_you_mean.h"
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

}  // namespace ctrlexec
