// JSON values (RFC 8259): a bounded reader and a compact writer.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "core/result.h"

namespace ctrlexec::json {

struct Member;
class Value;
using Array = std::vector<Value>;
using Object = std::vector<Member>;  // in the order of the document; keys are unique

class Value {
  public:
    Value() = default;              // null
    Value(bool value);              // NOLINT: implicit on purpose
    Value(int value);               // NOLINT
    Value(std::int64_t value);      // NOLINT
    Value(std::uint64_t value);     // NOLINT
    Value(double value);            // NOLINT
    Value(const char* value);       // NOLINT
    Value(std::string_view value);  // NOLINT
    Value(std::string value);       // NOLINT
    Value(Array value);             // NOLINT
    Value(Object value);            // NOLINT

    bool is_null() const { return data_.index() == 0; }
    const bool* if_bool() const { return std::get_if<bool>(&data_); }
    const std::int64_t* if_integer() const { return std::get_if<std::int64_t>(&data_); }
    const std::uint64_t* if_unsigned() const {
        return std::get_if<std::uint64_t>(&data_);
    }  // above INT64_MAX
    const double* if_double() const { return std::get_if<double>(&data_); }
    const std::string* if_string() const { return std::get_if<std::string>(&data_); }
    std::string* if_string() { return std::get_if<std::string>(&data_); }
    const Array* if_array() const { return std::get_if<Array>(&data_); }
    const Object* if_object() const { return std::get_if<Object>(&data_); }
    Object* if_object() { return std::get_if<Object>(&data_); }

    // The member of that name, or null (also when this is no object).
    const Value* find(std::string_view key) const;
    Value* find(std::string_view key);
    // The string member of that name, or "".
    std::string_view text(std::string_view key) const;
    // The member as Perl would print it: strings as they are, numbers in %.15g, true "1", false "0"; nothing
    // for null, arrays, objects and a missing member. Old peers write numbers and strings alike.
    std::string scalar(std::string_view key) const;
    std::string scalar() const;

    // Sets or replaces a member; this must be an object.
    void set(std::string_view key, Value value);

  private:
    std::variant<std::monostate, bool, std::int64_t, std::uint64_t, double, std::string, Array, Object> data_;
};

struct Member {
    std::string key;
    Value value;
};

// Not in the class: there Member is incomplete, and clang wants the vector's destructor.
inline Value::Value(bool value) : data_(value) {}
inline Value::Value(int value) : data_(std::int64_t{value}) {}
inline Value::Value(std::int64_t value) : data_(value) {}
inline Value::Value(std::uint64_t value) : data_(value) {}
inline Value::Value(double value) : data_(value) {}
inline Value::Value(const char* value) : data_(std::string(value)) {}
inline Value::Value(std::string_view value) : data_(std::string(value)) {}
inline Value::Value(std::string value) : data_(std::move(value)) {}
inline Value::Value(Array value) : data_(std::move(value)) {}
inline Value::Value(Object value) : data_(std::move(value)) {}

inline constexpr int max_depth = 32;

// The whole text is one value. Refused (Errc::bad_request): anything RFC 8259 does not allow, invalid UTF-8,
// more than `max_bytes`, nesting over max_depth, numbers beyond 64 bits, and an object with the same key
// twice (two readers could act on two different values).
Result<Value> parse(std::string_view text, std::size_t max_bytes);

// An array of strings.
Value strings(const std::vector<std::string>& items);

// Compact: no spaces. Bytes that are not UTF-8 become U+FFFD, so the result is always valid JSON.
std::string dump(const Value& value);

}  // namespace ctrlexec::json
