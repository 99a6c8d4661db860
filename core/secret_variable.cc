#include "core/secret_variable.h"

#include <cstdlib>
#include <cstring>

namespace ctrlexec {

std::string take_variable(const char* name) {
    char* const value = std::getenv(name);
    if (value == nullptr) return {};
    std::string text(value);
    std::memset(value, 'x', text.size());
    ::unsetenv(name);
    return text;
}

}  // namespace ctrlexec
