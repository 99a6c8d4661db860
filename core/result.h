// Expected failures are values: Result<T> holds either a T or an Error. Exceptions stay reserved for bugs
// and exhaustion, and are caught in main and in the loop's completion handler only.
#pragma once

#include <cassert>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

#include "core/errc.h"

namespace ctrlexec {

// One failure. `message` may be shown to the peer; `detail` is for our own log and terminal only.
struct Error {
    Errc code = Errc::internal;
    std::string message;
    std::string detail;

    // "message (detail)", for the local user.
    std::string text() const { return detail.empty() ? message : message + " (" + detail + ")"; }
};

inline Error fail(Errc code, std::string message, std::string detail = {}) {
    return Error{code, std::move(message), std::move(detail)};
}

template <typename T>
class [[nodiscard]] Result {
  public:
    Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}      // NOLINT: implicit on purpose
    Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}  // NOLINT: implicit on purpose

    explicit operator bool() const { return state_.index() == 0; }
    bool has_value() const { return state_.index() == 0; }

    T& value() & {
        assert(has_value());
        return std::get<0>(state_);
    }
    const T& value() const& {
        assert(has_value());
        return std::get<0>(state_);
    }
    T&& value() && {
        assert(has_value());
        return std::get<0>(std::move(state_));
    }
    T& operator*() & { return value(); }
    const T& operator*() const& { return value(); }
    T&& operator*() && { return std::move(*this).value(); }
    T* operator->() { return &value(); }
    const T* operator->() const { return &value(); }

    const Error& error() const& {
        assert(!has_value());
        return std::get<1>(state_);
    }
    Error&& error() && {
        assert(!has_value());
        return std::get<1>(std::move(state_));
    }

  private:
    std::variant<T, Error> state_;
};

template <>
class [[nodiscard]] Result<void> {
  public:
    Result() = default;
    Result(Error error) : error_(std::move(error)) {}  // NOLINT: implicit on purpose

    explicit operator bool() const { return !error_; }
    bool has_value() const { return !error_; }
    const Error& error() const& {
        assert(error_);
        return *error_;
    }
    Error&& error() && {
        assert(error_);
        return std::move(*error_);
    }

  private:
    std::optional<Error> error_;
};

inline Result<void> success() {
    return {};
}

}  // namespace ctrlexec

// TRY(auto x, f()) declares x from a Result or returns its error; TRY_DO(f()) is for Result<void>.
// The CO_ forms are for coroutines. They are declarations, not expressions: g++ 12 destroys temporaries
// twice when a statement expression holds a co_await.
#define CTRLEXEC_CONCAT_(a, b) a##b
#define CTRLEXEC_CONCAT(a, b) CTRLEXEC_CONCAT_(a, b)
#define CTRLEXEC_TRY(name, leave, decl, ...)  \
    auto name = (__VA_ARGS__);                \
    if (!name) leave std::move(name).error(); \
    decl = std::move(name).value()
#define CTRLEXEC_TRY_DO(name, leave, ...)         \
    do {                                          \
        auto name = (__VA_ARGS__);                \
        if (!name) leave std::move(name).error(); \
    } while (false)
#define TRY(decl, ...) CTRLEXEC_TRY(CTRLEXEC_CONCAT(try_, __LINE__), return, decl, __VA_ARGS__)
#define CO_TRY(decl, ...) CTRLEXEC_TRY(CTRLEXEC_CONCAT(try_, __LINE__), co_return, decl, __VA_ARGS__)
#define TRY_DO(...) CTRLEXEC_TRY_DO(CTRLEXEC_CONCAT(try_, __LINE__), return, __VA_ARGS__)
#define CO_TRY_DO(...) CTRLEXEC_TRY_DO(CTRLEXEC_CONCAT(try_, __LINE__), co_return, __VA_ARGS__)
