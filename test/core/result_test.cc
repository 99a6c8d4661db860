#include "core/result.h"

#include <doctest/doctest.h>

#include <memory>
#include <string>
#include <type_traits>
#include <vector>

#include "core/unique_fd.h"

using namespace ctrlexec;

namespace {

using Owner = std::unique_ptr<int>;

Result<Owner> owner(int value) {
    if (value < 0) return fail(Errc::denied, "negative", std::to_string(value));
    return std::make_unique<int>(value);
}

Result<void> check(int value) {
    if (value > 100) return fail(Errc::too_large, "too large");
    return success();
}

Result<std::string> joined(int first, int second, int& evaluations) {
    TRY(const Owner a, owner((++evaluations, first)));
    TRY_DO(check((++evaluations, first)));
    std::string text;
    TRY(auto b, owner(second));
    TRY(text, Result<std::string>(std::to_string(*a + *b)));
    return text;
}

// Braceless, as only a single statement may stand there.
Result<void> branch(bool first, int value) {
    if (first)
        TRY_DO(check(value));
    else
        TRY_DO(check(-value));
    return success();
}

static_assert(!std::is_convertible_v<Result<int>, bool>, "a result is not the value's truth");
static_assert(!std::is_default_constructible_v<Result<int>>);
static_assert(!std::is_copy_constructible_v<Result<Owner>> && std::is_move_constructible_v<Result<Owner>>);
static_assert(std::is_same_v<decltype(*std::declval<const Result<int>&>()), const int&>);
static_assert(std::is_same_v<decltype(*std::declval<Result<int>>()), int&&>);

}  // namespace

TEST_CASE("a result holds a value or an error") {
    const Result<int> value = 0;
    CHECK(value);
    CHECK(value.has_value());
    CHECK(*value == 0);
    const Result<int> error = fail(Errc::io, "broken");
    CHECK_FALSE(error);
    CHECK_FALSE(error.has_value());
    CHECK(error.error().code == Errc::io);
    const Result<bool> no = false;
    CHECK(no);
    CHECK_FALSE(*no);
}

TEST_CASE("a result of void is success or an error") {
    CHECK(success());
    CHECK(Result<void>());
    const Result<void> error = fail(Errc::io, "broken");
    CHECK_FALSE(error);
    CHECK(error.error().message == "broken");
}

TEST_CASE("an error's text shows the detail to the local user only") {
    const Error error = fail(Errc::io, "message", "detail");
    CHECK(error.message == "message");
    CHECK(error.text() == "message (detail)");
    CHECK(fail(Errc::io, "message").text() == "message");
    CHECK(Error{}.code == Errc::internal);
}

TEST_CASE("values that cannot be copied go through a result") {
    auto result = owner(7);
    REQUIRE(result);
    const Owner taken = std::move(*result);
    CHECK(*taken == 7);
    CHECK(*std::move(owner(8)).value().get() == 8);
    CHECK(**owner(9) == 9);
    Result<UniqueFd> fd = UniqueFd();
    CHECK(fd);
    CHECK_FALSE(*fd);
    std::vector<Result<Owner>> many;
    for (int i = -5; i < 5; ++i) many.push_back(owner(i));
    for (int i = -5; i < 5; ++i) CHECK(many[static_cast<std::size_t>(i + 5)].has_value() == (i >= 0));
}

TEST_CASE("members of the value are reached and changed in place") {
    Result<std::string> text = std::string("abc");
    CHECK(text->size() == 3);
    *text += "d";
    CHECK(text.value() == "abcd");
    const auto& constant = text;
    CHECK(constant->size() == 4);
    CHECK(constant.value() == "abcd");
}

TEST_CASE("TRY takes the value or returns the error, and evaluates once") {
    int evaluations = 0;
    CHECK(*joined(1, 2, evaluations) == "3");
    CHECK(evaluations == 2);
    const auto first = joined(-1, 2, evaluations);
    CHECK(evaluations == 3);  // nothing after the failure ran
    REQUIRE_FALSE(first);
    CHECK(first.error().code == Errc::denied);
    CHECK(first.error().text() == "negative (-1)");
    CHECK(joined(1, -2, evaluations).error().detail == "-2");
    CHECK(joined(101, -2, evaluations).error().code == Errc::too_large);
}

TEST_CASE("TRY_DO is one statement") {
    CHECK(branch(true, 1));
    CHECK_FALSE(branch(true, 101));
    CHECK(branch(false, 101));
    CHECK_FALSE(branch(false, -101));
}
