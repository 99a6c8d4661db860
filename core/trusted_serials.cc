#include "core/trusted_serials.h"

#include <fmt/format.h>

#include "core/config_file.h"
#include "core/file.h"
#include "core/serial.h"

namespace ctrlexec {
namespace {

constexpr std::size_t max_file_bytes = 4096;

}  // namespace

Result<std::vector<std::string>> load_trusted_serials(const std::string& path) {
    std::vector<std::string> serials;
    const auto text = read_file(path, max_file_bytes);
    if (!text && text.error().code == Errc::not_found) return serials;
    if (!text) return fail(Errc::config, text.error().message);
    const std::string_view trimmed = trim(std::string_view(*text).substr(0, text->find('\n')));
    if (trimmed.empty()) return serials;
    const auto serial = normalize_serial(trimmed);
    if (!serial) {
        return fail(Errc::config,
                    fmt::format("{}: not a certificate serial in hex; pair this agent again", path));
    }
    serials.push_back(*serial);
    return serials;
}

}  // namespace ctrlexec
