#include "cmd/output_format.h"

#include <fmt/format.h>

#include "core/utf8.h"

namespace ctrlexec {

Result<OutputFormat> output_format(const Invocation& call) {
    const bool json = call.has("--json");
    if (!call.has("--output")) return json ? OutputFormat::json : OutputFormat::table;
    const std::string word = call.text("--output");
    const auto format = word == "json"     ? OutputFormat::json
                        : word == "ndjson" ? OutputFormat::ndjson
                                           : OutputFormat::table;
    if (format == OutputFormat::table && word != "table")
        return fail(Errc::usage,
                    fmt::format("--output must be table, json or ndjson, not '{}'", printable(word)));
    if (json && format != OutputFormat::json)
        return fail(Errc::usage, fmt::format("--json is --output json, not {}", word));
    return format;
}

bool wants_json(const Invocation& call) {
    const std::string word = call.text("--output");
    return call.has("--json") || word == "json" || word == "ndjson";
}

}  // namespace ctrlexec
