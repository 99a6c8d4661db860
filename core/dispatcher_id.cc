#include "core/dispatcher_id.h"

#include <fmt/format.h>

#include "core/digest.h"
#include "core/file.h"

namespace ctrlexec {
namespace {

constexpr std::size_t id_bytes = 8;
constexpr std::size_t max_file = 256;

Result<std::string> read(const std::string& path) {
    TRY(const std::string text, read_file(path, max_file));
    std::string id = text.substr(0, text.find_last_not_of(" \t\r\n") + 1);
    const bool valid =
        id.size() == 2 * id_bytes && id.find_first_not_of("0123456789abcdef") == std::string::npos;
    if (valid) return id;
    return fail(
        Errc::config,
        fmt::format("{}: holds no id of 16 hex digits; restore it from a backup, or remove it and pair "
                    "the agents again",
                    path));
}

}  // namespace

Result<std::string> dispatcher_id(const std::string& state_dir) {
    const std::string path = state_dir + "/dispatcher-id";
    auto known = read(path);
    if (known || known.error().code != Errc::not_found) return known;
    TRY_DO(make_directories(state_dir, 0755));
    const auto made = create_file_atomic(path, random_hex(id_bytes) + "\n", 0644);
    if (!made && made.error().code != Errc::exists) return made.error();
    return read(path);  // another process may have been faster
}

}  // namespace ctrlexec
