#include "cmd/run_options.h"

#include <fmt/format.h>

#include "core/duration.h"

namespace ctrlexec {

Result<std::optional<std::chrono::milliseconds>> duration_option(const Invocation& call,
                                                                 const std::string& option) {
    using Found = std::optional<std::chrono::milliseconds>;
    if (!call.has(option)) return Found();
    const auto duration = parse_duration(call.text(option));
    if (!duration) return fail(Errc::usage, fmt::format("{} {}", option, duration.error().message));
    return Found(*duration);
}

Result<bool> follow_option(const Invocation& call) {
    if (call.has("--follow") && call.has("--json"))
        return fail(Errc::usage, "--follow prints for people, --json for programs");
    return call.has("--follow");
}

namespace {

// What the options that say how results are shown do not go together with.
Result<void> check_forms(const RunOptions& options) {
    const bool for_people = options.format == OutputFormat::table;
    if (options.follow && !for_people)
        return fail(Errc::usage, "--follow prints for people, --output json and ndjson for programs");
    if (options.grouped && !for_people)
        return fail(Errc::usage, "--group-output prints for people, --output json and ndjson for programs");
    if (options.grouped && options.follow)
        return fail(Errc::usage, "--follow prints at once what --group-output keeps for the end");
    if (!options.background) return success();
    if (options.format == OutputFormat::ndjson)
        return fail(Errc::usage, "--async prints no results as they come; use --output json");
    if (options.follow)
        return fail(Errc::usage, "--async does not wait for what --follow shows; 'wait --follow' does");
    if (options.grouped || options.progress)
        return fail(Errc::usage, fmt::format("--async does not wait for what {} shows",
                                             options.grouped ? "--group-output" : "--progress"));
    return success();
}

}  // namespace

Result<RunOptions> run_options(const Invocation& call) {
    RunOptions options;
    options.background = call.has("--async");
    options.grouped = call.has("--group-output");
    options.progress = call.has("--progress");
    TRY(options.follow, follow_option(call));
    TRY(options.format, output_format(call));
    TRY_DO(check_forms(options));
    TRY(options.timeout, duration_option(call, "--timeout"));
    if (options.background && call.has("--min-success"))
        return fail(Errc::usage, "--min-success counts results, for which --async does not wait");
    if (options.background && call.has("--batch"))
        return fail(Errc::usage,
                    "--batch waits for results before it goes on, for which --async does not wait");
    for (const std::string_view option : {"--canary", "--max-failures", "--pause"}) {
        if (call.has(option) && !call.has("--batch"))
            return fail(Errc::usage,
                        fmt::format("{} needs --batch: all hosts begin at once without it", option));
    }
    return options;
}

Result<void> add_shares(const Invocation& call, std::size_t hosts, RunOptions& options) {
    if (call.has("--min-success")) {
        TRY(options.enough, MinSuccess::parse(call.text("--min-success"), hosts));
    }
    if (!call.has("--batch")) return success();
    BatchWords words;
    words.size = call.text("--batch");
    words.max_failures = call.text("--max-failures");
    words.canary = call.text("--canary");
    TRY(const auto pause, duration_option(call, "--pause"));
    words.pause = pause.value_or(words.pause);
    TRY(options.batches, BatchPlan::parse(words, hosts));
    return success();
}

}  // namespace ctrlexec
