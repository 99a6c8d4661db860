#include "core/agent_identity.h"

#include <fmt/format.h>

#include <algorithm>

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

Result<Identity> load_agent_identity(const AgentConfig& config) {
    auto own = Certificate::from_file(config.cert);
    if (!own && own.error().code == Errc::not_found)
        return fail(Errc::not_found, config.cert + " does not exist");
    if (!own) return fail(Errc::config, own.error().text());
    Certificate certificate = std::move(*own);
    TRY(Certificate authority, usable<Certificate>(config.ca));
    TRY(PrivateKey key, usable<PrivateKey>(config.key));
    constexpr std::string_view remedy = "; pair this agent again";
    if (!certificate.holds_key_of(key))
        return fail(Errc::config, fmt::format("{} does not belong to {}{}", config.cert, config.key, remedy));
    if (const std::string problem = authority.defect_as_authority(); !problem.empty())
        return fail(Errc::config, fmt::format("{} {}{}", config.ca, problem, remedy));
    // At a time when both were valid: whether they still are is for verify() to say. An agent whose
    // certificate has expired starts and says so; one that no dispatcher could ever accept must not.
    const std::int64_t then = std::min(certificate.not_after(), authority.not_after()) - 1;
    if (const auto chain = certificate.verify(authority, then); !chain)
        return fail(Errc::config, fmt::format("{}: {}{}", config.cert, chain.error().text(), remedy));
    return Identity{std::move(certificate), std::move(key), std::move(authority)};
}

}  // namespace ctrlexec
