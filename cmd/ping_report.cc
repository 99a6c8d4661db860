#include "cmd/ping_report.h"

#include <fmt/format.h>

#include <array>
#include <cstdio>

#include "cmd/print.h"
#include "core/timestamp.h"

namespace ctrlexec {

PingReport::PingReport(const Invocation& call, OutputFormat format, std::size_t hosts)
    : call_(call), format_(format), bar_(call.has("--progress"), hosts) {}

void PingReport::add(PingResult result) {
    if (!result.ok()) ++failed_;
    if (format_ == OutputFormat::ndjson) {
        bar_.erase();
        print_out(json::dump(result.to_json()) + "\n");
        std::fflush(stdout);
    }
    results_.push_back(std::move(result));
}

void PingReport::tick() {
    using Tone = ProgressCount::Tone;
    const std::array<ProgressCount, 2> counts{
        {{results_.size() - failed_, "ok", Tone::good}, {failed_, "failed", Tone::bad}}};
    bar_.draw(std::span(counts).first(failed_ > 0 ? 2 : 1));
}

void PingReport::end() {
    bar_.erase();
    if (format_ == OutputFormat::table) print_table();
    if (format_ == OutputFormat::json) print_document();
    if (format_ == OutputFormat::ndjson) print_after_lines();
}

void PingReport::print_table() const {
    std::vector<std::vector<std::string>> rows;
    for (const auto& r : results_)
        rows.push_back({r.host, r.ok() ? "ok" : "error", r.rtt, r.expiry, r.version,
                        days_text(r.days_left(now_seconds()))});
    print_out(format_table({"HOST", "STATUS", "RTT", "CERT EXPIRY", "VERSION", "DAYS LEFT"}, rows));
    for (const auto& r : results_) {
        if (!r.renewed_until.empty())
            print_out(fmt::format("{}: certificate renewed, valid until {}\n", r.host, r.renewed_until));
    }
    for (const auto& r : results_) {
        if (!r.ok()) print_error_line(fmt::format("{}: {}: {}", call_.program, r.host, r.error));
        print_renewal_error(r);
    }
}

void PingReport::print_document() const {
    json::Array array;
    for (const auto& result : results_) array.push_back(result.to_json());
    print_out(json::dump(json::Object{{"ok", 1}, {"results", std::move(array)}}) + "\n");
}

// The lines were printed before anything was renewed.
void PingReport::print_after_lines() const {
    for (const auto& r : results_) {
        if (!r.renewed_until.empty())
            print_error_line(fmt::format("{}: {}: certificate renewed, valid until {}", call_.program, r.host,
                                         r.renewed_until));
        print_renewal_error(r);
    }
}

void PingReport::print_renewal_error(const PingResult& result) const {
    if (result.renewal_error.empty()) return;
    print_error_line(
        fmt::format("{}: {}: certificate not renewed: {}", call_.program, result.host, result.renewal_error));
}

}  // namespace ctrlexec
