#include "core/follow_line.h"

#include <utility>

#include "core/config_file.h"
#include "core/output_fields.h"

namespace ctrlexec {
namespace {

constexpr std::size_t max_line = 256u << 20;  // a result with all of its output
constexpr std::int64_t max_offset = INT64_MAX / 2;

Error odd(std::string what) {
    return fail(Errc::bad_answer, "a line of the agent's stream " + std::move(what));
}

}  // namespace

Result<FollowLine> FollowLine::parse(std::string_view text) {
    auto value = json::parse(text, max_line);
    if (!value || value->if_object() == nullptr) return odd("is not a JSON object");
    FollowLine line;
    if (auto* result = value->find("result")) {
        if (result->if_object() == nullptr) return odd("has a result that is no object");
        line.result = std::move(*result);
        return line;
    }
    const std::string_view stream = value->text("stream");
    if (stream.empty()) return line;  // a heartbeat, or what agents to come may have to say
    if (stream != "stdout" && stream != "stderr") return odd("names an unknown stream");
    line.errors = stream == "stderr";
    std::int64_t offset = 0;
    std::int64_t skipped = 0;
    if (!parse_integer(value->scalar("offset"), 0, max_offset, offset)) return odd("has no valid offset");
    if (value->find("skipped") != nullptr && !parse_integer(value->scalar("skipped"), 1, max_offset, skipped))
        return odd("does not say what it skipped");
    line.offset = static_cast<std::uint64_t>(offset);
    line.skipped = static_cast<std::uint64_t>(skipped);
    if (skipped == 0) line.bytes = take_output(*value, "data");
    return line;
}

json::Value FollowLine::to_json(std::string_view host) const {
    json::Value value(
        json::Object{{"host", host}, {"stream", errors ? "stderr" : "stdout"}, {"offset", offset}});
    if (skipped > 0) {
        value.set("skipped", skipped);
    } else {
        set_output(value, "data", bytes);
    }
    return value;
}

}  // namespace ctrlexec
