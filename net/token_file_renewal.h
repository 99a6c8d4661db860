// The token file of a container fleet, while its dispatcher runs.
#pragma once

#include <asio/awaitable.hpp>
#include <functional>

#include "core/dispatcher_config.h"
#include "core/join_token_file.h"
#include "net/runtime.h"

namespace ctrlexec {

// Makes the next token in time (JoinTokenFile::renew), so that agents can join at any time and not only for
// as long as the first token lives. Problems are logged. Never ends.
asio::awaitable<void> renew_token_file(Runtime& runtime, std::function<DispatcherConfig()> config,
                                       JoinTokenFile file);

}  // namespace ctrlexec
