// Where many targets are, looked up while the first of them are already talked to.
#pragma once

#include <asio/awaitable.hpp>
#include <asio/steady_timer.hpp>
#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "core/result.h"
#include "core/target.h"
#include "net/known_agent.h"
#include "net/runtime.h"

namespace ctrlexec {

class Destinations : public std::enable_shared_from_this<Destinations> {
  public:
    // Reads files; called on a worker thread, for one target after the other.
    using LookUp = std::function<Result<Destination>(const Target&)>;

    Destinations(Runtime& runtime, std::vector<Target> targets, LookUp look_up);
    Destinations(const Destinations&) = delete;
    Destinations& operator=(const Destinations&) = delete;

    void start();  // once

    // Of the target with that index, once each. Errc::timed_out when the files cannot be read in time.
    asio::awaitable<Result<Destination>> take(std::size_t index);

  private:
    static asio::awaitable<void> load(std::shared_ptr<Destinations> self);

    Runtime& runtime_;
    std::shared_ptr<const std::vector<Target>> targets_;
    LookUp look_up_;
    std::vector<Result<Destination>> found_;  // the first of them
    std::optional<Error> failure_;            // why there will be no more
    asio::steady_timer progress_;             // cancelled when there are
};

}  // namespace ctrlexec
