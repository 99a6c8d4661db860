// The memory that requests may take together, over all connections of one server: without it ten thousand
// connections could each hold a body at its limit before anybody has asked who they are.
#pragma once

#include <cstddef>
#include <memory>
#include <utility>

namespace ctrlexec {

class RequestBudget {
  public:
    // Up to here a request counts for nothing, so that large ones never keep out the small.
    static constexpr std::size_t free_for_each = 16 * 1024;

    explicit RequestBudget(std::size_t bytes) : left_(bytes) {}
    RequestBudget(const RequestBudget&) = delete;
    RequestBudget& operator=(const RequestBudget&) = delete;

    std::size_t left() const { return left_; }

    // What one request has of the budget; given back at the latest when it is destroyed.
    class Share {
      public:
        explicit Share(std::shared_ptr<RequestBudget> budget)
            : budget_(std::move(budget)) {}  // null: no limit
        ~Share() { release(); }
        Share(const Share&) = delete;
        Share& operator=(const Share&) = delete;

        // The request takes `bytes` in all by now. False when that is not to be had: the share is then as
        // before.
        bool cover(std::size_t bytes);
        void release();

      private:
        std::shared_ptr<RequestBudget> budget_;
        std::size_t held_ = 0;
    };

  private:
    std::size_t left_;
};

}  // namespace ctrlexec
