#include "net/agent_snapshot.h"

#include <fmt/format.h>

#include <algorithm>

#include "core/config_file.h"
#include "core/file.h"
#include "core/serial.h"

namespace ctrlexec {
namespace {

// A missing file trusts nobody: then every request is refused, but the agent runs and says why.
Result<std::vector<std::string>> load_trusted(const std::string& path) {
    std::vector<std::string> serials;
    if (!file_exists(path)) return serials;
    TRY(const std::string text, read_file(path, 4096));
    const std::string_view trimmed = trim(std::string_view(text).substr(0, text.find('\n')));
    if (trimmed.empty()) return serials;
    const auto serial = normalize_serial(trimmed);
    if (!serial)
        return fail(Errc::config,
                    fmt::format("{}: not a certificate serial in hex; pair this agent again", path));
    serials.push_back(*serial);
    return serials;
}

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

Result<std::shared_ptr<const AgentSnapshot>> AgentSnapshot::load(const std::string& config_path,
                                                                 const std::string& allowlist_path) {
    auto snapshot = std::make_shared<AgentSnapshot>();
    TRY(snapshot->config, AgentConfig::load(config_path));
    AgentConfig& config = snapshot->config;
    if (!allowlist_path.empty()) config.allowlist = allowlist_path;
    TRY(snapshot->allowlist, Allowlist::load(config.allowlist));
    if (!file_exists(config.cert)) {
        return fail(Errc::config,
                    fmt::format("not paired: {} does not exist; run 'ctrl-exec-agent request-pairing "
                                "--dispatcher HOST' first",
                                config.cert));
    }
    TRY(const Certificate authority, usable<Certificate>(config.ca));
    TRY(const Certificate certificate, usable<Certificate>(config.cert));
    TRY(const PrivateKey key, usable<PrivateKey>(config.key));
    if (!certificate.holds_key_of(key)) {
        return fail(Errc::config,
                    fmt::format("{} does not belong to {}; pair this agent again", config.cert, config.key));
    }
    snapshot->certificate_expiry = certificate.expiry_text();
    TlsContext::Options options;
    options.certificate = &certificate;
    options.key = &key;
    options.authority = &authority;
    TRY(snapshot->tls, TlsContext::create(options));
    TRY(snapshot->revoked, SerialList::load(config.revoked_serials));
    TRY(snapshot->trusted_serials, load_trusted(config.dispatcher_serial_path));
    return std::shared_ptr<const AgentSnapshot>(std::move(snapshot));
}

bool AgentSnapshot::trusts(const std::string& serial) const {
    const auto normal = normalize_serial(serial);
    return normal &&
           std::find(trusted_serials.begin(), trusted_serials.end(), *normal) != trusted_serials.end();
}

}  // namespace ctrlexec
