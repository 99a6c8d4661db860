#include "cmd/run_output.h"

#include <fmt/format.h>

#include <cstdio>

#include "cmd/print.h"
#include "core/utf8.h"

namespace ctrlexec {

void RunOutput::print(const RunResult& result) {
    start_line();
    print_out(fmt::format("==> {}  [{}  exit:{}  {}  req:{}]\n", printable(result.host),
                          result.ok() ? "OK" : "FAIL", result.exit, printable(result.rtt),
                          printable(result.reqid)));
    print_out(result.output);
    at_line_start_ = result.output.empty() || result.output.back() == '\n';
    print_prefixed("    STDERR: ", result.errors);
    if (result.output_truncated) print_prefixed("    WARNING: ", "stdout was cut by the agent");
    if (result.errors_truncated) print_prefixed("    WARNING: ", "stderr was cut by the agent");
    print_prefixed("    ERROR: ", printable(result.error));
    std::fflush(stdout);
}

void RunOutput::start_line() {
    if (!at_line_start_) print_out("\n");
    at_line_start_ = true;
}

void RunOutput::print_prefixed(std::string_view prefix, std::string_view text) {
    while (!text.empty()) {
        const auto end = text.find('\n');
        start_line();
        print_out(fmt::format("{}{}\n", prefix, text.substr(0, end)));
        text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    }
}

}  // namespace ctrlexec
