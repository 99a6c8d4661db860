#include "core/output_fields.h"

#include "core/base64.h"
#include "core/utf8.h"

namespace ctrlexec {
namespace {

constexpr std::string_view exact_suffix = "_b64";

}  // namespace

void set_output(json::Value& object, std::string_view name, std::string bytes) {
    if (is_utf8(bytes)) {
        object.set(name, std::move(bytes));
        return;
    }
    object.set(name, to_utf8(bytes));
    object.set(std::string(name).append(exact_suffix), base64(bytes));
}

std::string take_output(json::Value& object, std::string_view name) {
    const std::string_view encoded = object.text(std::string(name).append(exact_suffix));
    if (!encoded.empty()) {
        if (auto bytes = from_base64(encoded)) return *bytes;
    }
    json::Value* member = object.find(name);
    if (member == nullptr) return {};
    if (auto* text = member->if_string()) return std::move(*text);
    return member->scalar();
}

}  // namespace ctrlexec
