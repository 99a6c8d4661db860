// ctrl-exec.conf, checked and typed.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/config_environment.h"
#include "core/key_type.h"
#include "core/log.h"
#include "core/rate_limiter.h"
#include "core/result.h"
#include "core/setting.h"

namespace ctrlexec {

inline constexpr const char* default_dispatcher_config = "/etc/ctrl-exec/ctrl-exec.conf";
inline constexpr int default_agent_port = 7443;
inline constexpr int default_pairing_port = 7444;
inline constexpr int default_api_port = 7445;

// When the HTTP API's process serves the pairing port too.
enum class HostedPairing : std::uint8_t { tokens, on, off };  // tokens: while a join token can be used

// What an agent must bring to be paired; each includes those after it.
enum class PairingMin : std::uint8_t { legacy, v2, token };

struct DispatcherConfig {
    std::string path;
    std::string cert, key, ca;       // the dispatcher's certificate, its key, and the CA it trusts
    std::string ca_dir;              // ca.key, ca.crt, ca.serial; by default where `ca` lies
    std::string ca_passphrase_file;  // its first line opens ca.key; "" when that is not encrypted
    std::string state_dir;           // agents/, pairing/, locks/, runs/
    KeyType key_type = KeyType::ecdsa;
    int port = default_agent_port;  // of the agents
    std::string pairing_bind;       // "" = every address, IPv6 and IPv4
    int pairing_port = default_pairing_port;
    int pairing_max_queue = 10;
    bool pairing_allow_cn_mismatch = false;
    HostedPairing pairing = HostedPairing::tokens;
    PairingMin pairing_min = PairingMin::legacy;
    // Of join tokens that are refused and commitments that are not kept, by address.
    // Nothing: off.
    std::optional<RateLimit> pairing_rate_limit =
        RateLimit{10, std::chrono::seconds(600), std::chrono::seconds(3600)};
    int read_timeout = 60;               // seconds to wait for a script
    int connect_timeout = 10;            // seconds for name, connection and handshake each
    int max_parallel = 256;              // agents talked to at the same time
    std::string auth_hook;               // "" for none: the command line always passes then
    int auth_hook_timeout = 10;          // seconds
    std::string auth_policy;             // "" for none; the HTTP API alone reads it
    std::string groups_file;             // of hosts; by default groups.conf beside this file
    bool groups_file_is_set = false;     // then it must exist
    int confirm_above = 50;              // `run` on more hosts than that asks on a terminal; 0: never
    int cert_days = 365;                 // validity of the agents' certificates
    int cert_renewal_days = 90;          // with fewer left there are warnings, and our own is rotated
    int cert_check_interval = 14400;     // seconds between two rounds of renewals
    int cert_overlap_days = 30;          // that both of the dispatcher's certificates are trusted
    std::string api_bind = "127.0.0.1";  // "" = every address, IPv6 and IPv4
    int api_port = default_api_port;
    std::string api_cert, api_key;  // both or none: TLS or plain HTTP
    bool api_allow_all = false;     // api_auth_default: what holds without an auth hook
    int api_max_connections = 10000;
    // Of credentials that were refused; nothing: off.
    std::optional<RateLimit> api_rate_limit =
        RateLimit{100, std::chrono::seconds(60), std::chrono::seconds(60)};
    int api_max_dispatches = 256;               // requests to agents under way at the same time
    std::vector<std::string> api_cors_origins;  // "https://console.example.net"; empty: no other origin
    int shutdown_grace = 8;                     // seconds for dispatches under way
    LogFormat log_format = LogFormat::kv;
    std::vector<std::string> warnings;
    std::vector<Setting> settings;  // all of the above as text, with their origin

    std::string revoked_serials() const { return ca_dir + "/revoked-serials"; }
    std::string rotation_file() const { return state_dir + "/rotation.json"; }
    std::string agents_dir() const { return state_dir + "/agents"; }
    std::string locks_dir() const { return state_dir + "/locks"; }
    std::string pairing_dir() const { return state_dir + "/pairing"; }
    std::string join_tokens_dir() const { return state_dir + "/join-tokens"; }
    std::string runs_dir() const { return state_dir + "/runs"; }
    std::string tickets_file() const { return state_dir + "/tls-tickets"; }
    std::string idempotency_dir() const { return runs_dir() + "/idempotency"; }

    // The environment counts more than the file, see core/config_environment.h.
    static Result<DispatcherConfig> load(const std::string& path);
    static ConfigPlaces places();
};

}  // namespace ctrlexec
