#include "core/leftovers.h"

#include <dirent.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <string_view>
#include <vector>

#include "core/file.h"
#include "core/timestamp.h"

namespace ctrlexec {
namespace {

constexpr std::size_t random_digits = 12;  // as write_temporary in file.cc makes them
constexpr std::size_t max_found = 10'000;  // the next call finds the rest

bool is_leftover(std::string_view name, std::string_view prefix) {
    constexpr std::string_view suffix = ".tmp";
    if (!name.starts_with(prefix) || !name.ends_with(suffix)) return false;
    if (name.size() != prefix.size() + random_digits + suffix.size()) return false;
    const std::string_view digits = name.substr(prefix.size(), random_digits);
    return std::all_of(digits.begin(), digits.end(),
                       [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

}  // namespace

Result<void> remove_leftovers(const std::string& path, std::int64_t min_age) {
    struct Close {
        void operator()(DIR* dir) const { ::closedir(dir); }
    };
    const std::string directory = directory_of(path);
    const auto slash = path.rfind('/');
    const std::string prefix = fmt::format(".{}.", path.substr(slash == std::string::npos ? 0 : slash + 1));
    std::vector<std::string> found;
    {
        const std::unique_ptr<DIR, Close> dir(::opendir(directory.c_str()));
        if (!dir) return errno_error("list", directory, errno);
        for (const dirent* entry = ::readdir(dir.get()); entry != nullptr && found.size() < max_found;
             entry = ::readdir(dir.get())) {
            if (is_leftover(entry->d_name, prefix)) found.push_back(directory + "/" + entry->d_name);
        }
    }
    const std::int64_t newest = now_seconds() - min_age;
    for (const auto& leftover : found) {
        if (min_age > 0 && modified_at(leftover) / 1'000'000'000 > newest) continue;
        if (::unlink(leftover.c_str()) != 0 && errno != ENOENT) return errno_error("remove", leftover, errno);
    }
    return success();
}

}  // namespace ctrlexec
