#include "test/fleet/make_fleet.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <openssl/x509.h>
#include <unistd.h>

#include <cerrno>

#include "core/certificate.h"
#include "core/certificate_builder.h"
#include "core/digest.h"
#include "core/dispatcher_config.h"
#include "core/dispatcher_id.h"
#include "core/dispatcher_identity.h"
#include "core/file.h"
#include "core/registry.h"
#include "core/timestamp.h"
#include "core/trusted_dispatchers.h"
#include "core/unique_fd.h"

namespace ctrlexec::fleet {
namespace {

constexpr std::int64_t day = 86400;
constexpr const char* scripts =
    "false = /bin/false\necho = /bin/echo\ncat = /bin/cat\nsleep = /bin/sleep\nhostname = /bin/hostname\n";

// What all agents have in common, and what their certificates and records are made from.
struct Maker {
    const Plan& plan;
    std::string directory;
    DispatcherConfig config;
    PrivateKey authority_key;
    Certificate authority;
    std::string authority_pem;
    std::string dispatcher_serial;
    std::int64_t now = 0;
    std::string dispatchers_json, serial_file;  // the same for all

    Result<void> common_files();
    Result<void> agent(std::size_t number, Conduct conduct);
    Result<Certificate> sign(const PrivateKey& key, const std::string& name) const;
    Result<void> agent_directory(const std::string& path, const std::string& name, const std::string& bind,
                                 const std::string& allowlist, const PrivateKey& key,
                                 const Certificate& certificate) const;
};

Result<void> write(const std::string& path, std::string_view text, mode_t mode) {
    const UniqueFd file(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode));
    if (!file) return errno_error("write", path, errno);
    if (::write(file.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size()))
        return errno_error("write", path, errno);
    return success();
}

Result<Certificate> Maker::sign(const PrivateKey& key, const std::string& name) const {
    CertificateFields fields;
    fields.common_name = name;
    fields.serial = "5e" + random_hex(15);
    fields.not_before = now - 600;
    fields.not_after = std::min(now + 300 * day, authority.not_after());
    TRY(auto built, build_leaf(fields, key.native(), authority.native(), authority_key.native()));
    return Certificate::from_native(built.release());
}

Result<void> Maker::agent_directory(const std::string& path, const std::string& name, const std::string& bind,
                                    const std::string& allowlist, const PrivateKey& key,
                                    const Certificate& certificate) const {
    TRY_DO(make_directories(path, 0755));
    TRY_DO(write(path + "/agent.key", key.to_pem(), 0600));
    TRY_DO(write(path + "/agent.crt", certificate.to_pem(), 0644));
    TRY_DO(write(path + "/ca.crt", authority_pem, 0644));
    TRY_DO(write(path + "/scripts.conf", allowlist, 0644));
    TRY_DO(write(path + "/dispatchers.json", dispatchers_json, 0644));
    TRY_DO(write(path + "/ctrl-exec-serial", serial_file, 0644));
    return write(
        path + "/agent.conf",
        fmt::format("hostname = {1}\ncert = {0}/agent.crt\nkey = {0}/agent.key\nca = {0}/ca.crt\n"
                    "config_dir = {0}\nstate_dir = {0}/state\nbind = {2}\nport = {3}\nmax_runs = 100000\n",
                    path, name, bind, plan.ports.front()),
        0644);
}

Result<void> Maker::common_files() {
    const std::string path = directory + "/template";
    TRY_DO(make_directories(path, 0755));
    TrustedDispatchers trusted;
    TRY(const std::string id, dispatcher_id(config.state_dir));
    TRY_DO(trusted.pair(id, dispatcher_serial, now));
    const std::string serial_path = path + "/ctrl-exec-serial";
    TRY_DO(trusted.store(serial_path));
    TRY(dispatchers_json, read_file(TrustedDispatchers::path_beside(serial_path), 1u << 20));
    TRY(serial_file, read_file(serial_path, 1u << 20));
    TRY(const PrivateKey key, PrivateKey::generate(KeyType::ecdsa));
    TRY(const Certificate certificate, sign(key, "template"));
    TRY_DO(agent_directory(path, "template", "127.0.0.1", std::string("true = /bin/true\n") + scripts, key,
                           certificate));
    TRY_DO(write(path + "/scripts-failing.conf", std::string("true = /bin/false\n") + scripts, 0644));
    TRY_DO(make_directories(config.agents_dir(), 0755));
    return plan.processes ? success() : make_directories(directory + "/identities", 0700);
}

Result<void> Maker::agent(std::size_t number, Conduct conduct) {
    const std::string name = plan.name_of(number);
    TRY(const PrivateKey key, PrivateKey::generate(KeyType::ecdsa));
    TRY(const Certificate certificate, sign(key, name));
    AgentRecord record;
    record.hostname = name;
    record.ip = plan.address_of(number);
    record.paired = record.serial_confirmed = iso8601(now);
    record.expiry = certificate.expiry_text();
    record.key = key_fingerprint(certificate.spki_der());
    record.certificate_serial = certificate.serial();
    record.reqid = new_reqid();
    record.dispatcher_serial = dispatcher_serial;
    record.agent_port = plan.port_of(number, conduct);
    record.lookup_by = "ip";
    TRY_DO(write(fmt::format("{}/{}.json", config.agents_dir(), name), json::dump(record.to_json()), 0644));
    if (!plan.processes) {
        return write(fmt::format("{}/identities/{}.pem", directory, name),
                     key.to_pem() + certificate.to_pem(), 0600);
    }
    const char* is_true = conduct == Conduct::failing ? "true = /bin/false\n" : "true = /bin/true\n";
    return agent_directory(directory + "/" + name, name, record.ip, std::string(is_true) + scripts, key,
                           certificate);
}

}  // namespace

Result<void> make_fleet(const std::string& config_path, const std::string& directory, const Plan& plan) {
    TRY(DispatcherConfig config, DispatcherConfig::load(config_path));
    TRY(const Certificate dispatcher, load_dispatcher_certificate(config));
    TRY(PrivateKey key, PrivateKey::from_file(config.ca_dir + "/ca.key"));
    TRY(Certificate authority, Certificate::from_file(config.ca_dir + "/ca.crt"));
    std::string pem = authority.to_pem();
    Maker maker{plan,
                directory,
                std::move(config),
                std::move(key),
                std::move(authority),
                std::move(pem),
                dispatcher.serial(),
                now_seconds(),
                {},
                {}};
    TRY_DO(maker.common_files());
    const std::vector<Conduct> conduct = plan.conduct();
    for (std::size_t i = 0; i < conduct.size(); ++i) TRY_DO(maker.agent(i, conduct[i]));
    return write(directory + "/fleet.json", json::dump(plan.to_json()) + "\n", 0644);
}

}  // namespace ctrlexec::fleet
