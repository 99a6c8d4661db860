#include "core/target_word.h"

#include <fmt/format.h>

#include "core/config_file.h"
#include "core/hostname.h"
#include "core/utf8.h"

namespace ctrlexec {
namespace {

constexpr std::size_t max_pattern = 256;
constexpr std::string_view tag_prefix = "tag:";

Error bad(std::string_view text, std::string_view why) {
    return fail(Errc::usage, fmt::format("'{}' {}", printable(text.substr(0, 80)), why));
}

bool is_tag(std::string_view text) {
    if (!text.starts_with(tag_prefix)) return false;
    std::int64_t port = 0;
    return !parse_integer(text.substr(tag_prefix.size()), 0, INT64_MAX, port);
}

bool is_name_pattern(std::string_view text) {
    std::string plain(text);
    for (char& c : plain) c = c == '*' || c == '?' ? 'x' : c;
    return is_valid_hostname(plain);
}

Result<TargetWord> parse_tag(TargetWord word) {
    const std::string_view rest = std::string_view(word.text).substr(tag_prefix.size());
    const auto equals = rest.find('=');
    word.kind = TargetWord::Kind::tag;
    word.name = rest.substr(0, equals);
    word.pattern = equals == std::string_view::npos ? "*" : rest.substr(equals + 1);
    const bool usable = is_config_key(word.name) && !word.pattern.empty() &&
                        word.pattern.size() <= max_pattern && !has_control_character(word.pattern);
    if (!usable) return bad(word.text, "is no tag: write tag:KEY or tag:KEY=VALUE, such as tag:env=prod*");
    return word;
}

}  // namespace

Result<TargetWord> TargetWord::parse(std::string_view text) {
    TargetWord word;
    word.text = text;
    if (text.starts_with('@')) {
        word.kind = Kind::group;
        word.name = text.substr(1);
        if (!is_config_key(word.name))
            return bad(text, "is no group: write @NAME, of letters, digits, '_', '-' and '.'");
        return word;
    }
    if (is_tag(text)) return parse_tag(std::move(word));
    if (text == "all") {
        word.kind = Kind::all;
        return word;
    }
    if (text.find_first_of("*?") != std::string_view::npos) {
        word.kind = Kind::glob;
        word.pattern = text;
        if (!is_name_pattern(text))
            return bad(
                text, "matches no agent: a name may hold letters, digits, '.', '-' and '_', besides * and ?");
        return word;
    }
    TRY(word.host, Target::parse(text));
    return word;
}

}  // namespace ctrlexec
