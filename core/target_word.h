// One word that says who is meant: a host, or a pattern over the registered agents.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "core/target.h"

namespace ctrlexec {

struct TargetWord {
    enum class Kind : std::uint8_t {
        host,   // HOST[:PORT]: need not be registered
        glob,   // web-*: of names
        tag,    // tag:KEY, tag:KEY=GLOB
        group,  // @NAME: of the groups file
        all,    // every registered agent
    };

    Kind kind = Kind::host;
    std::string text;     // as it was written
    Target host;          // of a host
    std::string name;     // of a group; the key of a tag
    std::string pattern;  // of a glob; of a tag's value, "*" when any will do

    // Errc::usage with what is wrong. What was a host before there were patterns still is: tag:7443 has a
    // port.
    static Result<TargetWord> parse(std::string_view text);
    bool is_pattern() const { return kind != Kind::host && kind != Kind::group; }
};

}  // namespace ctrlexec
