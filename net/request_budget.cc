#include "net/request_budget.h"

namespace ctrlexec {

bool RequestBudget::Share::cover(std::size_t bytes) {
    if (budget_ == nullptr || bytes <= free_for_each || bytes <= held_) return true;
    const std::size_t more = bytes - held_;
    if (more > budget_->left_) return false;
    budget_->left_ -= more;
    held_ = bytes;
    return true;
}

void RequestBudget::Share::release() {
    if (budget_ != nullptr) budget_->left_ += std::exchange(held_, 0);
}

}  // namespace ctrlexec
