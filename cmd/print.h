// What commands print: stdout for results, stderr for words about them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cmd/applet.h"
#include "core/result.h"

namespace ctrlexec {

void print_out(std::string_view text);

// Something could not be written to stdout: nothing more is. finish_output tells.
bool output_is_lost();

void print_error_line(std::string_view line);

// Flushes stdout. A result that could not be written (full disk, closed pipe) is no success: 0 becomes 1.
int finish_output(int exit_code);

// "PROGRAM: message" on stderr (a JSON object on stdout where JSON was asked for, unless the command line
// itself is wrong); returns the error's exit code.
int report(const Invocation& call, const Error& error);

// Two header lines (titles, a rule), then one line a row, columns aligned. Control characters are shown as
// \xNN.
std::string format_table(const std::vector<std::string>& titles,
                         const std::vector<std::vector<std::string>>& rows);

// A cell of DAYS LEFT: "-" when nothing is known.
std::string days_text(const std::optional<std::int64_t>& days);

}  // namespace ctrlexec
