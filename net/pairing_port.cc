#include "net/pairing_port.h"

#include <utility>

#include "core/dispatcher_identity.h"
#include "core/log.h"

namespace ctrlexec {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t joins_at_a_time = 4;  // one signs while the others' tokens are looked at
constexpr std::chrono::minutes join_patience{5};

}  // namespace

PairingPort::PairingPort(Runtime& loop, const DispatcherConfig& settings, PairingEvents listeners)
    : runtime(loop),
      config(std::make_shared<const DispatcherConfig>(settings)),
      queue(settings.pairing_dir()),
      events(std::move(listeners)),
      probes(settings.pairing_rate_limit.value_or(RateLimit{}),
             settings.pairing_rate_limit.value_or(RateLimit{}), settings.pairing_rate_limit.has_value()),
      joins(std::make_shared<AnswerGate>(loop.io().get_executor(),
                                         joins_at_a_time * AnswerGate::free_for_each, join_patience)) {}

Result<void> PairingPort::load_face() {
    TRY(const Identity identity, load_dispatcher_identity(*config));
    TlsContext::Options options;
    options.certificate = &identity.certificate;
    options.key = &identity.key;
    TRY(auto tls, TlsContext::create(options));
    auto offer = load_pairing_offer(*config, identity.certificate);
    face = std::make_shared<const PairingFace>(PairingFace{std::move(tls), std::move(offer)});
    return success();
}

bool PairingPort::is_blocked(const std::string& peer) const {
    return probes.blocked_for(peer, Clock::now()).count() > 0;
}

void PairingPort::count_probe(const std::string& peer) {
    const auto event = probes.untrusted(peer, false, Clock::now());
    if (event.evicted) log_event(LogLevel::info, "rate-evict", {{"PEER", *event.evicted}});
    if (!event.blocked) return;
    log_event(LogLevel::warning, "rate-block",
              {{"KIND", "pairing"}, {"LIMIT", event.blocked->text()}, {"PEER", rate_limit_key(peer)}});
}

void PairingPort::count(std::string_view result, const PairingRequest& request) const {
    if (!events.counted) return;
    const std::string_view trust = request.join ? "token" : request.trust();
    events.counted(result, request.hostname.empty() ? "none" : trust);  // without a name: it was no request
}

std::shared_ptr<void> PairingPort::take_place() {
    ++places_taken;
    return {nullptr, [port = shared_from_this()](void*) { --port->places_taken; }};
}

// Which request was answered does not matter: each waiter looks for its own answer, and there are few.
void PairingPort::wake_all() const {
    for (const auto& [id, wait] : waiting) wait->wake.cancel();
}

}  // namespace ctrlexec
