#include "cmd/agent_place.h"

#include "core/config_file.h"

namespace ctrlexec {

Result<std::optional<int>> agent_port_option(const Invocation& call) {
    if (!call.has("--agent-port")) return std::optional<int>();
    const std::string text = call.text("--agent-port");
    std::int64_t port = 0;
    if (text != "default" && !parse_integer(text, 1, 65535, port))
        return fail(Errc::usage, "--agent-port must be 1 to 65535, or 'default'");
    return std::optional<int>(static_cast<int>(port));
}

Result<std::optional<std::string>> lookup_option(const Invocation& call) {
    if (!call.has("--lookup-by")) return std::optional<std::string>();
    std::string how = call.text("--lookup-by");
    if (how != "ip" && how != "hostname") return fail(Errc::usage, "--lookup-by must be 'ip' or 'hostname'");
    return std::optional<std::string>(std::move(how));
}

}  // namespace ctrlexec
