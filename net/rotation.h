// The rotation of the dispatcher's own certificate, as far as it needs the agents: announce, switch, settle.
#pragma once

#include <asio/awaitable.hpp>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "core/dispatcher_config.h"
#include "core/result.h"
#include "net/runtime.h"

namespace ctrlexec {

struct RotationReport {
    using Names = std::vector<std::pair<std::string, std::string>>;  // agent, why
    std::string serial;                                              // of the certificate in use now
    std::string expiry;                                              // its end, OpenSSL text
    std::string pending;  // serial of the staged certificate, "" when there is none
    bool switched = false;
    std::size_t confirmed = 0;  // agents that trust the newest certificate
    Names old;                  // cannot be told before the switch
    Names unreachable;
    Names refused;  // reachable, and would not take the serial
};

enum class RotationStart { no, yes };  // whether to begin one when none is under way
enum class RotationSwitch { when_all_confirmed, always };

// One round: stages a certificate, announces it to each agent with the one in use, switches when every
// reachable agent of ours trusts it, and tells them how long the previous one counts. What an earlier round
// or a killed process has left is continued. Errc::locked when another process is at it.
asio::awaitable<Result<RotationReport>> rotate_certificate(Runtime& runtime, DispatcherConfig config,
                                                           RotationStart start, RotationSwitch condition);

// A round for those who run all the time, or now and then: begins a rotation when the certificate in use has
// less than cert_renewal_days left. Problems are logged.
asio::awaitable<void> continue_rotation(Runtime& runtime, const DispatcherConfig& config);

}  // namespace ctrlexec
