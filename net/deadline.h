// One deadline per connection, re-armed for each phase (handshake, header, body, idle).
#pragma once

#include <asio/any_io_executor.hpp>
#include <chrono>
#include <functional>
#include <memory>

namespace ctrlexec {

class Deadline {
  public:
    // `on_expiry` runs once on the loop when the armed time has passed; it should close the socket, so that
    // whatever waits there fails at once. It must not outlive what it refers to: the Deadline's destruction
    // guarantees that it is not called any more.
    Deadline(const asio::any_io_executor& executor, std::function<void()> on_expiry);
    ~Deadline();
    Deadline(const Deadline&) = delete;
    Deadline& operator=(const Deadline&) = delete;

    void arm(std::chrono::milliseconds after);  // replaces the previous time
    void disarm();
    bool expired() const;

  private:
    struct State;
    std::shared_ptr<State> state_;
};

}  // namespace ctrlexec
