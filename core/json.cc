#include "core/json.h"

#include <fmt/format.h>
#include <simdjson.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "core/utf8.h"

namespace ctrlexec::json {
namespace {

Error invalid(std::string detail) {
    return fail(Errc::bad_request, "invalid JSON", std::move(detail));
}

Result<Value> convert(simdjson::dom::element element, int levels);

Result<Value> convert_array(simdjson::dom::array source, int levels) {
    Array array;
    array.reserve(source.size());
    for (const auto item : source) {
        TRY(Value value, convert(item, levels));
        array.push_back(std::move(value));
    }
    return Value(std::move(array));
}

// Sorted key views, so that an object of n members costs n log n and not n squared.
bool has_duplicate(const Object& object) {
    std::vector<std::string_view> keys;
    keys.reserve(object.size());
    for (const auto& member : object) keys.push_back(member.key);
    std::sort(keys.begin(), keys.end());
    return std::adjacent_find(keys.begin(), keys.end()) != keys.end();
}

Result<Value> convert_object(simdjson::dom::object source, int levels) {
    Object object;
    object.reserve(source.size());
    for (const auto [key, item] : source) {
        TRY(Value value, convert(item, levels));
        object.push_back({std::string(key), std::move(value)});
    }
    if (has_duplicate(object)) return invalid("a key occurs twice in one object");
    return Value(std::move(object));
}

// `levels` more may be opened. simdjson's own limit does not count an empty array or object.
Result<Value> convert(simdjson::dom::element element, int levels) {
    using Type = simdjson::dom::element_type;
    if (levels == 0 && (element.is_array() || element.is_object())) return invalid("nested too deeply");
    switch (element.type()) {
        case Type::ARRAY:
            return convert_array(element.get_array().value_unsafe(), levels - 1);
        case Type::OBJECT:
            return convert_object(element.get_object().value_unsafe(), levels - 1);
        case Type::INT64:
            return Value(element.get_int64().value_unsafe());
        case Type::UINT64:
            return Value(element.get_uint64().value_unsafe());
        case Type::DOUBLE:
            return Value(element.get_double().value_unsafe());
        case Type::STRING:
            return Value(element.get_string().value_unsafe());
        case Type::BOOL:
            return Value(element.get_bool().value_unsafe());
        case Type::NULL_VALUE:
            break;
    }
    return Value();
}

constexpr bool is_plain(char c) {
    return c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
}

void append_string(std::string& out, std::string_view text) {
    out += '"';
    while (!text.empty()) {
        // Output of megabytes is mostly this.
        const auto special = std::find_if_not(text.begin(), text.end(), is_plain);
        const auto plain = static_cast<std::size_t>(special - text.begin());
        out.append(text.substr(0, plain));
        text.remove_prefix(plain);
        if (text.empty()) break;
        const auto byte = static_cast<unsigned char>(text[0]);
        const std::size_t n = utf8_sequence(text);
        if (byte == '"' || byte == '\\') {
            out += '\\';
            out += text[0];
        } else if (byte == '\n') {
            out += "\\n";
        } else if (byte == '\t') {
            out += "\\t";
        } else if (byte == '\r') {
            out += "\\r";
        } else if (byte < 0x20 || byte == 0x7f) {
            fmt::format_to(std::back_inserter(out), "\\u{:04x}", byte);
        } else if (n == 0) {
            out += "\xef\xbf\xbd";
        } else {
            out.append(text.substr(0, n));
        }
        text.remove_prefix(n == 0 ? 1 : n);
    }
    out += '"';
}

void append(std::string& out, const Value& value) {
    if (const auto* text = value.if_string()) {
        append_string(out, *text);
    } else if (const auto* flag = value.if_bool()) {
        out += *flag ? "true" : "false";
    } else if (value.if_integer() != nullptr || value.if_unsigned() != nullptr) {
        out += value.scalar();
    } else if (const auto* number = value.if_double()) {
        // JSON has no word for NaN and infinity.
        out += std::isfinite(*number) ? fmt::format("{:.17g}", *number) : "null";
        if (*number == 0 && std::signbit(*number)) out += ".0";  // "-0" would be read as the integer 0
    } else if (const auto* array = value.if_array()) {
        out += '[';
        for (const auto& item : *array) {
            if (&item != array->data()) out += ',';
            append(out, item);
        }
        out += ']';
    } else if (const auto* object = value.if_object()) {
        out += '{';
        for (const auto& member : *object) {
            if (&member != object->data()) out += ',';
            append_string(out, member.key);
            out += ':';
            append(out, member.value);
        }
        out += '}';
    } else {
        out += "null";
    }
}

}  // namespace

const Value* Value::find(std::string_view key) const {
    const auto* object = if_object();
    if (object == nullptr) return nullptr;
    const auto found =
        std::find_if(object->begin(), object->end(), [&](const Member& m) { return m.key == key; });
    return found == object->end() ? nullptr : &found->value;
}

Value* Value::find(std::string_view key) {
    return const_cast<Value*>(std::as_const(*this).find(key));
}

std::string_view Value::text(std::string_view key) const {
    const auto* member = find(key);
    const auto* text = member == nullptr ? nullptr : member->if_string();
    return text == nullptr ? std::string_view() : std::string_view(*text);
}

std::string Value::scalar(std::string_view key) const {
    const auto* member = find(key);
    return member == nullptr ? std::string() : member->scalar();
}

std::string Value::scalar() const {
    if (const auto* text = if_string()) return *text;
    if (const auto* flag = if_bool()) return *flag ? "1" : "0";
    if (const auto* integer = if_integer()) return fmt::format("{}", *integer);
    if (const auto* large = if_unsigned()) return fmt::format("{}", *large);
    if (const auto* number = if_double()) return fmt::format("{:.15g}", *number);
    return {};
}

void Value::set(std::string_view key, Value value) {
    auto& object = std::get<Object>(data_);
    const auto found =
        std::find_if(object.begin(), object.end(), [&](const Member& m) { return m.key == key; });
    if (found != object.end()) {
        found->value = std::move(value);
    } else {
        object.push_back({std::string(key), std::move(value)});
    }
}

Result<Value> parse(std::string_view text, std::size_t max_bytes) {
    if (text.size() > max_bytes) return fail(Errc::too_large, "JSON text too large");
    simdjson::dom::parser parser(std::max<std::size_t>(max_bytes, 64));
    // simdjson counts the document itself as one level.
    if (const auto error = parser.allocate(std::max<std::size_t>(text.size(), 64), max_depth + 1)) {
        return fail(Errc::internal, "out of memory", simdjson::error_message(error));
    }
    simdjson::dom::element root;
    if (const auto error = parser.parse(text.data(), text.size()).get(root))
        return invalid(simdjson::error_message(error));
    return convert(root, max_depth);
}

Value strings(const std::vector<std::string>& items) {
    Array array;
    array.reserve(items.size());
    for (const auto& item : items) array.emplace_back(item);
    return array;
}

std::string dump(const Value& value) {
    std::string out;
    append(out, value);
    return out;
}

}  // namespace ctrlexec::json
