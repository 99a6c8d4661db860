#include "core/rotation_state.h"

#include <fmt/format.h>

#include <array>

#include "core/config_file.h"
#include "core/file.h"
#include "core/json.h"
#include "core/serial.h"
#include "core/timestamp.h"

namespace ctrlexec {
namespace {

constexpr std::size_t max_state_bytes = 64 * 1024;
constexpr std::array<const char*, 4> names{"", "staged", "announced", "switched"};

std::string time_text(std::int64_t time) {
    return time == 0 ? std::string() : iso8601(time);
}

// The old program may have written numbers.
std::int64_t time_of(const json::Value& document, std::string_view key) {
    const std::string text = document.scalar(key);
    if (const auto time = parse_iso8601(text)) return *time;
    std::int64_t number = 0;
    return parse_integer(text, 0, INT64_C(253402300799), number) ? number : 0;
}

std::string serial_of(const std::string& text) {
    return normalize_serial(text).value_or("");
}

}  // namespace

const char* phase_name(RotationState::Phase phase) {
    return names[static_cast<std::size_t>(phase)];
}

Result<RotationState> RotationState::load(const std::string& path) {
    RotationState state;
    const auto text = read_file(path, max_state_bytes);
    if (!text && text.error().code == Errc::not_found) return state;
    if (!text) return text.error();
    const auto document = json::parse(*text, max_state_bytes);
    if (!document || document->if_object() == nullptr) {
        return fail(Errc::config,
                    fmt::format("{}: not a JSON object; restore it from a backup, or remove it: "
                                "agents that have missed a rotation must be paired again then",
                                path));
    }
    state.current_serial = serial_of(document->scalar("current_serial"));
    state.previous_serial = serial_of(document->scalar("previous_serial"));
    state.pending_serial = serial_of(document->scalar("pending_serial"));
    state.rotated_at = time_of(*document, "rotated_at");
    state.overlap_expires = time_of(*document, "overlap_expires");
    std::int64_t days = 0;
    if (parse_integer(document->scalar("overlap_days"), 0, 36500, days))
        state.overlap_days = static_cast<int>(days);
    const std::string phase = document->scalar("phase");
    for (std::size_t i = 0; i < names.size(); ++i) {
        if (phase == names[i]) state.phase = static_cast<Phase>(i);
    }
    const json::Value* kept = document->find("kept");
    if (kept != nullptr && kept->if_array() != nullptr) {
        for (const auto& each : *kept->if_array()) {
            if (const std::string serial = serial_of(each.scalar()); !serial.empty())
                state.kept.push_back(serial);
        }
    }
    return state;
}

Result<void> RotationState::save(const std::string& path) const {
    json::Object object{{"current_serial", current_serial},
                        {"previous_serial", previous_serial},
                        {"rotated_at", time_text(rotated_at)},
                        {"overlap_expires", time_text(overlap_expires)},
                        {"overlap_days", overlap_days}};
    if (!pending_serial.empty()) object.push_back({"pending_serial", pending_serial});
    if (phase != Phase::none) object.push_back({"phase", phase_name(phase)});
    if (!kept.empty()) object.push_back({"kept", json::strings(kept)});
    TRY_DO(make_directories(directory_of(path), 0755));
    return write_file_atomic(path, json::dump(json::Value(std::move(object))) + "\n", 0644);
}

}  // namespace ctrlexec
