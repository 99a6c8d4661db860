#include "cmd/run_report.h"

#include <fmt/format.h>

#include <cstdio>

#include "cmd/print.h"

namespace ctrlexec {
namespace {

constexpr std::string_view document_begin = R"({"ok":1,"results":[)";
constexpr std::string_view document_end = "]}\n";

}  // namespace

RunReport::RunReport(const PlannedRun& plan) : program_(plan.call.program), format_(plan.options.format) {}

void RunReport::add(RunResult result) {
    summary_.add(result);
    if (!output_is_lost()) print(std::move(result));
}

void RunReport::add_output(const std::string& host, const FollowLine& line) {
    live_.add(host, line);
}

void RunReport::say(const std::string& words) {
    print_error_line(fmt::format("{}: {}", program_, words));
}

void RunReport::print(RunResult result) {
    if (format_ == OutputFormat::table) return print_for_people(result);
    const std::string text = json::dump(std::move(result).to_json());
    if (format_ == OutputFormat::json) {
        print_out(document_begun_ ? "," : document_begin);
        document_begun_ = true;
        return print_out(text);
    }
    print_out(text);
    print_out("\n");
    std::fflush(stdout);
}

void RunReport::print_for_people(const RunResult& result) {
    if (live_.finish(result.host)) {
        human_.print_end(result);
    } else {
        human_.print(result);
    }
}

void RunReport::end() {
    if (format_ == OutputFormat::json) {
        if (!document_begun_) print_out(document_begin);
        print_out(document_end);
    } else if (summary_.total() > 1 && !summary_.all_ok()) {
        say(summary_.line());
    }
}

}  // namespace ctrlexec
