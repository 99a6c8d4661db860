// Notices that the dispatcher's certificate, its CA or the list of revoked serials has changed.
#pragma once

#include <asio/awaitable.hpp>
#include <cstdint>
#include <functional>
#include <vector>

#include "core/dispatcher_config.h"
#include "net/runtime.h"

namespace ctrlexec {

// For the life of a daemon. Calls `on_change` when the files of `config()` are not as in `stamp` any more,
// and again after each further change. By looking every other second: file systems without inotify exist, and
// until then the previous certificate is as good.
asio::awaitable<void> watch_identity(Runtime& runtime, std::vector<std::int64_t> stamp,
                                     std::function<DispatcherConfig()> config,
                                     std::function<void()> on_change);

}  // namespace ctrlexec
