#include "core/secret_from_environment.h"

#include <fmt/format.h>

#include <cstdlib>

#include "core/config_environment.h"
#include "core/file.h"

namespace ctrlexec {
namespace {

Result<std::string> read_secret(const std::string& variable, const std::string& path) {
    const auto bad = [&](const std::string& what) {
        return fail(Errc::config, fmt::format("environment {}: {}", variable, what));
    };
    auto text = read_file(path, max_secret_bytes);
    if (!text) return bad(text.error().message);
    const auto last = text->find_last_not_of("\r\n");
    text->resize(last == std::string::npos ? 0 : last + 1);
    if (text->empty()) return bad(path + " is empty; write the secret into it");
    if (has_control_character(*text)) return bad(path + " holds more than one line, or a control character");
    return text;
}

}  // namespace

Result<std::optional<std::string>> secret_from_environment(const std::string& variable) {
    const std::string file_variable = variable + "_FILE";
    const char* const value = std::getenv(variable.c_str());
    const bool has_value = value != nullptr && *value != '\0';
    TRY(const auto path, read_variable(file_variable));
    if (has_value && path) {
        return fail(Errc::config,
                    fmt::format("{} and {} are both set; unset one of them", variable, file_variable));
    }
    if (has_value) return std::optional<std::string>(value);
    if (!path) return std::optional<std::string>();
    TRY(auto secret, read_secret(file_variable, *path));
    return std::optional<std::string>(std::move(secret));
}

}  // namespace ctrlexec
