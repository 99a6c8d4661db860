// A verb of the program, and the call that reaches it.
#pragma once

#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace ctrlexec {

// container: what images run; `ctrl-exec VERB` alone, without a link of its own.
enum class Role { dispatcher, agent, api, container };

struct OptionSpec {
    std::string_view name;   // with its dashes
    std::string_view value;  // what the value is called in help; "" for a flag
    std::string_view help;
    bool is_list = false;  // given again it adds to what was said: the values have commas between them
};

// One call, parsed: the table's arity and options already hold.
struct Invocation {
    std::string program;  // what the user typed, for messages: "ctrl-exec-dispatcher"
    std::string verb;
    std::map<std::string, std::string, std::less<>> options;  // "--port" -> "7443"; flags map to ""
    std::vector<std::string> operands;                        // before "--"
    std::vector<std::string> passed;                          // after "--"

    bool has(std::string_view option) const { return options.find(option) != options.end(); }
    std::string text(std::string_view option, std::string_view fallback = {}) const {
        const auto found = options.find(option);
        return std::string(found == options.end() ? fallback : std::string_view(found->second));
    }
};

struct Applet {
    Role role;
    std::string_view verb;
    std::string_view operands;  // "HOST[:PORT]... SCRIPT [-- ARG...]"
    std::string_view summary;   // one line
    std::string_view example;   // what follows the program's name
    int min_operands;
    int max_operands;       // -1: any number
    bool passes_arguments;  // accepts "-- ARG..."
    std::span<const OptionSpec> options;
    int (*run)(const Invocation&);
};

// All verbs, sorted by role and verb.
std::span<const Applet> applets();

// Options that every verb of the role takes.
std::span<const OptionSpec> common_options(Role role);

struct Link {
    std::string_view name;
    Role role;
};

// Names under which the binary is linked; sorted.
std::span<const Link> links();

std::string_view role_program(Role role);  // "ctrl-exec-dispatcher"

}  // namespace ctrlexec
