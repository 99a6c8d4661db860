#include "cmd/applet.h"

#include <array>

#include "cmd/verbs.h"

namespace ctrlexec {
namespace {

using enum Role;

constexpr std::array<OptionSpec, 5> dispatcher_options{{
    {"--config", "FILE", "configuration file (default /etc/ctrl-exec/ctrl-exec.conf)"},
    {"--json", "", "one line of JSON instead of text"},
    {"--port", "N", "port of the agents, or of the pairing listener (default from the configuration)"},
    {"--token", "TOKEN",
     "token for auth hooks and scripts (default $ENVEXEC_TOKEN, which keeps it out of the process list)"},
    {"--username", "NAME", "name for auth hooks and scripts (default $USER)"},
}};

constexpr std::array<OptionSpec, 2> agent_options{{
    {"--allowlist", "FILE", "allowlist (default scripts.conf in the configuration directory)"},
    {"--config", "FILE", "configuration file (default /etc/ctrl-exec-agent/agent.conf)"},
}};

constexpr std::array<OptionSpec, 1> api_options{{
    {"--config", "FILE", "configuration file (default /etc/ctrl-exec/ctrl-exec.conf)"},
}};

constexpr std::array<OptionSpec, 1> renew_ca_options{{
    {"--days", "N", "its validity from now, 1 to 36500 (default 3650)"},
}};

constexpr std::array<OptionSpec, 1> revoke_options{{
    {"--push", "", "tell all agents, too"},
}};

constexpr std::array<OptionSpec, 2> rotate_options{{
    {"--continue", "", "only go on with a rotation that is under way, begin none"},
    {"--force", "", "switch although reachable agents have refused the new serial"},
}};

constexpr std::array<OptionSpec, 1> unpair_options{{
    {"--revoke", "", "revoke its certificate, too"},
}};

constexpr std::string_view output_help =
    "table, json (as --json), or ndjson: a line of JSON for each result as it comes (default table)";

constexpr std::string_view progress_help = "show on stderr how far it is, when that is a terminal";

constexpr std::array<OptionSpec, 2> target_options{{
    {"--exclude", "WORD", "not these: HOST, web-*, tag:KEY=VALUE, @GROUP; may be repeated", true},
    {"--limit", "N", "only the first N of them by name"},
}};

constexpr std::array<OptionSpec, 4> ping_options{{
    target_options[0],
    target_options[1],
    {"--output", "FORMAT", output_help},
    {"--progress", "", progress_help},
}};

constexpr std::array<OptionSpec, 15> run_options{{
    {"--async", "", "print the run's id and do not wait; see status, wait and cancel"},
    {"--batch", "N", "so many hosts at a time, or N% of them; the next when all of them are done"},
    {"--canary", "N", "with --batch: N hosts first, all of which must go well (default 1; 0: none)"},
    {"--dry-run", "", "only show who would run what; nobody is asked"},
    target_options[0],
    {"--follow", "", "print what the scripts print as it comes, each line with its host in front"},
    {"--group-output", "", "print results at the end, those that say the same once, with their hosts"},
    target_options[1],
    {"--max-failures", "N",
     "with --batch: go on when it did not go well on so many hosts, or N% of them (default 0)"},
    {"--min-success", "N", "exit 0 when it went well on N of the hosts, or on N% of them (default all)"},
    {"--output", "FORMAT", output_help},
    {"--progress", "", progress_help},
    {"--pause", "TIME", "with --batch: wait so long between two batches: 30s, 5m, 2h (default 0)"},
    {"--timeout", "TIME", "the agent ends the script after it: 30s, 5m, 2h (default: as the agent is set)"},
    {"--yes", "", "do not ask, however many hosts there are"},
}};

constexpr std::array<OptionSpec, 2> wait_options{{
    {"--follow", "", "print what the scripts print as it comes, each line with its host in front"},
    {"--timeout", "TIME", "wait no longer than that: 30s, 5m, 2h (default: until all have ended)"},
}};

constexpr std::array<OptionSpec, 3> setup_ca_options{{
    {"--days", "N", "its validity, 1 to 36500 (default 3650)"},
    {"--if-missing", "", "what is there is kept, and that is success"},
    {"--key-type", "TYPE", "ecdsa or rsa (default from the configuration)"},
}};

constexpr std::array<OptionSpec, 4> approve_options{{
    {"--agent-port", "N", "the port the agent serves at (default what it said)"},
    {"--lookup-by", "HOW", "ip or hostname: how it is found (default what it said)"},
    {"--replace", "", "it takes the place of the registered agent of its name, whose certificate is revoked"},
    {"--sas", "CODE", "the check code that the agent shows, 4831-1920; refused when it is not the request's"},
}};

constexpr std::array<OptionSpec, 4> edit_options{{
    {"--agent-port", "N", "the port it serves at, or default"},
    {"--ip", "ADDRESS", "its address"},
    {"--lookup-by", "HOW", "ip or hostname: how it is found"},
    {"--rename", "NAME", "what it is called here; its certificate keeps its name"},
}};

constexpr std::array<OptionSpec, 1> json_options{{
    {"--json", "", "one line of JSON instead of text"},
}};

constexpr std::array<OptionSpec, 2> confirm_options{{
    {"--if-missing", "", "what is there is kept, and that is success"},
    {"--yes", "", "do not ask"},
}};

constexpr std::array<OptionSpec, 2> export_options{{
    {"--out", "FILE", "a new file (default standard output)"},
    {"--passphrase-file", "FILE",
     "its first line is the passphrase; - for standard input (default: asked for)"},
}};

constexpr std::array<OptionSpec, 1> import_options{{
    {"--passphrase-file", "FILE",
     "its first line is the passphrase; - for standard input (default: asked for)"},
}};

constexpr std::array<OptionSpec, 1> maintain_options{{
    {"--all", "", "also those that do not need it yet"},
}};

constexpr std::array<OptionSpec, 1> pairing_confirm_options{{
    {"--discard", "", "drop the answer that waits, in place of storing it"},
}};

constexpr std::array<OptionSpec, 8> request_options{{
    {"--background", "", "print only the request's id, wait for the answer in a background process"},
    {"--ca-pin", "PIN", "which CA its dispatcher has: sha256:…, as ca-pin prints it; may be repeated", true},
    {"--dispatcher", "HOST", "where the pairing listener runs (required)"},
    {"--join-token-file", "FILE", "holds a join token, which approves the request"},
    {"--new-key", "", "make a new key although this agent is paired and has one"},
    {"--port", "N", "its port (default 7444)"},
    {"--timeout", "N", "seconds to wait for the operator, at most 600 (default 600; with --background 30)"},
    {"--wait", "", "ask again until the dispatcher listens and the operator has answered"},
}};

constexpr std::array<OptionSpec, 5> token_options{{
    {"--actions", "LIST", "what it may: run, ping, status, metrics, api, * (default run,ping,status)"},
    {"--append", "", "add its line to the file that auth_policy names"},
    {"--hosts", "LIST", "where: names with * and ?, tag:KEY=VALUE"},
    {"--name", "NAME", "what the log calls it"},
    {"--scripts", "LIST", "which scripts: names with * and ?"},
}};

constexpr std::array<OptionSpec, 7> join_token_options{{
    {"--from", "LIST", "create: only for agents that come from these addresses and prefixes", true},
    {"--hosts", "GLOB", "create: only for host names that match"},
    {"--out", "FILE", "create: write the token to a new file (default standard output)"},
    {"--replace", "", "create: also in the place of a registered agent, whose certificate is revoked"},
    {"--tag", "KEY=VALUE", "create: give it to the agents; may be repeated", true},
    {"--ttl", "TIME", "create: valid so long: 30m, 12h, 30d, at most 365d (default 1h)"},
    {"--uses", "N", "create: good for so many agents, at most 100000 (default 1)"},
}};

constexpr std::array<OptionSpec, 1> container_options{{
    {"--config", "FILE", "configuration file (default that of the role)"},
}};

constexpr std::array<OptionSpec, 2> entrypoint_options{{
    {"--configure", "", "make what is missing, and exit"},
    {"--state-dir", "DIR", "state_dir of a configuration file that is made (default that of the role)"},
}};

constexpr std::array<OptionSpec, 1> healthcheck_options{{
    {"--ready", "", "whether it takes work, too"},
}};

constexpr std::span<const OptionSpec> no_options;

// One row a verb; sorted, so that a double entry shows.
constinit const std::array<Applet, 44> table{{
    {dispatcher, "approve", "ID", "approve a waiting pairing request", "approve 00c9845e0001ab42", 1, 1,
     false, approve_options, dispatcher_approve},
    {dispatcher, "ca-info", "", "show the CA: fingerprint, SPKI pin, validity", "ca-info", 0, 0, false,
     no_options, dispatcher_ca_info},
    {dispatcher, "ca-pin", "", "show the CA's pin, and the command of an agent that knows it", "ca-pin", 0, 0,
     false, no_options, dispatcher_ca_pin},
    {dispatcher, "cancel", "REQID [HOST[:PORT]...]", "have the script of a run ended",
     "cancel b50b5826213a74c8", 1, -1, false, no_options, dispatcher_cancel},
    {dispatcher, "config", "show", "show each setting, and where it comes from", "config show", 1, 1, false,
     no_options, dispatcher_config},
    {dispatcher, "deny", "ID", "deny a waiting pairing request", "deny 00c9845e0001ab42", 1, 1, false,
     no_options, dispatcher_deny},
    {dispatcher, "discover", "[HOST[:PORT]...]", "ask agents what they are, and keep their tags",
     "discover 'web-*'", 0, -1, false, target_options, dispatcher_discover},
    {dispatcher, "edit-agent", "NAME", "change a registered agent's name or address",
     "edit-agent web-01 --ip 192.0.2.11", 1, 1, false, edit_options, dispatcher_edit_agent},
    {dispatcher, "export-ca-key", "", "write the CA's key, encrypted, for a backup",
     "export-ca-key --out ca-key.pem", 0, 0, false, export_options, dispatcher_export_ca_key},
    {dispatcher, "import-ca-key", "FILE", "put the CA's key back from a backup", "import-ca-key ca-key.pem",
     1, 1, false, import_options, dispatcher_import_ca_key},
    {dispatcher, "join-token", "create|list|revoke [KID]",
     "make, list or revoke tokens that agents join with",
     "join-token create --ttl 1h --uses 20 --hosts 'web-*'", 1, 2, false, join_token_options,
     dispatcher_join_token},
    {dispatcher, "list-agents", "", "list the registered agents", "list-agents", 0, 0, false, no_options,
     dispatcher_list_agents},
    {dispatcher, "list-groups", "", "list the groups of hosts", "list-groups", 0, 0, false, no_options,
     dispatcher_list_groups},
    {dispatcher, "list-locks", "", "list the runs that hold a lock now", "list-locks", 0, 0, false,
     no_options, dispatcher_list_locks},
    {dispatcher, "list-requests", "", "list the pairing requests that wait", "list-requests", 0, 0, false,
     no_options, dispatcher_list_requests},
    {dispatcher, "maintain", "", "renew the agents' certificates that need it", "maintain", 0, 0, false,
     maintain_options, dispatcher_maintain},
    {dispatcher, "pairing-mode", "", "listen for pairing requests until interrupted", "pairing-mode", 0, 0,
     false, no_options, dispatcher_pairing_mode},
    {dispatcher, "ping", "HOST[:PORT]...", "ask agents whether they are there",
     "ping web-01 'db-*' tag:env=staging", 1, -1, false, ping_options, dispatcher_ping},
    {dispatcher, "renew-ca", "", "give the CA's key a certificate with new dates", "renew-ca --days 3650", 0,
     0, false, renew_ca_options, dispatcher_renew_ca},
    {dispatcher, "revoke", "NAME|SERIAL", "talk no more to whoever holds this certificate", "revoke web-01",
     1, 1, false, revoke_options, dispatcher_revoke},
    {dispatcher, "rotate-cert", "", "give the dispatcher a new key and certificate", "rotate-cert", 0, 0,
     false, rotate_options, dispatcher_rotate_cert},
    {dispatcher, "run", "HOST[:PORT]... SCRIPT [-- ARG...]", "run an allowlisted script on agents",
     "run web-01 web-02 deploy -- v1.2", 2, -1, true, run_options, dispatcher_run},
    {dispatcher, "run-status", "REQID", "show the stored results of a finished run",
     "run-status b50b5826213a74c8", 1, 1, false, no_options, dispatcher_run_status},
    {dispatcher, "serial-status", "", "show which certificate of the dispatcher agents trust",
     "serial-status", 0, 0, false, no_options, dispatcher_serial_status},
    {dispatcher, "setup-ca", "", "make the certificate authority", "setup-ca", 0, 0, false, setup_ca_options,
     dispatcher_setup_ca},
    {dispatcher, "setup-ctrl-exec", "", "make the dispatcher's key and certificate", "setup-ctrl-exec", 0, 0,
     false, confirm_options, dispatcher_setup_ctrl_exec},
    {dispatcher, "status", "REQID", "show how a run of run --async stands", "status b50b5826213a74c8", 1, 1,
     false, no_options, dispatcher_status},
    {dispatcher, "token", "", "make a token for the HTTP API", "token --scripts check-disk --hosts web-01", 0,
     0, false, token_options, dispatcher_token},
    {dispatcher, "unpair", "NAME", "forget a registered agent", "unpair web-01", 1, 1, false, unpair_options,
     dispatcher_unpair},
    {dispatcher, "wait", "REQID", "wait for the results of a run of run --async",
     "wait b50b5826213a74c8 --timeout 10m", 1, 1, false, wait_options, dispatcher_wait},
    {agent, "allow", "NAME PATH [SETTING=VALUE]...", "allow a script, and let the agent know",
     "allow check-disk /opt/ctrl-exec-scripts/check-disk.sh timeout=30s user=nobody", 2, -1, false,
     no_options, agent_allow},
    {agent, "config", "show", "show each setting, and where it comes from", "config show", 1, 1, false,
     json_options, agent_config},
    {agent, "disallow", "NAME", "take a script off the allowlist, and let the agent know",
     "disallow check-disk", 1, 1, false, no_options, agent_disallow},
    {agent, "dispatchers", "[remove ID]", "show the dispatchers that are trusted, or trust one no more",
     "dispatchers remove 5c1d0f6ab3e97824", 0, 2, false, json_options, agent_dispatchers},
    {agent, "pairing-confirm", "CODE", "store the answer that waits for the dispatcher's check code",
     "pairing-confirm 4831-1920", 0, 1, false, pairing_confirm_options, agent_pairing_confirm},
    {agent, "pairing-status", "", "say whether this agent is paired", "pairing-status", 0, 0, false,
     no_options, agent_pairing_status},
    {agent, "reload", "", "let the agent that serves here read its files again", "reload", 0, 0, false,
     no_options, agent_reload},
    {agent, "request-pairing", "--dispatcher HOST", "ask a dispatcher for a certificate",
     "request-pairing --dispatcher ctrl.example.net", 0, 0, false, request_options, agent_request_pairing},
    {agent, "self-check", "", "check configuration, certificates and scripts", "self-check", 0, 0, false,
     no_options, agent_self_check},
    {agent, "self-ping", "", "ask the agent that serves here whether it is healthy", "self-ping", 0, 0, false,
     no_options, agent_self_ping},
    {agent, "serve", "", "serve requests of trusted dispatchers", "serve", 0, 0, false, no_options,
     agent_serve},
    {api, "serve", "", "serve the HTTP API", "--config /etc/ctrl-exec/ctrl-exec.conf", 0, 0, false,
     no_options, api_serve},
    {container, "entrypoint", "dispatcher|agent", "what a container runs: sets up, then serves",
     "entrypoint dispatcher --configure", 1, 1, false, entrypoint_options, container_entrypoint},
    {container, "healthcheck", "[dispatcher|agent]", "say whether the server here answers",
     "healthcheck --ready agent", 0, 1, false, healthcheck_options, container_healthcheck},
}};

constexpr std::array<Link, 5> link_table{{
    {"cea", agent},
    {"ced", dispatcher},
    {"ctrl-exec-agent", agent},
    {"ctrl-exec-api", api},
    {"ctrl-exec-dispatcher", dispatcher},
}};

}  // namespace

std::span<const Applet> applets() {
    return table;
}

std::span<const OptionSpec> common_options(Role role) {
    if (role == agent) return agent_options;
    if (role == api) return api_options;
    if (role == container) return container_options;
    return dispatcher_options;
}

std::span<const Link> links() {
    return link_table;
}

std::string_view role_program(Role role) {
    switch (role) {
        case agent:
            return "ctrl-exec-agent";
        case api:
            return "ctrl-exec-api";
        case container:
            return "ctrl-exec";
        default:
            return "ctrl-exec-dispatcher";
    }
}

}  // namespace ctrlexec
