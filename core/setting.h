// One value of a configuration as it counts, and where it was found: what `config show` prints.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace ctrlexec {

enum class SettingSource : std::uint8_t { fallback, file, environment, option };

struct Setting {
    std::string key;    // "tags.env" for what stands in the section [tags]
    std::string value;  // in its plain form ("yes", not "on"); "" when there is none
    SettingSource source = SettingSource::fallback;
    std::string origin;  // "default", "FILE:LINE", "environment VARIABLE", "--OPTION"
};

}  // namespace ctrlexec
