#include "cmd/run_preview.h"

#include <fmt/format.h>

#include "cmd/confirm.h"
#include "cmd/output_format.h"
#include "cmd/print.h"
#include "core/registry.h"
#include "core/utf8.h"
#include "net/known_agent.h"

namespace ctrlexec {
namespace {

struct Preview {
    std::string host;
    std::string address;
    int port = 0;
    std::size_t batch = 0;  // 1 is the first
    std::string problem;    // why it would not be reached
};

// As Dispatch would find them.
std::vector<Preview> preview(const DispatcherConfig& config, const BatchPlan& batches,
                             const std::vector<Target>& targets) {
    const Registry registry(config.agents_dir());
    std::vector<Preview> rows;
    std::size_t batch = 0;
    std::size_t end = 0;  // of the batch
    for (const auto& target : targets) {
        if (rows.size() == end) {
            ++batch;
            end += batches.next(end, targets.size() - end);
        }
        Preview& row = rows.emplace_back();
        row.host = target.host;
        row.batch = batch;
        const auto found = destination_of(target, registry, config.port);
        if (!found) {
            row.problem = found.error().text();
            continue;
        }
        row.address = found->address.by_address ? found->address.fallback : found->address.host;
        row.port = found->address.port;
    }
    return rows;
}

json::Value to_json(const Preview& row, bool with_batch) {
    json::Value object(json::Object{{"host", row.host}});
    if (row.problem.empty()) {
        object.set("address", row.address);
        object.set("port", row.port);
    } else {
        object.set("error", row.problem);
    }
    if (with_batch) object.set("batch", static_cast<std::uint64_t>(row.batch));
    return object;
}

void print_table(const RunRequest& request, const std::vector<Preview>& previews, bool with_batch) {
    std::vector<std::vector<std::string>> rows;
    for (const auto& one : previews) {
        auto& row = rows.emplace_back();
        row.push_back(one.host);
        row.push_back(one.problem.empty() ? host_port(one.address, one.port) : "");
        if (with_batch) row.push_back(std::to_string(one.batch));
    }
    std::vector<std::string> titles{"HOST", "ADDRESS"};
    if (with_batch) titles.emplace_back("BATCH");
    print_out(format_table(titles, rows));
    print_out(fmt::format("{} would run {}",
                          previews.size() == 1 ? "1 host" : fmt::format("{} hosts", rows.size()),
                          request.script));
    // As JSON, which leaves no doubt where each begins and ends.
    if (!request.arguments.empty())
        print_out(" with " + printable(json::dump(json::strings(request.arguments))));
    print_out("\n");
}

}  // namespace

int print_preview(const Invocation& call, const DispatcherConfig& config, const RunOptions& options,
                  const RunRequest& request, const std::vector<Target>& targets) {
    const auto previews = preview(config, options.batches, targets);
    const bool with_batch = call.has("--batch");
    if (wants_json(call)) {
        json::Array hosts;
        for (const auto& one : previews) hosts.push_back(to_json(one, with_batch));
        print_out(json::dump(json::Object{{"ok", 1},
                                          {"dry_run", 1},
                                          {"script", request.script},
                                          {"args", json::strings(request.arguments)},
                                          {"hosts", std::move(hosts)}}) +
                  "\n");
    } else {
        print_table(request, previews, with_batch);
    }
    int code = 0;
    for (const auto& one : previews) {
        if (one.problem.empty()) continue;
        print_error_line(fmt::format("{}: {}: {}", call.program, one.host, one.problem));
        code = 1;
    }
    return code;
}

Result<void> confirm_run(const Invocation& call, const DispatcherConfig& config, const RunRequest& request,
                         std::size_t hosts) {
    const auto most = static_cast<std::size_t>(config.confirm_above);
    if (most == 0 || hosts <= most || call.has("--yes") || !has_operator()) return success();
    if (confirmed(fmt::format("Run {} on {} hosts?", request.script, hosts))) return success();
    return fail(Errc::cancelled, "nothing was run");
}

}  // namespace ctrlexec
