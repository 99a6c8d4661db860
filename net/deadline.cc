#include "net/deadline.h"

#include <asio/steady_timer.hpp>

namespace ctrlexec {

struct Deadline::State {
    State(const asio::any_io_executor& executor, std::function<void()> action)
        : timer(executor), on_expiry(std::move(action)) {}
    asio::steady_timer timer;
    std::function<void()> on_expiry;
    bool armed = false;
    bool expired = false;
};

Deadline::Deadline(const asio::any_io_executor& executor, std::function<void()> on_expiry)
    : state_(std::make_shared<State>(executor, std::move(on_expiry))) {}

Deadline::~Deadline() {
    disarm();
}

void Deadline::arm(std::chrono::milliseconds after) {
    state_->armed = true;
    state_->timer.expires_after(after);
    state_->timer.async_wait([state = state_](const std::error_code& error) {
        // A handler that was already queued when the deadline was moved or disarmed must do nothing.
        if (error || !state->armed || state->timer.expiry() > std::chrono::steady_clock::now()) return;
        state->armed = false;
        state->expired = true;
        state->on_expiry();
    });
}

void Deadline::disarm() {
    state_->armed = false;
    state_->timer.cancel();
}

bool Deadline::expired() const {
    return state_->expired;
}

}  // namespace ctrlexec
