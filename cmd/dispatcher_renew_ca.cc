// Usage: renew-ca [--days N]
// A new certificate for the CA's key: what it has signed stays valid, agents get it with their next renewal.
#include <fmt/format.h>

#include "cmd/dispatcher_context.h"
#include "cmd/print.h"
#include "cmd/verbs.h"
#include "core/dispatcher_setup.h"
#include "core/json.h"
#include "core/log.h"

namespace ctrlexec {

int dispatcher_renew_ca(const Invocation& call) {
    const auto days = number_option(call, "--days", 1, 36500, default_ca_days);
    if (!days) return report(call, days.error());
    const auto config = open_dispatcher(call);
    if (!config) return report(call, config.error());
    const auto renewed = renew_authority(*config, *days);
    if (!renewed) return report(call, renewed.error());
    const std::string path = config->ca_dir + "/ca.crt";
    log_event(LogLevel::notice, "ca-renewed",
              {{"EXPIRY", renewed->expiry_text()}, {"SERIAL", renewed->serial()}});
    if (call.has("--json")) {
        print_out(
            json::dump(json::Object{
                {"ok", 1}, {"ca", path}, {"expiry", renewed->expiry_text()}, {"serial", renewed->serial()}}) +
            "\n");
        return 0;
    }
    print_out(
        fmt::format("CA certificate renewed: {}, valid until {}.\n"
                    "Agents get it with the next renewal of their own certificates.\n",
                    path, renewed->expiry_text()));
    return 0;
}

}  // namespace ctrlexec
