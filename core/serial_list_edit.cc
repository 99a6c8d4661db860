#include "core/serial_list_edit.h"

#include <fmt/format.h>

#include <set>

#include "core/config_file.h"
#include "core/directory_lock.h"
#include "core/file.h"
#include "core/serial_list.h"

namespace ctrlexec {

Result<std::size_t> add_serials(const std::string& path, const std::vector<std::string>& serials) {
    TRY(const auto lock, DirectoryLock::acquire(directory_of(path)));
    auto read = read_file(path, max_config_bytes);
    if (!read && read.error().code != Errc::not_found) return std::move(read).error();
    std::string text = read ? std::move(*read) : std::string();
    const SerialList present = SerialList::parse(path, text);
    if (!text.empty() && text.back() != '\n') text += '\n';
    std::set<std::string> added;
    for (const auto& serial : serials) {
        // With 0x it cannot be taken for a decimal number.
        if (!present.contains(serial) && added.insert(serial).second) text += fmt::format("0x{}\n", serial);
    }
    if (text.size() > max_config_bytes) {
        return fail(Errc::too_large,
                    fmt::format("{} would become larger than {} bytes; take out serials of certificates that "
                                "have expired",
                                path, max_config_bytes));
    }
    if (!added.empty()) TRY_DO(replace_file_atomic(path, text, 0644));
    return added.size();
}

}  // namespace ctrlexec
