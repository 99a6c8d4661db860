// The memory that large answers take together while they arrive: two hundred agents that answer with a
// megabyte each at the same time must not need two hundred megabytes. Who is kept waiting is held up by TCP.
#pragma once

#include <asio/any_io_executor.hpp>
#include <asio/awaitable.hpp>
#include <chrono>
#include <cstddef>
#include <deque>
#include <memory>

namespace ctrlexec {

class AnswerGate {
  public:
    static constexpr std::size_t free_for_each = 64 * 1024;  // up to here an answer needs no turn
    static constexpr std::size_t most_of_one = 8u << 20;     // that an answer announces more changes nothing
    static constexpr std::size_t default_bytes = 32u << 20;

    // Nobody is kept waiting for longer than `patience`: the agent has a time-out of its own, and others may
    // be stuck with their turns.
    static constexpr std::chrono::milliseconds default_patience{30'000};

    AnswerGate(asio::any_io_executor executor, std::size_t bytes,
               std::chrono::milliseconds patience = default_patience);
    AnswerGate(const AnswerGate&) = delete;
    AnswerGate& operator=(const AnswerGate&) = delete;

    // One answer's. It counts with what it has announced, at once and only once: nobody who has a turn ever
    // waits for another one, so they all end.
    class Turn {
      public:
        explicit Turn(std::shared_ptr<AnswerGate> gate) : gate_(std::move(gate)) {}  // null: no limit
        ~Turn() { leave(); }
        Turn(const Turn&) = delete;
        Turn& operator=(const Turn&) = delete;

        // Waits, in the order of those who ask, until there is room for so many bytes, or nobody else has a
        // turn, or patience ends.
        asio::awaitable<void> enter(std::size_t bytes);
        void leave();

      private:
        std::shared_ptr<AnswerGate> gate_;
        std::size_t held_ = 0;
    };

    std::size_t used() const { return used_; }

  private:
    struct Waiter;
    bool has_room(std::size_t bytes) const { return used_ == 0 || used_ + bytes <= limit_; }
    void admit_next();
    asio::any_io_executor executor_;
    std::size_t limit_;
    std::chrono::milliseconds patience_;
    std::size_t used_ = 0;
    std::deque<std::weak_ptr<Waiter>> waiting_;
};

}  // namespace ctrlexec
