#include "net/pairing_session.h"

#include <asio/redirect_error.hpp>
#include <asio/use_awaitable.hpp>
#include <atomic>

#include "core/digest.h"
#include "core/join_redemption.h"
#include "core/pairing_messages.h"
#include "core/pairing_proof.h"
#include "core/timestamp.h"
#include "net/pairing_words.h"

namespace ctrlexec {
namespace {

constexpr std::chrono::seconds queue_timeout{20};
constexpr std::chrono::seconds settle_timeout{300};
constexpr std::chrono::seconds reveal_timeout{20};
constexpr std::chrono::seconds join_timeout{60};
// A thousand agents that join at once get their handshakes one after the other.
constexpr std::chrono::seconds handshake_patience{15};
// A queue on a file system without inotify (some network mounts) is looked at this often.
constexpr std::chrono::seconds poll_interval{2};
constexpr std::size_t max_stray_bytes = 64 * 1024;

// The peer has sent something, but not what it should.
bool is_malformed(const Error& error) {
    return error.code == Errc::bad_request || error.code == Errc::too_large ||
           error.code == Errc::too_many_headers || error.code == Errc::not_implemented ||
           error.code == Errc::bad_version;
}

Result<void> check_policy(const DispatcherConfig& config, const PairingRequest& request) {
    if (request.version < 2 && config.pairing_min != PairingMin::legacy)
        return fail(Errc::denied, "pairing version 2 required");
    if (!request.join && config.pairing_min == PairingMin::token)
        return fail(Errc::denied, "join token required");
    return success();
}

Result<void> take_offer(const PairingFace& face, PairingRequest& request) {
    if (request.version < 2) return success();
    if (!face.offer) return fail(Errc::busy, std::string(ca_does_not_fit), face.offer.error().text());
    request.dispatcher_serial = face.offer->dispatcher_serial;
    request.ca_digest = to_hex(sha256(face.offer->ca_pem));
    return success();
}

// Ends when the agent hangs up. Nothing is expected from it any more; what it sends is read and dropped.
asio::awaitable<void> watch_hang_up(std::shared_ptr<HttpSession> session, std::function<void()> on_gone) {
    std::array<char, 1024> buffer{};
    for (std::size_t total = 0; total < max_stray_bytes;) {
        const auto n = co_await session->stream().read_some(asio::buffer(buffer));
        if (!n || *n == 0) break;
        total += *n;
    }
    on_gone();
}

}  // namespace

asio::awaitable<void> PairingSession::run() {
    if (const auto shaken = co_await session_->handshake(handshake_patience); !shaken) {
        log_reject(session_->peer_ip(), shaken.error());
        co_return;
    }
    auto admitted = co_await read_request();
    if (admitted) admitted = co_await admit();
    if (!admitted) {
        Error why = std::move(admitted).error();
        co_await refuse(std::move(why));
        co_return;
    }
    if (request_.version < 2) log_request(request_);
    const bool told = co_await say_pending();
    if (request_.version < 2) {
        co_await await_operator(told);
    } else if (told) {
        co_await go_on();
    }
    co_await session_->goodbye();
}

// Version 2, after the first answer.
asio::awaitable<void> PairingSession::go_on() {
    const bool revealed = co_await await_reveal();
    if (!revealed) co_return;
    if (request_.join) {
        co_await join();
        co_return;
    }
    const bool shown = co_await show();
    if (shown) co_await await_operator(true);
}

asio::awaitable<Result<void>> PairingSession::read_request() {
    CO_TRY(const HttpMessage message, co_await session_->read_request());
    CO_TRY(request_, parse_pairing_body(message.body, config_->pairing_allow_cn_mismatch));
    request_.id = new_reqid();
    request_.ip = session_->peer_ip();
    request_.received = iso8601(now_seconds());
    co_return success();
}

asio::awaitable<Result<void>> PairingSession::admit() {
    CO_TRY_DO(check_policy(*config_, request_));
    CO_TRY_DO(take_offer(*face_, request_));
    if (request_.join) co_return co_await check_token();
    if (port_->is_blocked(request_.ip)) co_return fail(Errc::busy, "rate limited");
    co_return co_await enqueue();
}

asio::awaitable<Result<void>> PairingSession::check_token() {
    std::function<Result<bool>()> check = [config = config_, face = face_,
                                           request = request_]() -> Result<bool> {
        TRY_DO(check_join(*config, request, *face->offer, now_seconds()));
        return true;
    };
    AnswerGate::Turn turn(port_->joins);
    co_await turn.enter(1);
    CO_TRY_DO(co_await offload<bool>(port_->runtime.pool(), queue_timeout, std::move(check)));
    co_return success();
}

asio::awaitable<Result<void>> PairingSession::enqueue() {
    const auto limit = static_cast<std::size_t>(config_->pairing_max_queue);
    // Reserved here, on the loop's thread: whoever comes with a thousand connections at once gets no more
    // either.
    if (port_->places_taken + port_->broken.places_held(BrokenAttempts::Clock::now()) >= limit)
        co_return fail(Errc::busy, std::string(queue_full));
    place_ = port_->take_place();
    const auto given_up = std::make_shared<std::atomic<bool>>(false);
    std::function<Result<bool>()> enqueue = [queue = port_->queue, request = request_, limit,
                                             given_up]() -> Result<bool> {
        TRY(const FileLock lock, queue.lock());
        if (*given_up) return false;
        queue.drop_expired(now_seconds());
        TRY_DO(queue.add(request, limit, now_seconds()));
        return true;
    };
    auto queued = co_await offload<bool>(port_->runtime.pool(), queue_timeout, std::move(enqueue));
    if (queued) co_return success();
    Error why = std::move(queued).error();
    if (why.code == Errc::timed_out) {
        // What comes late to its lock adds nothing, and what it has added until now is removed.
        *given_up = true;
        std::function<void()> remove = [queue = port_->queue, id = request_.id] {
            const auto lock = queue.lock();
            if (lock) queue.drop(id);
        };
        port_->runtime.pool().submit(std::move(remove), [] {});
        why = fail(Errc::busy, std::string(dispatcher_failed), "the queue took too long");
    }
    co_return why;
}

asio::awaitable<void> PairingSession::refuse(Error why) {
    const std::string& peer = session_->peer_ip();
    std::string reason = reason_of(why, request_.join.has_value());
    if (port_->is_blocked(peer)) reason = "rate limited";
    log_refusal(peer, request_, why);
    if (request_.join && why.code == Errc::denied) port_->count_probe(peer);
    port_->count("refused", request_);
    HttpAnswer answer = refusal(reason);
    (void)co_await session_->answer(std::move(answer), false);
    co_await session_->goodbye_unread();
}

asio::awaitable<bool> PairingSession::say_pending() {
    const PairingOffer* offer = request_.version < 2 ? nullptr : &*face_->offer;
    if (offer != nullptr) nonce_ = random_bytes(pairing_nonce_bytes);
    HttpAnswer answer = json_answer(200, pending_answer(request_, offer, nonce_));
    const auto said = co_await session_->answer(std::move(answer), true);
    if (!said && request_.version >= 2) co_await end_unrevealed("gone", std::string());
    co_return said.has_value();
}

// Until the agent has kept its commitment nobody can answer its request.
asio::awaitable<bool> PairingSession::await_reveal() {
    const auto message = co_await session_->read_due_request(reveal_timeout);
    const bool late = !message && message.error().code == Errc::timed_out;
    if (late || (!message && (session_->http().idle() || !is_malformed(message.error())))) {
        std::string reason = late ? "no reveal" : "";
        co_await end_unrevealed(late ? "denied" : "gone", std::move(reason));
        co_return false;
    }
    auto sas = message && message->target == "/pair/reveal"
                   ? check_reveal(request_, *face_->offer, nonce_, message->body)
                   : Result<std::string>(fail(Errc::denied, "no reveal, but another request"));
    if (!sas) {
        log_mismatch(request_, sas.error());
        port_->count_probe(request_.ip);
        co_await end_unrevealed("mismatch", std::string("commitment mismatch"));
        co_return false;
    }
    request_.sas = std::move(*sas);
    co_return true;
}

asio::awaitable<bool> PairingSession::show() {
    request_.broken_off = port_->broken.of(request_.hostname, BrokenAttempts::Clock::now());
    std::function<Result<bool>()> show = [queue = port_->queue, request = request_]() -> Result<bool> {
        TRY(const FileLock lock, queue.lock());
        TRY_DO(queue.update(request));
        return true;
    };
    const auto shown = co_await offload<bool>(port_->runtime.pool(), queue_timeout, std::move(show));
    if (shown) log_request(request_);
    if (!shown) co_await end_unrevealed("denied", std::string("the request is not in the queue any more"));
    co_return shown.has_value();
}

// The token is the operator's word. Checked, consumed, signed and registered in one step.
asio::awaitable<void> PairingSession::join() {
    AnswerGate::Turn turn(port_->joins);
    co_await turn.enter(1);
    std::function<Result<Joined>()> redeem = [config = config_, face = face_, request = request_] {
        return redeem_join(*config, request, *face->offer, now_seconds());
    };
    auto joined = co_await offload<Joined>(port_->runtime.pool(), join_timeout, std::move(redeem));
    turn.leave();
    if (!joined) {
        log_refusal(request_.ip, request_, joined.error());
        if (joined.error().code == Errc::denied) port_->count_probe(request_.ip);
    }
    port_->count(joined ? "joined" : "refused", request_);
    HttpAnswer answer = joined ? json_answer(200, joined->answer) : late_refusal(request_, joined.error());
    const auto sent = co_await session_->answer(std::move(answer), false);
    std::string outcome = joined ? "joined" : joined.error().message;
    if (!sent) outcome += ", but the agent has hung up";
    if (port_->events.ended) port_->events.ended(request_, outcome);
}

// `reason` "": the agent is not there any more.
asio::awaitable<void> PairingSession::end_unrevealed(std::string_view result, std::string reason) {
    if (!request_.join) {
        port_->broken.add(request_.hostname, BrokenAttempts::Clock::now());
        place_.reset();
        (void)co_await settle(std::string());
    }
    port_->count(result, request_);
    log_end(request_, reason.empty() ? std::string(result) : reason);
    if (reason.empty()) co_return;
    HttpAnswer answer = denial(request_, reason);
    (void)co_await session_->answer(std::move(answer), false);
}

asio::awaitable<void> PairingSession::await_operator(bool there) {
    const auto wait = std::make_shared<HeldRequest>(port_->runtime);
    port_->waiting[request_.id] = wait;
    wait->gone = !there;
    std::function<void()> on_gone = [wait, session = session_] {
        wait->gone = true;
        wait->wake.cancel();
        if (wait->answered) session->close();
    };
    const PairingEvents& events = port_->events;
    if (there && events.requested) events.requested(request_);
    if (there) port_->runtime.spawn(watch_hang_up(session_, std::move(on_gone)));
    const std::string without_answer = co_await await_decision(wait);
    port_->waiting.erase(request_.id);
    if (request_.version >= 2 && wait->gone)
        port_->broken.add(request_.hostname, BrokenAttempts::Clock::now());
    place_.reset();  // before the file goes, by which others see that there is room
    const auto answer = co_await settle(without_answer);
    std::string outcome = answer ? std::string(answer->text("status")) : answer.error().text();
    if (outcome.empty()) outcome = "gone";
    port_->count(answer ? std::string_view(outcome) : "gone", request_);
    if (answer && !answer->is_null()) {
        HttpAnswer second = json_answer(200, *answer);
        const auto sent = co_await session_->answer(std::move(second), false);
        wait->answered = true;
        if (!sent || wait->gone) outcome += ", but the agent has hung up";
    }
    log_end(request_, outcome);
    if (events.ended) events.ended(request_, outcome);
}

// The last look and the removal are one step under the queue's lock: an approval either comes before it and
// is delivered, or finds no request any more.
asio::awaitable<Result<json::Value>> PairingSession::settle(std::string reason_without_answer) {
    std::function<Result<json::Value>()> work = [queue = port_->queue, request = request_,
                                                 reason_without_answer]() -> Result<json::Value> {
        TRY(const FileLock lock, queue.lock());
        auto answer = queue.answer(request.id);
        queue.drop(request.id);
        if (answer) return std::move(*answer);
        return reason_without_answer.empty() ? json::Value() : denied_answer(request, reason_without_answer);
    };
    // Not given up early: what comes late would remove an approval that nobody has read.
    co_return co_await offload<json::Value>(port_->runtime.pool(), settle_timeout, std::move(work));
}

// Waits for the operator; returns what to tell the agent when there is no answer, "" when it is not there any
// more.
asio::awaitable<std::string> PairingSession::await_decision(std::shared_ptr<HeldRequest> wait) {
    const auto give_up = std::chrono::steady_clock::now() + std::chrono::seconds(pairing_lifetime);
    for (;;) {
        if (wait->gone || port_->queue.answer(request_.id)) co_return std::string();
        if (std::chrono::steady_clock::now() >= give_up) co_return std::string("approval timeout");
        wait->wake.expires_after(poll_interval);
        std::error_code ignored;
        co_await wait->wake.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
    }
}

}  // namespace ctrlexec
