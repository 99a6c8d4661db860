#include "core/agent_identity.h"

#include <fmt/format.h>

#include "core/file.h"

namespace ctrlexec {
namespace {

// Whatever is wrong with these files, the agent is not set up: that is a matter of configuration.
template <typename T>
Result<T> usable(const std::string& path) {
    auto result = T::from_file(path);
    if (result) return result;
    if (result.error().code == Errc::not_found) {
        return fail(Errc::config, path + " does not exist; pair this agent again");
    }
    return fail(Errc::config, result.error().text());
}

}  // namespace

Result<AgentIdentity> AgentIdentity::load(const AgentConfig& config) {
    if (!file_exists(config.cert)) return fail(Errc::not_found, config.cert + " does not exist");
    TRY(Certificate authority, usable<Certificate>(config.ca));
    TRY(Certificate certificate, usable<Certificate>(config.cert));
    TRY(PrivateKey key, usable<PrivateKey>(config.key));
    if (!certificate.holds_key_of(key)) {
        return fail(Errc::config,
                    fmt::format("{} does not belong to {}; pair this agent again", config.cert, config.key));
    }
    return AgentIdentity{std::move(certificate), std::move(key), std::move(authority)};
}

}  // namespace ctrlexec
