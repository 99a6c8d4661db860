#include "net/request_budget.h"

#include <doctest/doctest.h>

#include <optional>

using namespace ctrlexec;

namespace {

constexpr std::size_t small = RequestBudget::free_for_each;

}  // namespace

TEST_CASE("a small request counts for nothing, a larger one with all it takes") {
    const auto budget = std::make_shared<RequestBudget>(100'000);
    RequestBudget::Share share(budget);
    CHECK(share.cover(0));
    CHECK(share.cover(small));
    CHECK(budget->left() == 100'000);
    CHECK(share.cover(small + 1));
    CHECK(budget->left() == 100'000 - small - 1);
}

TEST_CASE("a request that grows takes only what it has not yet, and one that shrinks keeps its share") {
    const auto budget = std::make_shared<RequestBudget>(100'000);
    RequestBudget::Share share(budget);
    CHECK(share.cover(30'000));
    CHECK(share.cover(50'000));
    CHECK(budget->left() == 50'000);
    CHECK(share.cover(20'000));
    CHECK(budget->left() == 50'000);
}

TEST_CASE("what is over the budget is refused, and takes nothing") {
    const auto budget = std::make_shared<RequestBudget>(100'000);
    RequestBudget::Share one(budget);
    RequestBudget::Share other(budget);
    CHECK(one.cover(60'000));
    CHECK_FALSE(other.cover(40'001));
    CHECK(budget->left() == 40'000);
    CHECK(other.cover(40'000));
    CHECK(budget->left() == 0);
    CHECK_FALSE(one.cover(60'001));
    CHECK(one.cover(60'000));
}

TEST_CASE("a small request passes also when nothing is left") {
    const auto budget = std::make_shared<RequestBudget>(0);
    RequestBudget::Share share(budget);
    CHECK(share.cover(small));
    CHECK_FALSE(share.cover(small + 1));
}

TEST_CASE("a share is given back once, on release or when it ends") {
    const auto budget = std::make_shared<RequestBudget>(100'000);
    std::optional<RequestBudget::Share> share(std::in_place, budget);
    CHECK(share->cover(100'000));
    share->release();
    share->release();
    CHECK(budget->left() == 100'000);
    CHECK(share->cover(70'000));
    CHECK(budget->left() == 30'000);
    share.reset();
    CHECK(budget->left() == 100'000);
}

TEST_CASE("without a budget everything passes") {
    RequestBudget::Share share(nullptr);
    CHECK(share.cover(static_cast<std::size_t>(-1)));
    share.release();
}
