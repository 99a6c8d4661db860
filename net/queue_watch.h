// Tells when something changes in the directory of the pairing queue.
#pragma once

#include <asio/awaitable.hpp>
#include <asio/posix/stream_descriptor.hpp>
#include <functional>
#include <memory>
#include <string>

#include "net/runtime.h"

namespace ctrlexec {

class QueueWatch : public std::enable_shared_from_this<QueueWatch> {
  public:
    // Null where there is no inotify, as on some network mounts: then it is logged, and the queue must be
    // looked at now and then.
    static std::shared_ptr<QueueWatch> open(Runtime& runtime, const std::string& directory);

    // Until stop(). Which file changed is not told: there are few.
    asio::awaitable<void> run(std::function<void()> on_change);
    void stop();

  private:
    explicit QueueWatch(asio::posix::stream_descriptor events) : events_(std::move(events)) {}
    asio::posix::stream_descriptor events_;
};

}  // namespace ctrlexec
