#include "core/metrics.h"

#include <doctest/doctest.h>

using ctrlexec::Histogram;
using ctrlexec::MetricsPage;

TEST_CASE("a sample has its family's name, and its labels in their order") {
    MetricsPage page;
    page.family("ctrl_exec_runs_total", "counter", "Runs.");
    page.sample(std::uint64_t{18'446'744'073'709'551'615u}, {{"outcome", "ok"}, {"b", "x"}});
    page.sample(0.25);
    CHECK(page.take() ==
          "# HELP ctrl_exec_runs_total Runs.\n"
          "# TYPE ctrl_exec_runs_total counter\n"
          "ctrl_exec_runs_total{outcome=\"ok\",b=\"x\"} 18446744073709551615\n"
          "ctrl_exec_runs_total 0.25\n");
}

TEST_CASE("no label value can forge a second sample") {
    MetricsPage page;
    page.family("f", "gauge", "F.");
    page.sample(1.0, {{"l", "a\"} 1\nf{l=\"b\\"}});
    page.sample(2.0, {{"l", "\xff"}});
    CHECK(page.take() ==
          "# HELP f F.\n# TYPE f gauge\nf{l=\"a\\\"} 1\\nf{l=\\\"b\\\\\"} 1\nf{l=\"\xef\xbf\xbd\"} 2\n");
}

TEST_CASE("a histogram counts each observation in every bucket that holds it") {
    Histogram histogram;
    histogram.observe(0.001);  // the limit belongs to its bucket
    histogram.observe(0.3);
    histogram.observe(1000);
    CHECK(histogram.within(0) == 1);
    CHECK(histogram.within(7) == 1);
    CHECK(histogram.within(8) == 2);
    CHECK(histogram.within(Histogram::bounds.size() - 1) == 2);
    CHECK(histogram.count() == 3);
    MetricsPage page;
    page.family("h", "histogram", "H.");
    page.histogram(histogram, {{"route", "/run"}});
    const std::string text = page.take();
    for (const char* line :
         {"h_bucket{route=\"/run\",le=\"0.001\"} 1\n", "h_bucket{route=\"/run\",le=\"0.5\"} 2\n",
          "h_bucket{route=\"/run\",le=\"300\"} 2\n", "h_bucket{route=\"/run\",le=\"+Inf\"} 3\n",
          "h_sum{route=\"/run\"} 1000.301\n", "h_count{route=\"/run\"} 3\n"}) {
        CAPTURE(line);
        CHECK(text.find(line) != std::string::npos);
    }
}
