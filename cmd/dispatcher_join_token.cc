// Usage: join-token create [--ttl TIME] [--uses N] [--hosts GLOB] [--from LIST] [--tag K=V]... [--replace]
//                          [--out FILE]
//        join-token list
//        join-token revoke KID
// Tokens with which agents join by themselves. A token is printed when it is made, and stored nowhere.
#include <fmt/format.h>
#include <unistd.h>

#include "cmd/agent_command.h"
#include "cmd/dispatcher_context.h"
#include "cmd/print.h"
#include "cmd/verbs.h"
#include "core/did_you_mean.h"
#include "core/duration.h"
#include "core/file.h"
#include "core/join_tokens.h"
#include "core/pairing_queue.h"
#include "core/tag_cache.h"
#include "core/timestamp.h"
#include "core/utf8.h"

namespace ctrlexec {
namespace {

constexpr std::string_view create_only[] = {"--ttl", "--uses",    "--hosts", "--from",
                                            "--tag", "--replace", "--out"};

Result<Tags> parse_tags(std::string_view list) {
    Tags tags;
    while (!list.empty()) {
        const auto comma = list.find(',');
        const std::string_view item = list.substr(0, comma);
        list.remove_prefix(comma == std::string_view::npos ? list.size() : comma + 1);
        const auto equals = item.find('=');
        if (equals == std::string_view::npos)
            return fail(Errc::usage,
                        fmt::format("--tag: '{}' is not KEY=VALUE", printable(item.substr(0, 80))));
        tags.emplace_back(item.substr(0, equals), item.substr(equals + 1));
    }
    return tags;
}

Result<JoinTerms> terms_of(const Invocation& call) {
    JoinTerms terms;
    if (call.has("--ttl")) {
        const auto ttl = parse_duration(call.text("--ttl"), std::chrono::seconds(min_join_ttl),
                                        std::chrono::seconds(max_join_ttl));
        if (!ttl) return fail(Errc::usage, "--ttl " + ttl.error().message);
        terms.ttl = ttl->count() / 1000;
    }
    TRY(terms.uses, number_option(call, "--uses", 1, max_join_uses, 1));
    terms.hosts = call.text("--hosts");
    terms.from = call.text("--from");
    TRY(terms.tags, parse_tags(call.text("--tag")));
    terms.replace = call.has("--replace");
    return terms;
}

std::string tags_text(const Tags& tags) {
    std::string text;
    for (const auto& [key, value] : tags)
        text += fmt::format("{}{}={}", text.empty() ? "" : ",", key, printable(value));
    return text;
}

json::Object public_json(const JoinTokenRecord& token) {
    return {{"kid", token.kid},
            {"created", iso8601(token.created)},
            {"expires", iso8601(token.expires)},
            {"uses", token.terms.uses},
            {"hosts", token.terms.hosts},
            {"from", token.terms.from},
            {"tags", tags_json(token.terms.tags)},
            {"replace", token.terms.replace ? 1 : 0}};
}

std::string description(const JoinTokenRecord& token) {
    const JoinTerms& terms = token.terms;
    std::string text = fmt::format("Join token {}: {} use{}, valid until {}", token.kid, terms.uses,
                                   terms.uses == 1 ? "" : "s", iso8601(token.expires));
    if (!terms.hosts.empty()) text += fmt::format(", for {}", terms.hosts);
    if (!terms.from.empty()) text += fmt::format(", from {}", printable(terms.from));
    if (!terms.tags.empty()) text += fmt::format(", tags {}", tags_text(terms.tags));
    return text + (terms.replace ? ", may replace registered agents" : "");
}

// Nobody would take the agent's request, now or later.
void warn_unheard(const Invocation& call, const DispatcherConfig& config) {
    if (config.pairing != HostedPairing::off) return;
    if (PairingQueue(config.pairing_dir()).require_listener()) return;
    print_error_line(
        fmt::format("{}: nobody listens for agents that join: pairing = off in {}, and no "
                    "pairing-mode is running",
                    call.program, config.path));
}

// A token that could not be handed over is none.
Result<JoinToken> make(const Invocation& call, const DispatcherConfig& config, std::int64_t now) {
    TRY(const JoinTerms terms, terms_of(call));
    const std::string out = call.text("--out");
    if (call.has("--out") && (out.empty() || file_exists(out)))
        return fail(Errc::exists, fmt::format("--out: {} is there already", printable(out)));
    const JoinTokens tokens(config);
    TRY(JoinToken token, tokens.create(terms, now));
    if (!call.has("--out")) return token;
    if (const auto written = create_file_atomic(out, token.text() + "\n", 0600); !written) {
        (void)tokens.discard(token.kid);
        return written.error();
    }
    return token;
}

int create(const Invocation& call, const DispatcherConfig& config) {
    const auto token = make(call, config, now_seconds());
    if (!token) return report(call, token.error());
    const auto record = JoinTokens(config).find(token->kid);
    if (!record) return report(call, record.error());
    warn_unheard(call, config);
    const std::string out = call.text("--out");
    if (call.has("--json")) {
        json::Object result = public_json(*record);
        result.insert(result.begin(), {"ok", 1});
        if (out.empty()) {
            result.push_back({"token", token->text()});
        } else {
            result.push_back({"file", out});
        }
        print_out(json::dump(json::Value(std::move(result))) + "\n");
    } else if (out.empty() && ::isatty(STDOUT_FILENO) == 0) {
        print_out(token->text() + "\n");  // for $(…) and pipes
    } else {
        const std::string file = out.empty() ? "FILE" : out;
        print_out(
            fmt::format("{}.\n{}On the agent, with {}, readable by root alone:\n  {}\n"
                        "The token {} and is stored nowhere else.\n",
                        description(*record), out.empty() ? fmt::format("\n  {}\n\n", token->text()) : "",
                        out.empty() ? "that line in FILE" : "a copy of " + out,
                        agent_command(config, "--join-token-file " + file),
                        out.empty() ? "is shown this once" : fmt::format("is in {}", out)));
    }
    return 0;
}

int list(const Invocation& call, const DispatcherConfig& config) {
    const auto listing = JoinTokens(config).list();
    if (!listing) return report(call, listing.error());
    const std::int64_t now = now_seconds();
    json::Array tokens;
    std::vector<std::vector<std::string>> rows;
    for (const auto& token : listing->tokens) {
        json::Object object = public_json(token);
        object.push_back({"used", token.used});
        object.push_back({"state", token.state(now)});
        tokens.emplace_back(std::move(object));
        rows.push_back({token.kid, iso8601(token.created), iso8601(token.expires),
                        fmt::format("{}/{}", token.used, token.terms.uses), token.terms.hosts,
                        token.terms.from, tags_text(token.terms.tags), std::string(token.state(now))});
    }
    if (call.has("--json")) {
        const int ok = listing->problems.empty() ? 1 : 0;
        print_out(json::dump(json::Object{{"ok", ok}, {"tokens", std::move(tokens)}}) + "\n");
    } else {
        print_out(
            format_table({"KID", "CREATED", "EXPIRES", "USED", "HOSTS", "FROM", "TAGS", "STATE"}, rows));
    }
    for (const auto& problem : listing->problems)
        print_error_line(fmt::format("{}: {}", call.program, problem));
    return listing->problems.empty() ? 0 : 1;
}

int revoke(const Invocation& call, const DispatcherConfig& config) {
    const std::string& kid = call.operands[1];
    const auto done = JoinTokens(config).revoke(kid, now_seconds());
    if (!done) return report(call, done.error());
    if (call.has("--json")) {
        print_out(json::dump(json::Object{{"ok", 1}, {"kid", kid}}) + "\n");
    } else {
        print_out(fmt::format("{}: {}. Agents that joined with it stay.\n",
                              *done ? "Revoked" : "Was revoked already", kid));
    }
    return 0;
}

Result<void> check_words(const Invocation& call) {
    const std::string& word = call.operands[0];
    if (word != "create" && word != "list" && word != "revoke") {
        const auto close = did_you_mean(word, {"create", "list", "revoke"});
        return fail(Errc::usage,
                    fmt::format("unknown argument '{}' of join-token; {}", printable(word.substr(0, 60)),
                                close.empty() ? "there are create, list and revoke"
                                              : fmt::format("did you mean '{}'?", close)));
    }
    if (word == "revoke" && call.operands.size() == 1)
        return fail(Errc::usage, "'join-token revoke' needs KID");
    if (word != "revoke" && call.operands.size() > 1)
        return fail(Errc::usage, fmt::format("unexpected argument '{}'", printable(call.operands[1])));
    for (const auto option : create_only) {
        if (word != "create" && call.has(option))
            return fail(Errc::usage, fmt::format("{} is an option of join-token create", option));
    }
    return success();
}

}  // namespace

int dispatcher_join_token(const Invocation& call) {
    if (const auto usable = check_words(call); !usable) return report(call, usable.error());
    const auto config = open_dispatcher(call);
    if (!config) return report(call, config.error());
    const std::string& word = call.operands[0];
    if (word == "create") return create(call, *config);
    return word == "list" ? list(call, *config) : revoke(call, *config);
}

}  // namespace ctrlexec
