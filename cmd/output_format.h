// --output of `run` and `ping`.
#pragma once

#include <cstdint>

#include "cmd/applet.h"
#include "core/result.h"

namespace ctrlexec {

enum class OutputFormat : std::uint8_t {
    table,   // for people
    json,    // one document, one line
    ndjson,  // each result a line, as it comes
};

// --json is the same as --output json. Errc::usage for another word, or for both when they differ.
Result<OutputFormat> output_format(const Invocation& call);

// Whether errors are told in JSON, too; also when the format is not known yet to be right.
bool wants_json(const Invocation& call);

}  // namespace ctrlexec
