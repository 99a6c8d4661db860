#include "net/destinations.h"

#include <algorithm>
#include <asio/redirect_error.hpp>
#include <asio/use_awaitable.hpp>
#include <iterator>
#include <utility>

#include "net/offload.h"

namespace ctrlexec {
namespace {

constexpr std::size_t at_once = 64;  // a few milliseconds of work

}  // namespace

Destinations::Destinations(Runtime& runtime, std::vector<Target> targets, LookUp look_up)
    : runtime_(runtime),
      targets_(std::make_shared<const std::vector<Target>>(std::move(targets))),
      look_up_(std::move(look_up)),
      progress_(runtime.io(), asio::steady_timer::time_point::max()) {}

void Destinations::start() {
    runtime_.spawn(load(shared_from_this()));
}

asio::awaitable<void> Destinations::load(std::shared_ptr<Destinations> self) {
    using Part = std::vector<Result<Destination>>;
    const std::size_t count = self->targets_->size();
    self->found_.reserve(count);
    while (self->found_.size() < count && !self->failure_) {
        const std::size_t first = self->found_.size();
        const std::size_t end = std::min(count, first + at_once);
        std::function<Result<Part>()> work = [targets = self->targets_, look_up = self->look_up_, first,
                                              end]() -> Result<Part> {
            Part part;
            part.reserve(end - first);
            for (std::size_t i = first; i < end; ++i) part.push_back(look_up((*targets)[i]));
            return part;
        };
        auto part = co_await offload<Part>(self->runtime_.pool(), file_timeout, std::move(work));
        if (part) {
            std::move(part->begin(), part->end(), std::back_inserter(self->found_));
        } else {
            self->failure_ = part.error();
        }
        self->progress_.cancel();
    }
}

asio::awaitable<Result<Destination>> Destinations::take(std::size_t index) {
    std::error_code ignored;
    while (index >= found_.size() && !failure_)
        co_await progress_.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
    if (index >= found_.size()) co_return *failure_;
    co_return std::move(found_[index]);
}

}  // namespace ctrlexec
