#include "cmd/print.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>

#include "cmd/output_format.h"
#include "core/json.h"
#include "core/utf8.h"

namespace ctrlexec {
namespace {

// Columns on the screen: one for each code point. Wide characters do not occur in what we print in tables.
std::size_t width(std::string_view text) {
    return static_cast<std::size_t>(std::count_if(
        text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; }));
}

std::string format_row(const std::vector<std::string>& cells, const std::vector<std::size_t>& widths) {
    std::string line;
    for (std::size_t i = 0; i < cells.size(); ++i) {
        line += cells[i];
        if (i + 1 < cells.size()) line.append(widths[i] - width(cells[i]) + 2, ' ');
    }
    return line + "\n";
}

}  // namespace

void print_out(std::string_view text) {
    if (output_is_lost()) return;  // who has hung up, or has no room, shall not get pieces
    std::fwrite(text.data(), 1, text.size(), stdout);
}

bool output_is_lost() {
    return std::ferror(stdout) != 0;
}

// Messages quote what others sent and what files hold: none of it may speak to the terminal.
void print_error_line(std::string_view text) {
    std::fflush(stdout);
    while (!text.empty()) {
        const auto end = text.find('\n');
        std::fprintf(stderr, "%s\n", printable(text.substr(0, end)).c_str());
        text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    }
}

int finish_output(int exit_code) {
    const bool written = std::fflush(stdout) == 0 && std::ferror(stdout) == 0;
    if (written) return exit_code;
    std::fprintf(stderr, "ctrl-exec: cannot write the output\n");
    return exit_code == 0 ? 1 : exit_code;
}

int report(const Invocation& call, const Error& error) {
    if (error.code ==
        Errc::usage) {  // the caller is wrong, not the work: never JSON, and with the way to the help
        print_error_line(fmt::format("{0}: {1}\nTry '{0} help {2}'.", call.program, error.text(), call.verb));
        return info(error.code).exit_code;
    }
    if (wants_json(call)) print_out(json::dump(json::Object{{"ok", 0}, {"error", error.text()}}) + "\n");
    print_error_line(fmt::format("{}: {}", call.program, error.text()));
    return info(error.code).exit_code;
}

std::string format_table(const std::vector<std::string>& titles,
                         const std::vector<std::vector<std::string>>& rows) {
    std::vector<std::vector<std::string>> cells{titles};
    for (const auto& row : rows) {
        auto& safe = cells.emplace_back();
        for (const auto& cell : row) safe.push_back(cell.empty() ? "-" : printable(cell));
    }
    std::vector<std::size_t> widths(titles.size(), 0);
    for (const auto& row : cells) {
        for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], width(row[i]));
    }
    std::string text = format_row(cells[0], widths);
    std::size_t rule = 2 * (titles.size() - 1);
    for (const auto columns : widths) rule += columns;
    text += std::string(rule, '-') + "\n";
    for (std::size_t i = 1; i < cells.size(); ++i) text += format_row(cells[i], widths);
    return text;
}

std::string days_text(const std::optional<std::int64_t>& days) {
    return days ? fmt::format("{}", *days) : std::string();
}

}  // namespace ctrlexec
