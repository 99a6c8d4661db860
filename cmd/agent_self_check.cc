// Usage: self-check
// Looks at everything that serve needs, and goes on after a failure: CHECK, STATUS, DETAIL. Exit 0 when
// nothing has failed, 78 when the configuration cannot be read, else 1.
#include <fmt/format.h>

#include "cmd/print.h"
#include "cmd/verbs.h"
#include "core/agent_identity.h"
#include "core/allowlist.h"
#include "core/auth_request.h"
#include "core/file.h"
#include "core/log.h"
#include "core/serial_list.h"
#include "core/timestamp.h"
#include "core/trusted_dispatchers.h"

namespace ctrlexec {
namespace {

constexpr std::int64_t expires_soon = 30 * 86400;  // seconds

std::string counted(std::size_t count, std::string_view what) {
    return fmt::format("{} {}{}", count, what, count == 1 ? "" : "s");
}

class Report {
  public:
    void ok(std::string check, std::string detail) { add(std::move(check), "ok", std::move(detail)); }
    void warn(std::string check, std::string detail) { add(std::move(check), "warn", std::move(detail)); }
    void fail(std::string check, std::string detail) {
        failed_ = true;
        add(std::move(check), "fail", std::move(detail));
    }
    int print() const {
        print_out(format_table({"CHECK", "STATUS", "DETAIL"}, rows_));
        return failed_ ? 1 : 0;
    }

  private:
    void add(std::string check, std::string status, std::string detail) {
        rows_.push_back({std::move(check), std::move(status), std::move(detail)});
    }
    std::vector<std::vector<std::string>> rows_;
    bool failed_ = false;
};

void check_identity(Report& report, const AgentConfig& config) {
    const auto identity = load_agent_identity(config);
    const auto valid = identity ? identity->verify(now_seconds()) : Result<void>(identity.error());
    if (!valid) {
        const bool unpaired = !identity && identity.error().code == Errc::not_found;
        report.fail("certificate",
                    valid.error().text() + (unpaired ? "; not paired, run request-pairing" : ""));
        return;
    }
    const std::string expiry =
        fmt::format("{}, expires {}", config.cert, identity->certificate.expiry_text());
    if (identity->certificate.not_after() - now_seconds() < expires_soon) {
        report.warn("certificate", expiry);
    } else {
        report.ok("certificate", expiry);
    }
}

// The newest serial is the one that its dispatcher uses, or will use soon.
void check_serials(Report& report, const TrustedDispatchers& trusted, const Result<SerialList>& revoked) {
    const bool alone = trusted.all().size() == 1;
    for (const auto& dispatcher : trusted.all()) {
        const std::string& serial = dispatcher.serials.back().serial;
        const std::string whose =
            alone ? "serial " + serial : fmt::format("serial {} of {}", serial, dispatcher.id);
        if (revoked && revoked->contains(serial)) {
            report.fail("dispatcher", fmt::format("{} is revoked: {} request will be refused", whose,
                                                  alone ? "every" : "each such"));
        } else {
            report.ok("dispatcher", whose);
        }
    }
}

void check_dispatcher(Report& report, const AgentConfig& config) {
    const auto trusted = TrustedDispatchers::load(config.dispatcher_serial_path);
    const auto revoked = SerialList::load(config.revoked_serials);
    if (!trusted) {
        report.fail("dispatcher", trusted.error().text());
    } else if (trusted->empty()) {
        report.fail("dispatcher",
                    config.dispatcher_serial_path + " names none: every request will be refused");
    } else {
        check_serials(report, *trusted, revoked);
    }
    if (!revoked) {
        report.fail("revoked", revoked.error().text());
        return;
    }
    for (const auto& text : revoked->warnings()) report.fail("revoked", text);
    if (revoked->warnings().empty()) report.ok("revoked", counted(revoked->size(), "serial"));
}

void check_scripts(Report& report, const AgentConfig& config) {
    const auto allowlist = Allowlist::load(config.allowlist);
    if (!allowlist) {
        report.fail("allowlist", allowlist.error().text());
        return;
    }
    for (const auto& text : allowlist->warnings()) report.fail("allowlist", text);
    if (allowlist->warnings().empty())
        report.ok("allowlist",
                  fmt::format("{}, {}", config.allowlist, counted(allowlist->scripts().size(), "script")));
    for (const auto& [name, entry] : allowlist->scripts()) {
        const auto runnable = allowlist->check_runnable(name, config.script_dirs);
        if (runnable) {
            report.ok("script " + name, entry.path);
        } else {
            report.fail("script " + name, runnable.error().text());
        }
    }
}

void check_hook(Report& report, const AgentConfig& config) {
    if (config.auth_hook.empty()) return;
    const auto hook = AuthHook::approve(config.auth_hook);
    if (hook) {
        report.ok("auth hook", config.auth_hook);
    } else {
        report.fail("auth hook", hook.error().text());
    }
}

}  // namespace

int agent_self_check(const Invocation& call) {
    open_log("ctrl-exec-agent", LogFallback::discard);
    auto config = AgentConfig::load(call.text("--config", default_agent_config));
    Report report;
    if (!config) {
        report.fail("configuration", config.error().text());
        (void)report.print();
        return info(config.error().code).exit_code;
    }
    if (call.has("--allowlist")) config->allowlist = call.text("--allowlist");
    for (const auto& text : config->warnings) report.warn("configuration", text);
    if (config->warnings.empty())
        report.ok("configuration", file_exists(config->path) ? config->path : "the environment alone");
    check_identity(report, *config);
    check_dispatcher(report, *config);
    check_hook(report, *config);
    check_scripts(report, *config);
    return report.print();
}

}  // namespace ctrlexec
