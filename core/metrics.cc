#include "core/metrics.h"

#include <fmt/format.h>

#include <algorithm>

#include "core/utf8.h"

namespace ctrlexec {
namespace {

// Label values may hold any UTF-8; these three are escaped.
std::string escaped(std::string_view value) {
    std::string out;
    for (const char c : to_utf8(value)) {
        if (c == '\\' || c == '"') out += '\\';
        if (c == '\n') {
            out += "\\n";
        } else {
            out += c;
        }
    }
    return out;
}

}  // namespace

void Histogram::observe(double seconds) {
    ++count_;
    sum_ += seconds;
    const auto bound = std::lower_bound(bounds.begin(), bounds.end(), seconds);
    if (bound != bounds.end()) ++buckets_[static_cast<std::size_t>(bound - bounds.begin())];
}

std::uint64_t Histogram::within(std::size_t bound) const {
    std::uint64_t total = 0;
    for (std::size_t i = 0; i <= bound; ++i) total += buckets_[i];
    return total;
}

void MetricsPage::family(std::string_view name, std::string_view type, std::string_view help) {
    name_ = name;
    text_ += fmt::format("# HELP {} {}\n# TYPE {} {}\n", name, help, name, type);
}

void MetricsPage::line(std::string_view suffix, const MetricLabels& labels, std::string_view value) {
    text_ += name_;
    text_ += suffix;
    for (std::size_t i = 0; i < labels.size(); ++i)
        text_ += fmt::format("{}{}=\"{}\"", i == 0 ? '{' : ',', labels[i].first, escaped(labels[i].second));
    if (!labels.empty()) text_ += '}';
    text_ += fmt::format(" {}\n", value);
}

void MetricsPage::sample(double value, const MetricLabels& labels) {
    line("", labels, fmt::format("{}", value));
}

void MetricsPage::sample(std::uint64_t value, const MetricLabels& labels) {
    line("", labels, fmt::format("{}", value));
}

void MetricsPage::histogram(const Histogram& histogram, const MetricLabels& labels) {
    for (std::size_t i = 0; i < Histogram::bounds.size(); ++i) {
        const std::string bound = fmt::format("{}", Histogram::bounds[i]);
        MetricLabels with_bound = labels;
        with_bound.emplace_back("le", bound);
        line("_bucket", with_bound, fmt::format("{}", histogram.within(i)));
    }
    MetricLabels without_bound = labels;
    without_bound.emplace_back("le", "+Inf");
    line("_bucket", without_bound, fmt::format("{}", histogram.count()));
    line("_sum", labels, fmt::format("{}", histogram.sum()));
    line("_count", labels, fmt::format("{}", histogram.count()));
}

}  // namespace ctrlexec
