#include "core/output_cap.h"

#include <fmt/format.h>

#include "core/utf8.h"

namespace ctrlexec {
namespace {

std::size_t json_bytes(const std::string& text) {
    return json::dump(json::Value(text)).size();
}

// The longest start of at most `bytes` that does not cut a UTF-8 sequence.
std::string_view whole_characters(std::string_view text, std::size_t bytes) {
    std::size_t end = bytes;
    while (end > 0 && end + 4 > bytes && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80) --end;
    return text.substr(0, end);
}

// Leaves out a quarter of the members, one at least; false when there is none.
template <typename Members>
bool shorten(Members& members) {
    if (members.empty()) return false;
    members.resize(members.size() - members.size() / 4 - 1);
    return true;
}

}  // namespace

void cap_capabilities(json::Value& answer, std::size_t max_bytes) {
    const auto* scripts_member = answer.find("scripts");
    const auto* tags_member = answer.find("tags");
    if (scripts_member == nullptr || tags_member == nullptr) return;
    json::Array scripts = *scripts_member->if_array();
    json::Object tags = *tags_member->if_object();
    while (json::dump(answer).size() > max_bytes) {
        const bool scripts_are_longer = json::dump(scripts).size() >= json::dump(tags).size();
        if (scripts_are_longer ? !shorten(scripts) : !shorten(tags)) return;
        answer.set("scripts", scripts);
        answer.set("tags", tags);
        answer.set("truncated", true);
    }
}

void cap_output(std::string& output, std::string& errors, std::size_t max_bytes) {
    const std::string whole_output = to_utf8(output);
    const std::string whole_errors = to_utf8(errors);
    std::size_t keep_output = whole_output.size();
    std::size_t keep_errors = whole_errors.size();
    const auto shown = [](const std::string& whole, std::size_t keep) {
        if (keep == whole.size()) return whole;
        return fmt::format("{}\n[ctrl-exec: cut here; {} bytes in all]\n", whole_characters(whole, keep),
                           whole.size());
    };
    output = whole_output;
    errors = whole_errors;
    // Escaping makes the encoded length unpredictable; a quarter less each time ends after a few dozen rounds
    // at most.
    while (json_bytes(output) + json_bytes(errors) > max_bytes && keep_output + keep_errors > 0) {
        std::size_t& longer = keep_output >= keep_errors ? keep_output : keep_errors;
        longer -= longer / 4 + 1;
        output = shown(whole_output, keep_output);
        errors = shown(whole_errors, keep_errors);
    }
}

}  // namespace ctrlexec
