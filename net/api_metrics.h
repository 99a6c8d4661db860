// What the HTTP API counts, and GET /metrics.
#pragma once

#include <asio/awaitable.hpp>
#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>

#include "core/metrics.h"

namespace ctrlexec {

struct ApiCall;
struct HttpAnswer;
struct RenewalResult;

// All labels come from closed sets, so that no client can make the table grow.
class ApiMetrics {
  public:
    // `route` is the pattern ("/status/{reqid}"), or "none" for what is no route; an unknown method counts as
    // "other".
    void count_request(std::string_view route, std::string_view method, int status, double seconds);
    void count_run(std::string_view label, double seconds);  // of one host, see RunResult::label
    void count_ping(bool ok) { ++(ok ? pings_ok_ : pings_failed_); }
    void count_auth(bool allowed) { ++(allowed ? auth_allowed_ : auth_denied_); }
    void count_rate_block() { ++rate_blocks_; }
    void count_renewal(const RenewalResult& renewal);  // not of one that was not due
    // How a conversation at the pairing port of this process ended, and what it could rest on.
    void count_pairing(std::string_view result, std::string_view trust);
    void count_store_failure() { ++store_failures_; }

    void write(MetricsPage& page) const;

  private:
    using Request = std::tuple<std::string, std::string, int>;  // route, method, status
    std::map<Request, std::uint64_t> requests_;
    std::map<std::string, Histogram, std::less<>> request_seconds_;  // by route
    std::map<std::string, std::uint64_t, std::less<>> runs_;         // by outcome
    Histogram run_seconds_;
    std::map<std::string, std::uint64_t, std::less<>> renewals_;             // by outcome
    std::map<std::pair<std::string, std::string>, std::uint64_t> pairings_;  // by result and trust
    std::uint64_t pings_ok_ = 0;
    std::uint64_t pings_failed_ = 0;
    std::uint64_t auth_allowed_ = 0;
    std::uint64_t auth_denied_ = 0;
    std::uint64_t rate_blocks_ = 0;
    std::uint64_t store_failures_ = 0;
};

// Seconds since construction.
class Stopwatch {
  public:
    double seconds() const {
        return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
    }

  private:
    std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

asio::awaitable<HttpAnswer> api_metrics(std::shared_ptr<const ApiCall> call);

}  // namespace ctrlexec
