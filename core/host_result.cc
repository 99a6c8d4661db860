#include "core/host_result.h"

#include <array>
#include <utility>

#include "core/config_file.h"
#include "core/output_fields.h"
#include "core/timestamp.h"

namespace ctrlexec {
namespace {

// Room for two streams of the agent's output limit in which every byte had to be escaped.
constexpr std::size_t max_answer = 256u << 20;

Result<json::Value> parse_answer(std::string_view body) {
    auto value = json::parse(body, max_answer);
    if (!value || value->if_object() == nullptr)
        return fail(Errc::bad_answer, "the agent's answer is not a JSON object");
    return value;
}

struct OutcomeWords {
    Outcome outcome;
    std::string_view in_json;
    std::string_view spoken;
};

constexpr std::array<OutcomeWords, outcome_count> words{{
    {Outcome::ok, "ok", "ok"},
    {Outcome::failed, "failed", "failed"},
    {Outcome::timed_out, "timed-out", "timed out"},
    {Outcome::cancelled, "cancelled", "cancelled"},
    {Outcome::busy, "busy", "busy"},
    {Outcome::refused, "refused", "refused"},
    {Outcome::lost, "lost", "lost"},
    {Outcome::missing, "missing", "missing"},
    {Outcome::still_running, "still-running", "still running"},
    {Outcome::skipped, "skipped", "skipped"},
    {Outcome::pending, "pending", "pending"},
}};

constexpr bool in_order() {
    for (std::size_t i = 0; i < words.size(); ++i) {
        if (static_cast<std::size_t>(words[i].outcome) != i) return false;
    }
    return true;
}
static_assert(in_order(), "word() indexes the table by the enumerator's value");

constexpr int max_signal = 64;

bool is_set(const json::Value& value, std::string_view name) {
    return value.scalar(name) == "1";
}

// 0 for what is none.
std::int64_t number_of(const json::Value& value, std::string_view name, std::int64_t most) {
    std::int64_t number = 0;
    return parse_integer(value.scalar(name), 0, most, number) ? number : 0;
}

std::uint64_t count_of(const json::Value& value, std::string_view name) {
    return static_cast<std::uint64_t>(number_of(value, name, INT64_MAX));
}

}  // namespace

std::string_view word(Outcome outcome) {
    return words[static_cast<std::size_t>(outcome)].in_json;
}

std::string_view spoken(Outcome outcome) {
    return words[static_cast<std::size_t>(outcome)].spoken;
}

Outcome RunResult::outcome() const {
    if (pending) return Outcome::pending;
    if (skipped) return Outcome::skipped;
    if (still_running) return Outcome::still_running;
    if (lost) return Outcome::lost;
    if (busy) return Outcome::busy;
    if (failure == Errc::denied) return Outcome::refused;  // a 403 is the agent's word too
    if (failure) return Outcome::missing;
    if (cancelled) return Outcome::cancelled;  // before it was started, too
    if (exit == -1) return Outcome::refused;
    if (timed_out) return Outcome::timed_out;
    return exit == 0 && error.empty() ? Outcome::ok : Outcome::failed;
}

std::string_view RunResult::label() const {
    // "refused" alone would be a connection's here: an agent that answered, and one that is not there,
    // differ.
    if (failure == Errc::refused) return "refused-connection";
    if (failure) return info(*failure).name;
    // Without "script-" it is a time-out of ours, and always was.
    return outcome() == Outcome::timed_out ? "script-timed-out" : word(outcome());
}

Result<RunResult> RunResult::parse(std::string_view body) {
    TRY(json::Value value, parse_answer(body));
    return from_json(std::move(value));
}

Result<RunResult> RunResult::from_json(json::Value value) {
    RunResult result;
    result.script = value.scalar("script");
    result.reqid = value.scalar("reqid");
    result.error = value.scalar("error");
    result.output = take_output(value, "stdout");
    result.errors = take_output(value, "stderr");
    result.output_truncated = is_set(value, "stdout_truncated");
    result.errors_truncated = is_set(value, "stderr_truncated");
    result.output_bytes = count_of(value, "stdout_bytes");
    result.errors_bytes = count_of(value, "stderr_bytes");
    result.signal = static_cast<int>(number_of(value, "signal", max_signal));
    result.timed_out = is_set(value, "timed_out");
    result.cancelled = is_set(value, "cancelled");
    result.busy = is_set(value, "busy");
    result.lost = is_set(value, "lost");
    // scalar() alone would make the "0" of success out of false and 0.0.
    const auto* status = value.find("exit");
    const bool typed =
        status != nullptr && (status->if_integer() != nullptr || status->if_string() != nullptr);
    std::int64_t exit = 0;
    if (!typed || !parse_integer(status->scalar(), -1, 255, exit)) {
        return fail(Errc::bad_answer, "the agent's answer has no valid exit status");
    }
    result.exit = static_cast<int>(exit);
    if (result.exit == -1 && result.error.empty())
        result.error = "the agent did not run the script and gave no reason";
    return result;
}

RunResult RunResult::from_record(const json::Value& record) {
    auto parsed = from_json(record);
    RunResult result;
    if (parsed) {
        result = std::move(*parsed);
    } else {
        result.error = parsed.error().text();
    }
    result.host = record.scalar("host");
    result.rtt = record.scalar("rtt");
    result.still_running = is_set(record, "still_running");
    result.skipped = record.text("outcome") == word(Outcome::skipped);
    result.pending = record.text("outcome") == word(Outcome::pending);
    if (record.text("outcome") == word(Outcome::missing)) result.failure = Errc::unreachable;
    return result;
}

json::Value RunResult::to_json() const& {
    return RunResult(*this).to_json();
}

json::Value RunResult::to_json() && {
    json::Value object(json::Object{{"host", host}, {"script", script}, {"exit", exit}});
    const bool ran = error.empty() || exit != -1 || !output.empty() || !errors.empty();
    if (ran && !pending) {
        set_output(object, "stdout", std::move(output));
        set_output(object, "stderr", std::move(errors));
        if (output_truncated) object.set("stdout_truncated", true);
        if (errors_truncated) object.set("stderr_truncated", true);
        if (output_truncated && output_bytes != 0) object.set("stdout_bytes", output_bytes);
        if (errors_truncated && errors_bytes != 0) object.set("stderr_bytes", errors_bytes);
    }
    if (signal != 0) object.set("signal", signal);
    if (timed_out) object.set("timed_out", true);
    if (cancelled) object.set("cancelled", true);
    if (busy) object.set("busy", true);
    if (lost) object.set("lost", true);
    if (still_running) object.set("still_running", true);
    if (!error.empty()) object.set("error", error);
    object.set("rtt", rtt);
    object.set("reqid", reqid);
    object.set("outcome", word(outcome()));
    return object;
}

Result<PingResult> PingResult::parse(std::string_view body) {
    TRY(const json::Value value, parse_answer(body));
    PingResult result;
    if (value.text("status") != "ok") {
        const std::string error = value.scalar("error");
        return fail(Errc::bad_answer, error.empty() ? "the agent's answer has no status" : error);
    }
    result.expiry = value.scalar("expiry");
    result.version = value.scalar("version");
    result.reqid = value.scalar("reqid");
    result.reported_hostname = value.scalar("host");
    return result;
}

std::optional<std::int64_t> PingResult::days_left(std::int64_t now) const {
    return days_until(expiry, now);
}

json::Value PingResult::to_json() const {
    json::Value object(json::Object{{"host", host}, {"status", ok() ? "ok" : "error"}});
    if (!ok()) object.set("error", error);
    object.set("rtt", rtt);
    if (!ok()) return object;
    object.set("expiry", expiry);
    object.set("version", version);
    object.set("reqid", reqid);
    if (!reported_hostname.empty() && reported_hostname != host)
        object.set("reported_hostname", reported_hostname);
    if (const auto days = days_left(now_seconds())) object.set("days_left", *days);
    if (!renewed_until.empty()) object.set("renewed_until", renewed_until);
    if (!renewal_error.empty()) object.set("renewal_error", renewal_error);
    return object;
}

namespace {

// Clients are promised these members and types, whatever the agent sent.
json::Value script_of(const json::Value& script) {
    return json::Object{{"name", script.scalar("name")},
                        {"path", script.scalar("path")},
                        {"executable", script.scalar("executable") == "1"}};
}

json::Value tags_of(const json::Value* tags) {
    json::Object texts;
    if (tags != nullptr && tags->if_object() != nullptr) {
        for (const auto& tag : *tags->if_object()) texts.push_back({tag.key, tag.value.scalar()});
    }
    return texts;
}

}  // namespace

Result<DiscoveryResult> DiscoveryResult::parse(std::string_view body) {
    DiscoveryResult result;
    TRY(result.answer, parse_answer(body));
    const auto* scripts = result.answer.find("scripts");
    if (result.answer.text("status") != "ok" || scripts == nullptr || scripts->if_array() == nullptr)
        return fail(Errc::bad_answer, "the agent's answer does not list its scripts");
    json::Array list;
    for (const auto& script : *scripts->if_array()) {
        if (script.if_object() == nullptr)
            return fail(Errc::bad_answer, "the agent's answer lists what is no script");
        list.push_back(script_of(script));
    }
    result.answer.set("scripts", std::move(list));
    result.answer.set("tags", tags_of(result.answer.find("tags")));
    for (const std::string_view name : {"host", "version"})
        result.answer.set(name, result.answer.scalar(name));
    return result;
}

json::Value DiscoveryResult::to_json() const {
    if (!ok()) return json::Object{{"host", host}, {"status", "error"}, {"error", error}, {"rtt", rtt}};
    json::Object object;
    for (const auto& member : *answer.if_object()) {
        // These two are ours to say.
        if (member.key != "reported_hostname" && member.key != "rtt") object.push_back(member);
    }
    const std::string reported = answer.scalar("host");
    if (!reported.empty() && reported != host) object.push_back({"reported_hostname", reported});
    object.push_back({"rtt", rtt});
    return object;
}

}  // namespace ctrlexec
