#include "cmd/run_output.h"

#include <fmt/format.h>

#include <cstdio>

#include "cmd/print.h"
#include "core/utf8.h"

namespace ctrlexec {
namespace {

std::string headline(Outcome outcome) {
    if (outcome == Outcome::failed) return "FAIL";  // as it has always been
    std::string text(spoken(outcome));
    for (char& c : text) c = c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
    return text;
}

std::string cut(std::string_view stream, std::uint64_t bytes) {
    if (bytes == 0) return fmt::format("{} was cut by the agent", stream);
    return fmt::format("{} was cut by the agent: the script wrote {} bytes", stream, bytes);
}

}  // namespace

void RunOutput::print_header(const RunResult& result) {
    start_line();
    print_out(fmt::format("==> {}  [{}  exit:{}  {}  req:{}]\n", printable(result.host),
                          headline(result.outcome()), result.exit, printable(result.rtt),
                          printable(result.reqid)));
}

void RunOutput::print_problems(const RunResult& result) {
    if (result.output_truncated) print_prefixed("    WARNING: ", cut("stdout", result.output_bytes));
    if (result.errors_truncated) print_prefixed("    WARNING: ", cut("stderr", result.errors_bytes));
    print_prefixed("    ERROR: ", printable(result.error));
    std::fflush(stdout);
}

void RunOutput::print(const RunResult& result) {
    print_header(result);
    print_streams(result);
}

void RunOutput::print(const ResultGroup& group) {
    std::string names;
    for (const auto& host : group.hosts) names += " " + printable(host);
    if (group.count > group.hosts.size())
        names += fmt::format(" and {} more", group.count - group.hosts.size());
    start_line();
    print_out(fmt::format("==> on {} host{}:{}  [{}  exit:{}  req:{}]\n", group.count,
                          group.count == 1 ? "" : "s", names, headline(group.result.outcome()),
                          group.result.exit, printable(group.result.reqid)));
    print_streams(group.result);
}

void RunOutput::print_streams(const RunResult& result) {
    print_out(result.output);
    at_line_start_ = result.output.empty() || result.output.back() == '\n';
    print_prefixed("    STDERR: ", result.errors);
    print_problems(result);
}

void RunOutput::print_end(const RunResult& result) {
    print_header(result);
    print_problems(result);
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
