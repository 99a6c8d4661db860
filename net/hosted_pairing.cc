#include "net/hosted_pairing.h"

#include <algorithm>
#include <array>

#include <asio/redirect_error.hpp>
#include <asio/use_awaitable.hpp>

#include "core/file.h"
#include "core/join_tokens.h"
#include "core/log.h"
#include "core/timestamp.h"
#include "net/offload.h"

namespace ctrlexec {
namespace {

constexpr std::chrono::seconds interval{2};

// What a pairing listener goes by, beside all that begins with "pairing".
constexpr std::array<std::string_view, 9> used_settings{"ca",   "ca_dir",       "ca_passphrase_file",
                                                        "cert", "cert_days",    "connect_timeout",
                                                        "key",  "read_timeout", "state_dir"};

std::string settings_text(const DispatcherConfig& config) {
    std::string text;
    for (const auto& setting : config.settings) {
        if (setting.key.starts_with("pairing") || std::ranges::binary_search(used_settings, setting.key))
            text += setting.key + '=' + setting.value + '\n';
    }
    return text;
}

void log_complaint(const Error& why) {
    log_event(LogLevel::error, "pairing-listen-fail", {{"ERROR", why.text()}});
}

}  // namespace

PairingHost::PairingHost(Runtime& runtime, std::function<DispatcherConfig()> config, PairingEvents events)
    : runtime_(runtime),
      config_(std::move(config)),
      events_(std::move(events)),
      wake_(runtime.io()),
      ended_(runtime.io()) {}

std::shared_ptr<PairingHost> PairingHost::create(Runtime& runtime, std::function<DispatcherConfig()> config,
                                                 PairingEvents events) {
    return std::shared_ptr<PairingHost>(new PairingHost(runtime, std::move(config), std::move(events)));
}

// An API that nobody gives tokens to looks at one directory that is not there.
asio::awaitable<bool> PairingHost::is_wanted(DispatcherConfig config) {
    if (config.pairing != HostedPairing::tokens) co_return config.pairing == HostedPairing::on;
    if (!file_exists(config.join_tokens_dir())) co_return false;
    std::function<Result<bool>()> work = [tokens = JoinTokens(config)]() -> Result<bool> {
        return tokens.are_awaited(now_seconds());
    };
    const auto awaited = co_await offload<bool>(runtime_.pool(), file_timeout, std::move(work));
    co_return awaited ? *awaited : listener_ != nullptr;
}

void PairingHost::begin(const DispatcherConfig& config) {
    auto opened = PairingListener::create(runtime_, config, events_);
    if (opened) {
        listener_ = std::move(*opened);
        settings_ = settings_text(config);
        complaint_.clear();
        runtime_.spawn(serve(listener_));
    } else if (opened.error().code != Errc::locked && opened.error().text() != complaint_) {
        complaint_ = opened.error().text();
        log_complaint(opened.error());
    }
}

void PairingHost::end() {
    if (!listener_ || closing_) return;
    closing_ = true;
    listener_->stop();
}

// The listener must be gone, its lock and port with it, before another can begin.
asio::awaitable<void> PairingHost::serve(std::shared_ptr<PairingListener> listener) {
    const auto self = shared_from_this();
    co_await listener->run();
    listener.reset();
    listener_.reset();
    closing_ = false;
    wake_.cancel();
}

asio::awaitable<void> PairingHost::run() {
    const auto self = shared_from_this();
    std::error_code ignored;
    running_ = true;
    while (!stopping_) {
        DispatcherConfig config = config_();
        const bool wanted = co_await is_wanted(config);
        if (stopping_) break;
        if (listener_ && (!wanted || settings_text(config) != settings_)) end();
        if (!listener_ && wanted) begin(config);
        wake_.expires_after(interval);
        co_await wake_.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
    }
    end();
    while (listener_) {
        wake_.expires_after(interval);
        co_await wake_.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
    }
    running_ = false;
    ended_.cancel();
}

void PairingHost::stop() {
    stopping_ = true;
    end();
    wake_.cancel();
}

asio::awaitable<void> PairingHost::wait_for_end(std::chrono::milliseconds timeout) {
    const auto self = shared_from_this();
    if (!running_) co_return;
    std::error_code ignored;
    ended_.expires_after(timeout);
    co_await ended_.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
}

void PairingHost::take_identity_of_now() {
    if (listener_) listener_->take_identity_of_now();
}

}  // namespace ctrlexec
