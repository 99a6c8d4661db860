#include "core/run_store.h"

#include <fmt/format.h>

#include "core/config_file.h"
#include "core/file.h"
#include "core/pairing_queue.h"
#include "core/utf8.h"

namespace ctrlexec {
namespace {

// Results of a thousand hosts with some output each; what does not fit is not stored, and the log says so.
constexpr std::size_t max_run_bytes = 256u << 20;
constexpr std::string_view suffix = ".json";

bool is_run(std::string_view file) {
    return file.ends_with(suffix) && is_valid_reqid(file.substr(0, file.size() - suffix.size()));
}

}  // namespace

Result<StoredRun> StoredRun::from_json(const json::Value& value) {
    const auto* results = value.find("results");
    const auto* hosts = value.find("hosts");
    StoredRun run;
    run.reqid = value.scalar("reqid");
    run.script = value.scalar("script");
    if (!is_valid_reqid(run.reqid) || results == nullptr || results->if_array() == nullptr ||
        !parse_integer(value.scalar("completed"), 0, INT64_MAX, run.completed)) {
        return fail(Errc::bad_request, "not the record of a run");
    }
    run.results = *results->if_array();
    if (hosts != nullptr && hosts->if_array() != nullptr) {
        for (const auto& host : *hosts->if_array()) run.hosts.push_back(host.scalar());
    }
    return run;
}

json::Value StoredRun::to_json() const {
    return json::Object{{"reqid", reqid},
                        {"script", script},
                        {"hosts", json::strings(hosts)},
                        {"results", results},
                        {"completed", completed}};
}

json::Value StoredRun::to_answer(json::Value ok) const {
    json::Object answer{{"ok", std::move(ok)}};
    const json::Value record = to_json();
    for (const auto& member : *record.if_object()) answer.push_back(member);
    answer.push_back({"status", "done"});
    answer.push_back({"pending", json::Array()});
    return answer;
}

json::Value StoredRun::to_run_answer() const {
    return json::Object{{"ok", true}, {"reqid", reqid}, {"results", results}};
}

Error RunStore::unknown(std::string_view reqid) {
    return fail(Errc::not_found,
                fmt::format("no run '{}' is stored; results are kept for a day", printable(reqid)));
}

Result<StoredRun> RunStore::find(std::string_view reqid) const {
    if (!is_valid_reqid(reqid)) return unknown(reqid);
    const std::string path = fmt::format("{}/{}{}", directory_, reqid, suffix);
    const auto text = read_file(path, max_run_bytes);
    if (!text) return text.error().code == Errc::not_found ? unknown(reqid) : text.error();
    const auto value = json::parse(*text, max_run_bytes);
    auto run = value ? StoredRun::from_json(*value) : Result<StoredRun>(value.error());
    if (!run) return fail(Errc::io, fmt::format("{}: {}; remove it", path, run.error().text()));
    if (run->reqid != reqid)
        return fail(Errc::io, fmt::format("{}: holds run {}; remove it", path, run->reqid));
    return run;
}

Result<void> RunStore::save(const StoredRun& run) const {
    if (!is_valid_reqid(run.reqid)) return fail(Errc::internal, "invalid reqid");
    TRY_DO(make_directories(directory_, 0750));
    const std::string text = json::dump(run.to_json());
    if (text.size() > max_run_bytes) return fail(Errc::too_large, "the results are too large to be stored");
    return write_file_atomic(fmt::format("{}/{}{}", directory_, run.reqid, suffix), text, 0640);
}

Result<void> RunStore::purge(std::int64_t now) const {
    return remove_files_before(directory_, now - kept, is_run);
}

}  // namespace ctrlexec
