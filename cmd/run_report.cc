#include "cmd/run_report.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>

#include "cmd/print.h"

namespace ctrlexec {
namespace {

constexpr std::string_view document_begin = R"({"ok":1,"results":[)";
constexpr std::string_view document_end = "]}\n";

}  // namespace

RunReport::RunReport(const PlannedRun& plan)
    : program_(plan.call.program),
      format_(plan.options.format),
      one_screen_(::isatty(STDOUT_FILENO) == 1),
      // A document is one line, which must not be broken on the screen.
      bar_(plan.options.progress && !(one_screen_ && format_ == OutputFormat::json), plan.targets.size()),
      grouped_(plan.options.grouped) {}

void RunReport::add(RunResult result) {
    summary_.add(result);
    if (output_is_lost()) return;
    if (grouped_) return keep_or_print(std::move(result));
    bar_.erase();
    print(std::move(result));
}

void RunReport::add_output(const std::string& host, const FollowLine& line) {
    bar_.erase();
    live_.add(host, line);
}

void RunReport::tick() {
    if (one_screen_) human_.end();
    bar_.draw(progress_counts(summary_));
}

void RunReport::say(const std::string& words) {
    bar_.erase();
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

void RunReport::keep_or_print(RunResult result) {
    auto left = groups_.add(std::move(result));
    if (!left) return;
    bar_.erase();
    if (!groups_full_) {
        say(fmt::format(
            "there is more than {} MiB of different output; what is too much is printed as it comes",
            ResultGroups::default_bytes >> 20));
    }
    groups_full_ = true;
    human_.print(*left);
}

void RunReport::print_for_people(const RunResult& result) {
    if (live_.finish(result.host)) {
        human_.print_end(result);
    } else {
        human_.print(result);
    }
}

void RunReport::end() {
    bar_.erase();
    for (const auto& group : groups_.take()) human_.print(group);
    if (format_ == OutputFormat::json) {
        if (!document_begun_) print_out(document_begin);
        print_out(document_end);
    } else if (summary_.total() > 1 && !summary_.all_ok()) {
        say(summary_.line());
    }
}

}  // namespace ctrlexec
