#include "core/trusted_dispatchers.h"

#include <fmt/format.h>

#include <algorithm>

#include "core/config_file.h"
#include "core/serial.h"
#include "core/timestamp.h"
#include "core/utf8.h"

namespace ctrlexec {
namespace {

constexpr std::size_t max_serial_file_bytes = 4096;
constexpr std::size_t max_file_bytes = 64 * 1024;

bool is_legacy(const TrustedDispatcher& dispatcher) {
    return dispatcher.id.starts_with(legacy_dispatcher);
}

bool is_over(const TrustedSerial& serial, std::int64_t now) {
    return serial.until && *serial.until <= now;
}

// The serial on its first line, in normal form; "" when it is not there or has none.
Result<std::string> read_serial_file(const std::string& path) {
    const auto text = read_file(path, max_serial_file_bytes);
    if (!text && text.error().code == Errc::not_found) return std::string();
    if (!text) return fail(Errc::config, text.error().message);
    const std::string_view trimmed = trim(std::string_view(*text).substr(0, text->find('\n')));
    if (trimmed.empty()) return std::string();
    if (auto serial = normalize_serial(trimmed)) return std::move(*serial);
    return fail(Errc::config,
                fmt::format("{}: not a certificate serial in hex; pair this agent again", path));
}

Result<TrustedSerial> read_serial(const json::Value& value) {
    const auto serial = normalize_serial(value.text("serial"));
    if (!serial) return fail(Errc::config, "a serial is no hex number");
    TrustedSerial read;
    read.serial = *serial;
    read.added = printable(value.text("added").substr(0, 64));
    const json::Value* until = value.find("until");
    if (until == nullptr || until->is_null()) return read;
    if (until->if_integer() == nullptr) return fail(Errc::config, "until is no number of seconds");
    read.until = *until->if_integer();
    return read;
}

Result<TrustedDispatcher> read_dispatcher(const json::Value& value) {
    TrustedDispatcher read;
    read.id = std::string(value.text("id"));
    if (!is_valid_dispatcher_id(read.id)) return fail(Errc::config, "a dispatcher has no valid id");
    read.paired = printable(value.text("paired").substr(0, 64));
    const json::Value* serials = value.find("serials");
    if (serials == nullptr || serials->if_array() == nullptr)
        return fail(Errc::config, fmt::format("dispatcher {} has no list of serials", read.id));
    if (serials->if_array()->size() > max_trusted_serials)
        return fail(Errc::config,
                    fmt::format("dispatcher {} has more than {} serials", read.id, max_trusted_serials));
    for (const auto& item : *serials->if_array()) {
        TRY(TrustedSerial serial, read_serial(item));
        read.serials.push_back(std::move(serial));
    }
    return read;
}

bool shares_serial(const TrustedDispatcher& a, const TrustedDispatcher& b) {
    return std::any_of(a.serials.begin(), a.serials.end(), [&](const auto& s) { return b.holds(s.serial); });
}

json::Value to_json(const TrustedDispatcher& dispatcher) {
    json::Array serials;
    for (const auto& serial : dispatcher.serials) {
        json::Value until;
        if (serial.until) until = json::Value(*serial.until);
        serials.emplace_back(
            json::Object{{"serial", serial.serial}, {"added", serial.added}, {"until", std::move(until)}});
    }
    return json::Object{
        {"id", dispatcher.id}, {"paired", dispatcher.paired}, {"serials", std::move(serials)}};
}

// Leaves the newest `count`, but never drops `asking`.
void keep_newest(std::vector<TrustedSerial>& serials, std::size_t count, const std::string& asking) {
    while (serials.size() > count) {
        const auto oldest = std::find_if(serials.begin(), serials.end(),
                                         [&](const TrustedSerial& s) { return s.serial != asking; });
        serials.erase(oldest);
    }
}

}  // namespace

bool is_valid_dispatcher_id(std::string_view id) {
    return !id.empty() && id.size() <= 64 && std::all_of(id.begin(), id.end(), [](char c) {
        return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '.' ||
               c == '_' || c == '-';
    });
}

bool TrustedDispatcher::holds(std::string_view serial) const {
    return std::any_of(serials.begin(), serials.end(), [&](const auto& s) { return s.serial == serial; });
}

Result<SerialRotation> SerialRotation::from_json(const json::Value& body) {
    constexpr std::size_t max_retired = 64;
    constexpr std::int64_t year_10000 = 253'402'300'800;
    SerialRotation rotation;
    const auto serial = normalize_serial(body.text("serial"));
    if (!serial) return fail(Errc::bad_request, "serial must be a hex number");
    rotation.serial = *serial;
    rotation.id = std::string(body.text("dispatcher_id"));
    if (!rotation.id.empty() && !is_valid_dispatcher_id(rotation.id))
        return fail(Errc::bad_request, "dispatcher_id is not valid");
    if (const json::Value* until = body.find("until"); until != nullptr && !until->is_null()) {
        if (until->if_integer() == nullptr || *until->if_integer() < 0 || *until->if_integer() >= year_10000)
            return fail(Errc::bad_request, "until must be seconds since the epoch");
        rotation.until = *until->if_integer();
    }
    const json::Value* retire = body.find("retire");
    if (retire == nullptr || retire->is_null()) return rotation;
    if (retire->if_array() == nullptr || retire->if_array()->size() > max_retired)
        return fail(Errc::bad_request, fmt::format("retire must be a list of at most {}", max_retired));
    for (const auto& item : *retire->if_array()) {
        const auto old = normalize_serial(item.if_string() == nullptr ? "" : *item.if_string());
        if (!old) return fail(Errc::bad_request, "retire must be a list of hex numbers");
        rotation.retire.push_back(*old);
    }
    return rotation;
}

std::string TrustedDispatchers::path_beside(const std::string& serial_path) {
    return directory_of(serial_path) + "/dispatchers.json";
}

Result<TrustedDispatchers> TrustedDispatchers::load(const std::string& serial_path) {
    TrustedDispatchers trusted;
    TRY(trusted.named_, read_serial_file(serial_path));
    const std::string path = path_beside(serial_path);
    const auto text = read_file(path, max_file_bytes);
    if (!text && text.error().code == Errc::not_found) {
        if (!trusted.named_.empty()) trusted.take_foreign(trusted.named_);
        return trusted;
    }
    if (!text) return fail(Errc::config, text.error().message);
    auto document = json::parse(*text, max_file_bytes);
    const auto sound = document ? trusted.read(*document) : Result<void>(document.error());
    if (!sound) {
        return fail(Errc::config, fmt::format("{}: {}; remove it, then only the dispatcher of {} is trusted",
                                              path, sound.error().text(), serial_path));
    }
    return trusted;
}

Result<void> TrustedDispatchers::read(const json::Value& document) {
    const json::Value* list = document.find("dispatchers");
    if (list == nullptr || list->if_array() == nullptr) return fail(Errc::config, "no list of dispatchers");
    if (list->if_array()->size() > max_trusted_dispatchers)
        return fail(Errc::config, fmt::format("more than {} dispatchers", max_trusted_dispatchers));
    bool known = document.text("replaces") == named_;
    for (const auto& item : *list->if_array()) {
        TRY(TrustedDispatcher read, read_dispatcher(item));
        for (const auto& earlier : dispatchers_) {
            if (earlier.id == read.id || shares_serial(earlier, read))
                return fail(Errc::config,
                            fmt::format("dispatcher {} or a serial of it is there twice", read.id));
        }
        known = known || read.holds(named_);
        dispatchers_.push_back(std::move(read));
    }
    std::erase_if(dispatchers_, [](const auto& dispatcher) { return dispatcher.serials.empty(); });
    if (named_.empty()) {
        emptied_ = !dispatchers_.empty();
        dispatchers_.clear();
    } else if (!known) {
        if (!dispatchers_.empty()) dispatchers_.pop_back();
        take_foreign(named_);
    }
    return success();
}

void TrustedDispatchers::take_foreign(const std::string& serial) {
    std::string id(legacy_dispatcher);
    const auto taken = [&] {
        return std::any_of(dispatchers_.begin(), dispatchers_.end(), [&](auto& d) { return d.id == id; });
    };
    for (int number = 2; taken(); ++number) id = fmt::format("{}-{}", legacy_dispatcher, number);
    dispatchers_.push_back({std::move(id), "", {TrustedSerial{serial, "", std::nullopt}}});
}

const TrustedDispatcher* TrustedDispatchers::find(std::string_view serial, std::int64_t now) const {
    for (const auto& dispatcher : dispatchers_) {
        for (const auto& own : dispatcher.serials) {
            if (own.serial == serial) return is_over(own, now) ? nullptr : &dispatcher;
        }
    }
    return nullptr;
}

std::string TrustedDispatchers::newest() const {
    return dispatchers_.empty() ? std::string() : dispatchers_.back().serials.back().serial;
}

Result<void> TrustedDispatchers::pair(const std::string& id, const std::string& serial, std::int64_t now) {
    const bool replaces_legacy = id.starts_with(legacy_dispatcher);
    const std::string time = iso8601(now);
    std::erase_if(dispatchers_, [&](TrustedDispatcher& dispatcher) {
        // Its certificate is this dispatcher's now, under whatever name it was known.
        const bool same = dispatcher.holds(serial) && is_legacy(dispatcher);
        std::erase_if(dispatcher.serials, [&](const TrustedSerial& s) { return s.serial == serial; });
        return same || dispatcher.id == id || dispatcher.serials.empty() ||
               (replaces_legacy && is_legacy(dispatcher));
    });
    if (serial.empty()) return success();
    if (dispatchers_.size() >= max_trusted_dispatchers) {
        return fail(Errc::busy, fmt::format("this agent obeys {} dispatchers already; remove one with "
                                            "'ctrl-exec-agent dispatchers remove ID'",
                                            max_trusted_dispatchers));
    }
    dispatchers_.push_back({id, time, {TrustedSerial{serial, time, std::nullopt}}});
    return success();
}

Result<void> TrustedDispatchers::rotate(const std::string& asking, const SerialRotation& rotation,
                                        std::int64_t now) {
    const auto own = std::find_if(dispatchers_.begin(), dispatchers_.end(),
                                  [&](const auto& d) { return d.holds(asking); });
    if (own == dispatchers_.end()) return fail(Errc::denied, "serial mismatch");
    bool id_is_free = true;
    for (auto other = dispatchers_.begin(); other != dispatchers_.end(); ++other) {
        if (other == own) continue;
        if (other->holds(rotation.serial))
            return fail(Errc::denied, fmt::format("serial {} is another dispatcher's", rotation.serial));
        id_is_free = id_is_free && other->id != rotation.id;
    }
    TrustedDispatcher changed = std::move(*own);
    dispatchers_.erase(own);
    if (!rotation.id.empty() && id_is_free && is_legacy(changed)) changed.id = rotation.id;
    auto& serials = changed.serials;
    TrustedSerial announced{rotation.serial, iso8601(now), std::nullopt};
    std::erase_if(serials, [&](const TrustedSerial& s) {
        const bool again = s.serial == rotation.serial;
        if (again && !s.added.empty()) announced.added = s.added;
        const auto& retire = rotation.retire;
        return again || is_over(s, now) || std::find(retire.begin(), retire.end(), s.serial) != retire.end();
    });
    if (rotation.until) {
        for (auto& old : serials) old.until = std::min(old.until.value_or(*rotation.until), *rotation.until);
        std::erase_if(serials, [now](const TrustedSerial& s) { return is_over(s, now); });
    }
    keep_newest(serials, (rotation.until ? max_trusted_serials : 2) - 1, asking);
    serials.push_back(std::move(announced));
    dispatchers_.push_back(std::move(changed));
    return success();
}

bool TrustedDispatchers::remove(std::string_view id) {
    return std::erase_if(dispatchers_, [&](const auto& d) { return d.id == id; }) != 0;
}

Result<void> TrustedDispatchers::stage(FileSet& files, const std::string& serial_path) const {
    json::Array list;
    for (const auto& dispatcher : dispatchers_) list.push_back(to_json(dispatcher));
    // What ctrl-exec-serial still holds after a kill right now is not somebody's change of it.
    const json::Value document(json::Object{{"dispatchers", std::move(list)}, {"replaces", named_}});
    TRY_DO(files.stage(path_beside(serial_path), json::dump(document) + "\n", 0644));
    const std::string serial = newest();
    return files.stage(serial_path, serial.empty() ? serial : serial + "\n", 0644);
}

Result<void> TrustedDispatchers::store(const std::string& serial_path) const {
    FileSet files;
    TRY_DO(stage(files, serial_path));
    return files.commit();
}

}  // namespace ctrlexec
