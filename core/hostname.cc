#include "core/hostname.h"

#include <algorithm>

namespace ctrlexec {

bool is_valid_hostname(std::string_view name) {
    const auto alphanumeric = [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    };
    return !name.empty() && name.size() <= 253 && alphanumeric(name.front()) &&
           name.find("..") == std::string_view::npos && std::all_of(name.begin(), name.end(), [&](char c) {
               return alphanumeric(c) || c == '.' || c == '-' || c == '_';
           });
}

}  // namespace ctrlexec
