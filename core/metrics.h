// The Prometheus text format, version 0.0.4, and histograms for it.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace ctrlexec {

using MetricLabels = std::vector<std::pair<std::string_view, std::string_view>>;

// How many observations lay within each of fixed limits.
class Histogram {
  public:
    // Seconds; the last bucket, without a limit, is implied.
    static constexpr std::array<double, 14> bounds{0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1,
                                                   0.25,  0.5,    1,     2.5,  10,    60,   300};

    void observe(double seconds);

    std::uint64_t count() const { return count_; }
    double sum() const { return sum_; }
    std::uint64_t within(std::size_t bound) const;  // cumulative, as the format wants it

  private:
    std::array<std::uint64_t, bounds.size()> buckets_{};
    std::uint64_t count_ = 0;
    double sum_ = 0;
};

// One scrape. Samples follow their family; a family whose samples never came is only a comment.
class MetricsPage {
  public:
    void family(std::string_view name, std::string_view type, std::string_view help);
    void sample(double value, const MetricLabels& labels = {});
    void sample(std::uint64_t value, const MetricLabels& labels = {});
    void histogram(const Histogram& histogram, const MetricLabels& labels = {});

    std::string take() { return std::move(text_); }

  private:
    void line(std::string_view suffix, const MetricLabels& labels, std::string_view value);
    std::string name_;
    std::string text_;
};

}  // namespace ctrlexec
