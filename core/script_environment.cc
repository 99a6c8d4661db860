#include "core/script_environment.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstddef>
#include <cstdlib>

#include "core/file.h"

namespace ctrlexec {
namespace {

constexpr std::size_t max_value_bytes = 64;
constexpr std::size_t max_home_bytes = 4096;        // PATH_MAX
constexpr std::size_t max_passwd_bytes = 4u << 20;  // tens of thousands of users

bool is_alphanumeric(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

bool consists_of(std::string_view value, std::string_view punctuation) {
    return !value.empty() && value.size() <= max_value_bytes &&
           std::all_of(value.begin(), value.end(), [punctuation](char c) {
               return is_alphanumeric(c) || punctuation.find(c) != std::string_view::npos;
           });
}

bool is_sane_home(std::string_view value) {
    return !value.empty() && value.size() <= max_home_bytes && value.front() == '/' &&
           std::none_of(value.begin(), value.end(), [](char c) {
               const auto byte = static_cast<unsigned char>(c);
               return byte < 0x20 || byte == 0x7f;
           });
}

// name:password:uid:gid:gecos:home:shell
bool split_line(std::string_view line, std::array<std::string_view, 7>& fields) {
    for (std::size_t i = 0; i + 1 < fields.size(); ++i) {
        const std::size_t colon = line.find(':');
        if (colon == std::string_view::npos) return false;
        fields[i] = line.substr(0, colon);
        line.remove_prefix(colon + 1);
    }
    fields.back() = line;
    return true;
}

bool has_uid(std::string_view field, uid_t uid) {
    uid_t number = 0;
    const char* const end = field.data() + field.size();
    const auto parsed = std::from_chars(field.data(), end, number);
    return parsed.ec == std::errc{} && parsed.ptr == end && number == uid;
}

std::string_view own(const char* name) {
    const char* const value = std::getenv(name);
    return value == nullptr ? std::string_view{} : std::string_view{value};
}

}  // namespace

bool is_sane_locale(std::string_view value) {
    return consists_of(value, "._@-") && is_alphanumeric(value.front());
}

bool is_sane_timezone(std::string_view value) {
    if (!consists_of(value, ":/_+-,.<>") || value.find("..") != std::string_view::npos) return false;
    if (value.front() == ':') value.remove_prefix(1);
    if (value.empty()) return false;
    return value.front() != '/' || value == "/etc/localtime" || value.starts_with("/usr/share/zoneinfo/");
}

std::string home_directory(std::string_view passwd, uid_t uid) {
    while (!passwd.empty()) {
        const std::string_view line = passwd.substr(0, passwd.find('\n'));
        passwd.remove_prefix(std::min(line.size() + 1, passwd.size()));
        std::array<std::string_view, 7> fields;
        if (!split_line(line, fields) || !has_uid(fields[2], uid)) continue;
        if (is_sane_home(fields[5])) return std::string(fields[5]);
        break;
    }
    return uid == 0 ? "/root" : "/";
}

std::vector<std::string> script_environment() {
    const Result<std::string> passwd = read_file("/etc/passwd", max_passwd_bytes);
    const std::string_view locale = own("LANG");
    const std::string_view timezone = own("TZ");
    std::vector<std::string> environment;
    environment.emplace_back("PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
    environment.push_back("HOME=" + home_directory(passwd ? *passwd : std::string(), ::geteuid()));
    environment.push_back("LANG=" + std::string(is_sane_locale(locale) ? locale : "C.UTF-8"));
    if (is_sane_timezone(timezone)) environment.push_back("TZ=" + std::string(timezone));
    return environment;
}

}  // namespace ctrlexec
