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

Result<RunOptions> run_options(const Invocation& call, std::size_t hosts) {
    RunOptions options;
    options.background = call.has("--async");
    TRY(options.follow, follow_option(call));
    TRY(options.format, output_format(call));
    if (options.follow && options.format != OutputFormat::table)
        return fail(Errc::usage, "--follow prints for people, --output json and ndjson for programs");
    if (options.background && options.format == OutputFormat::ndjson)
        return fail(Errc::usage, "--async prints no results as they come; use --output json");
    if (options.background && options.follow)
        return fail(Errc::usage, "--async does not wait for what --follow shows; 'wait --follow' does");
    TRY(options.timeout, duration_option(call, "--timeout"));
    if (!call.has("--min-success")) return options;
    if (options.background)
        return fail(Errc::usage, "--min-success counts results, for which --async does not wait");
    TRY(const MinSuccess enough, MinSuccess::parse(call.text("--min-success"), hosts));
    options.enough = enough;
    return options;
}

}  // namespace ctrlexec
