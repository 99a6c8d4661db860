// Usage: pairing-mode
// Listens for pairing requests until SIGTERM or SIGINT; approve and deny answer them from another process.
#include <fmt/format.h>

#include <cstdio>

#include "cmd/dispatcher_context.h"
#include "cmd/print.h"
#include "cmd/verbs.h"
#include "net/pairing_listener.h"
#include "net/runtime.h"

namespace ctrlexec {
namespace {

void print_now(const std::string& text) {
    print_out(text);
    std::fflush(stdout);
}

PairingEvents announce() {
    PairingEvents events;
    events.requested = [](const PairingRequest& request) {
        print_now(fmt::format("Pairing request from {} ({}) - ID: {}\n  Received: {}\n  Code: {}\n",
                              request.hostname, request.ip, request.id, request.received, request.code));
    };
    events.ended = [](const PairingRequest& request, const std::string& outcome) {
        print_now(fmt::format("Pairing request {} from {}: {}\n", request.id, request.hostname, outcome));
    };
    return events;
}

}  // namespace

int dispatcher_pairing_mode(const Invocation& call) {
    const auto port = port_option(call, 0);
    if (!port) return report(call, port.error());
    auto config = open_dispatcher(call);
    if (!config) return report(call, config.error());
    if (*port != 0) config->pairing_port = *port;
    Runtime runtime;
    auto listener = PairingListener::create(runtime, *config, announce());
    if (!listener) return report(call, listener.error());
    print_now(fmt::format("Pairing mode: listening on {}\n", (*listener)->address()));
    return runtime.run([&] { return (*listener)->serve(); });
}

}  // namespace ctrlexec
