#include "net/pairing_front_end.h"

#include <asio/redirect_error.hpp>
#include <asio/use_awaitable.hpp>
#include <csignal>
#include <utility>

#include "core/registry.h"
#include "core/timestamp.h"

namespace ctrlexec {
namespace {

// For a queue without inotify, and for requests that expire.
constexpr std::chrono::seconds look_interval{2};

// As far as the files tell once the request has left the queue.
std::string outcome_of(const PairingQueue& queue, const std::string& agents_dir,
                       const PairingRequest& request) {
    if (const auto answer = queue.answer(request.id)) return std::string(answer->text("status"));
    const auto agent = Registry(agents_dir).find(request.hostname);
    return agent && agent->reqid == request.id ? "approved" : "denied or gone";
}

}  // namespace

PairingFrontEnd::PairingFrontEnd(Runtime& runtime, const DispatcherConfig& config, PairingEvents events)
    : runtime_(runtime),
      quit_(runtime.io(), SIGTERM, SIGINT),
      wake_(runtime.io()),
      queue_(config.pairing_dir()),
      agents_dir_(config.agents_dir()),
      events_(std::move(events)) {}

void PairingFrontEnd::stop() {
    stopping_ = true;
    wake_.cancel();
}

asio::awaitable<Result<void>> PairingFrontEnd::run() {
    std::function<void()> on_signal = [this] { stop(); };
    runtime_.spawn(on_each_signal(quit_, std::move(on_signal)));
    const auto watch = QueueWatch::open(runtime_, queue_.directory());
    std::function<void()> on_change = [this] {
        changed_ = true;
        wake_.cancel();
    };
    if (watch) runtime_.spawn(watch->run(std::move(on_change)));
    Result<void> served = success();
    while (!stopping_ && served) {
        changed_ = false;
        served = co_await look();
        if (!served || stopping_ || changed_) continue;
        wake_.expires_after(look_interval);
        std::error_code ignored;
        co_await wake_.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
    }
    if (watch) watch->stop();
    co_return served;
}

asio::awaitable<Result<void>> PairingFrontEnd::look() {
    std::function<Result<std::vector<PairingRequest>>()> work =
        [queue = queue_]() -> Result<std::vector<PairingRequest>> {
        TRY_DO(queue.require_listener());
        return queue.list(now_seconds());
    };
    CO_TRY(const std::vector<PairingRequest> waiting,
           co_await offload<std::vector<PairingRequest>>(runtime_.pool(), file_timeout, std::move(work)));
    show(waiting);
    co_return success();
}

void PairingFrontEnd::show(const std::vector<PairingRequest>& waiting) {
    std::map<std::string, PairingRequest> now;
    for (const auto& request : waiting) now.emplace(request.id, request);
    for (const auto& [id, request] : known_) {
        if (now.count(id) == 0) events_.ended(request, outcome_of(queue_, agents_dir_, request));
    }
    for (const auto& request : waiting) {
        if (known_.count(request.id) == 0) events_.requested(request);
    }
    known_ = std::move(now);
}

}  // namespace ctrlexec
