// agent.conf, checked and typed.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "core/address_list.h"
#include "core/config_environment.h"
#include "core/key_type.h"
#include "core/log.h"
#include "core/rate_limiter.h"
#include "core/result.h"
#include "core/setting.h"

namespace ctrlexec {

inline constexpr const char* default_agent_config = "/etc/ctrl-exec-agent/agent.conf";

// What must prove, when pairing, that the answer is the dispatcher's. A token counts for a pin, and both for
// the comparison of the check code; `tofu` (trust on first use) takes any answer, like 0.8.4.
enum class PairTrust : std::uint8_t { tofu, sas, pin, token };

struct AgentConfig {
    std::string path;
    std::string cert, key, ca;
    std::string config_dir;              // scripts.conf, ctrl-exec-serial, revoked-serials
    std::string state_dir;               // what the agent itself keeps
    std::string dispatcher_serial_path;  // by default config_dir/ctrl-exec-serial
    std::string allowlist;               // by default config_dir/scripts.conf
    std::string hostname;                // what we call ourselves; by default the machine's name
    std::string bind;                    // "" = every address, IPv6 and IPv4
    int port = 7443;                     // 0: any free one, printed at start
    KeyType key_type = KeyType::ecdsa;
    PairTrust pair_trust = PairTrust::tofu;
    std::vector<std::string> script_dirs;  // empty: scripts may lie anywhere
    int stdin_timeout = 10;                // seconds
    int max_connections = 512;
    AddressList allowed_ips;  // empty: every address
    RateLimit rate_limit_volume{10, std::chrono::seconds(60), std::chrono::seconds(300)};
    RateLimit rate_limit_probe{3, std::chrono::seconds(600), std::chrono::seconds(3600)};
    bool rate_limit_disable = false;
    std::string auth_hook;        // "" for none
    int auth_hook_timeout = 10;   // seconds
    std::string revoked_serials;  // by default config_dir/revoked-serials
    bool legacy_output_cap =
        true;                // 60 KiB for a caller of the old implementation, which hangs on more than 64
    int shutdown_grace = 8;  // seconds for requests under way, their scripts' end included
    std::chrono::milliseconds run_timeout{0};         // the most that a script may take; 0: no bound
    std::chrono::milliseconds kill_grace{5000};       // between TERM and KILL
    std::size_t output_limit = std::size_t{1} << 20;  // bytes kept of each of a script's streams
    int max_runs = 1024;                              // scripts that run at the same time, jobs included
    LogFormat log_format = LogFormat::kv;
    std::map<std::string, std::string> tags;
    std::vector<std::string> warnings;
    std::vector<Setting> settings;  // all of the above as text, with their origin

    std::string jobs_dir() const { return state_dir + "/jobs"; }

    // The environment counts more than the file, see core/config_environment.h.
    static Result<AgentConfig> load(const std::string& path);
    static ConfigPlaces places();
};

}  // namespace ctrlexec
