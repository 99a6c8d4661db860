#include "core/trusted_serials.h"

#include <fmt/format.h>

#include "core/config_file.h"
#include "core/file.h"
#include "core/serial.h"

namespace ctrlexec {

Result<std::vector<std::string>> load_trusted_serials(const std::string& path) {
    std::vector<std::string> serials;
    if (!file_exists(path)) return serials;
    TRY(const std::string text, read_file(path, 4096));
    const std::string_view trimmed = trim(std::string_view(text).substr(0, text.find('\n')));
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
