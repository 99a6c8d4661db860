#include "core/script_environment.h"

#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstdlib>
#include <utility>

#include "core/user_database.h"

namespace ctrlexec {
namespace {

constexpr std::size_t max_value_bytes = 64;

bool is_alphanumeric(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

bool consists_of(std::string_view value, std::string_view punctuation) {
    return !value.empty() && value.size() <= max_value_bytes &&
           std::all_of(value.begin(), value.end(), [punctuation](char c) {
               return is_alphanumeric(c) || punctuation.find(c) != std::string_view::npos;
           });
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
    const auto user = find_user(passwd, uid);
    if (user && !user->home.empty()) return user->home;
    return uid == 0 ? "/root" : "/";
}

void set_variable(std::vector<std::string>& environment, std::string variable) {
    const std::string key = variable.substr(0, variable.find('=') + 1);
    for (std::string& entry : environment) {
        if (!entry.starts_with(key)) continue;
        entry = std::move(variable);
        return;
    }
    environment.push_back(std::move(variable));
}

std::vector<std::string> script_environment() {
    const Result<std::string> passwd = read_passwd();
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
