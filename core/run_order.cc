#include "core/run_order.h"

#include "core/config_file.h"

namespace ctrlexec {
namespace {

constexpr std::size_t max_body = 1u << 20;
constexpr std::int64_t max_timeout_ms = std::int64_t{30} * 86'400'000;

}  // namespace

Result<RunOrder> RunOrder::parse(std::string_view body) {
    TRY(const json::Value value, json::parse(body, max_body));
    RunOrder order;
    TRY(order.request, RunRequest::from_json(value));
    const std::string mode = value.scalar("mode");
    if (mode == "follow") {
        order.mode = Mode::follow;
    } else if (mode == "detach") {
        order.mode = Mode::detach;
    } else if (!mode.empty() && mode != "wait") {
        order.request.problem = "mode must be wait, follow or detach";
    }
    const std::string timeout = value.scalar("timeout_ms");
    std::int64_t milliseconds = 0;
    if (!timeout.empty() && !parse_integer(timeout, 1, max_timeout_ms, milliseconds))
        order.request.problem = "timeout_ms must be a number of milliseconds up to 30 days";
    order.timeout = std::chrono::milliseconds(milliseconds);
    return order;
}

json::Value RunOrder::to_json() const {
    json::Value body = request.to_value();
    if (mode == Mode::follow) body.set("mode", "follow");
    if (mode == Mode::detach) body.set("mode", "detach");
    if (timeout.count() > 0) body.set("timeout_ms", std::int64_t{timeout.count()});
    return body;
}

}  // namespace ctrlexec
