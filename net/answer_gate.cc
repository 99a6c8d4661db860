#include "net/answer_gate.h"

#include <algorithm>
#include <asio/redirect_error.hpp>
#include <asio/steady_timer.hpp>
#include <asio/use_awaitable.hpp>
#include <utility>

namespace ctrlexec {

struct AnswerGate::Waiter {
    Waiter(const asio::any_io_executor& executor, std::size_t wanted, std::chrono::milliseconds patience)
        : admitted(executor, patience), bytes(wanted) {}
    asio::steady_timer admitted;
    std::size_t bytes;
    bool may_go = false;
};

AnswerGate::AnswerGate(asio::any_io_executor executor, std::size_t bytes, std::chrono::milliseconds patience)
    : executor_(std::move(executor)), limit_(bytes), patience_(patience) {}

asio::awaitable<void> AnswerGate::Turn::enter(std::size_t bytes) {
    if (!gate_ || held_ > 0) co_return;
    const std::size_t wanted = std::clamp(bytes, free_for_each, most_of_one);
    bool counted = false;
    if (!gate_->waiting_.empty() || !gate_->has_room(wanted)) {
        const auto waiter = std::make_shared<Waiter>(gate_->executor_, wanted, gate_->patience_);
        gate_->waiting_.push_back(waiter);
        std::error_code ignored;
        co_await waiter->admitted.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
        counted = waiter->may_go;  // else patience has ended, and nobody will find the waiter any more
    }
    if (!counted) gate_->used_ += wanted;
    held_ = wanted;
}

void AnswerGate::Turn::leave() {
    if (held_ == 0) return;
    gate_->used_ -= std::exchange(held_, 0);
    gate_->admit_next();
}

void AnswerGate::admit_next() {
    while (!waiting_.empty()) {
        if (const auto waiter = waiting_.front().lock()) {
            if (!has_room(waiter->bytes)) return;
            used_ += waiter->bytes;
            waiter->may_go = true;
            waiter->admitted.expires_at(asio::steady_timer::time_point::min());
        }
        waiting_.pop_front();
    }
}

}  // namespace ctrlexec
