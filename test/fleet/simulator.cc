#include "test/fleet/simulator.h"

#include <fmt/format.h>

#include <array>
#include <asio/redirect_error.hpp>
#include <asio/use_awaitable.hpp>
#include <csignal>

#include "core/file.h"
#include "core/identity.h"
#include "core/protocol.h"
#include "core/run_request.h"
#include "net/tls_stream.h"

namespace ctrlexec::fleet {
namespace {

constexpr std::size_t max_connections = 100'000;
constexpr std::size_t max_identity_bytes = 64 * 1024;
constexpr std::chrono::seconds drain_time{3};

// Not in coroutines: g++ 12 miscompiles initializer lists there.
HttpAnswer canned_answer(const std::string& body, int exit) {
    const auto request = RunRequest::parse(body);
    if (!request) return error_answer(request.error());
    return json_answer(200, json::Object{{"script", request->script},
                                         {"exit", exit},
                                         {"stdout", ""},
                                         {"stderr", ""},
                                         {"reqid", echo(request->reqid)}});
}

// The template's snapshot as that agent's own.
Result<std::shared_ptr<const AgentSnapshot>> snapshot_of(const AgentSnapshot& base, const std::string& name,
                                                         const std::string& authority,
                                                         const std::string& path) {
    TRY(const std::string pem, read_file(path, max_identity_bytes));
    const std::size_t second = pem.find("-----BEGIN CERTIFICATE-----");
    if (second == std::string::npos) return fail(Errc::config, path + ": no certificate");
    TRY(PrivateKey key, PrivateKey::from_pem(pem.substr(0, second), path));
    TRY(Certificate certificate, Certificate::from_pem(pem.substr(second), path));
    TRY(Certificate trusted, Certificate::from_pem(authority, path));
    const Identity identity{std::move(certificate), std::move(key), std::move(trusted)};
    auto snapshot = std::make_shared<AgentSnapshot>(base);
    TRY(snapshot->tls, TlsContext::create_agent(identity));
    snapshot->config.hostname = name;
    snapshot->certificate_serial = identity.certificate.serial();
    snapshot->certificate_expiry = identity.certificate.expiry_text();
    return std::shared_ptr<const AgentSnapshot>(std::move(snapshot));
}

asio::awaitable<void> say_nothing(asio::ip::tcp::socket socket) {
    std::array<char, 512> buffer{};
    std::error_code error;
    while (!error) {
        co_await socket.async_read_some(asio::buffer(buffer),
                                        asio::redirect_error(asio::use_awaitable, error));
    }
}

}  // namespace

Simulator::Simulator(Runtime& runtime, SimulatorOptions options)
    : runtime_(runtime), options_(std::move(options)), quit_(runtime.io(), SIGTERM, SIGINT) {}

Result<std::unique_ptr<Simulator>> Simulator::create(Runtime& runtime, SimulatorOptions options) {
    std::unique_ptr<Simulator> simulator(new Simulator(runtime, std::move(options)));
    const std::string& directory = simulator->options_.directory;
    TRY(const Plan plan, Plan::load(directory));
    if (simulator->options_.share >= plan.ports.size()) {
        return fail(Errc::usage, fmt::format("--share: there are {} ports", plan.ports.size()));
    }
    TRY_DO(simulator->load(plan));
    simulator->jobs_ =
        std::make_unique<AgentJobs>(runtime, fmt::format("{}/jobs-{}", directory, simulator->options_.share));
    TRY(simulator->listener_, Listener::open(runtime, "0.0.0.0", plan.ports[simulator->options_.share]));
    return simulator;
}

Result<void> Simulator::load(const Plan& plan) {
    const std::string base = options_.directory + "/template/";
    TRY(const auto common, AgentSnapshot::load(base + "agent.conf", ""));
    AgentSnapshot healthy(*common);
    healthy.config.settings.clear();  // only `config show` wants them, and ten thousand times they are much
    AgentSnapshot failing(healthy);
    TRY(failing.allowlist, Allowlist::load(base + "scripts-failing.conf"));
    TRY(const std::string authority, read_file(base + "ca.crt", max_identity_bytes));
    const std::vector<Conduct> conduct = plan.conduct();
    agents_.resize(conduct.size());
    for (std::size_t i = options_.share; i < conduct.size(); i += plan.ports.size()) {
        Agent& agent = agents_[i];
        agent.conduct = conduct[i];
        if (agent.conduct == Conduct::dead) continue;
        const std::string name = plan.name_of(i);
        TRY(agent.snapshot,
            snapshot_of(agent.conduct == Conduct::failing ? failing : healthy, name, authority,
                        fmt::format("{}/identities/{}.pem", options_.directory, name)));
        ++count_;
    }
    return success();
}

Result<void> Simulator::reread(AgentPart) {
    return fail(Errc::denied, "a simulated agent does not change");
}

asio::awaitable<void> Simulator::pause(std::chrono::milliseconds time) {
    if (time.count() == 0) co_return;
    asio::steady_timer timer(runtime_.io(), time);
    std::error_code ignored;
    co_await timer.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
}

asio::awaitable<int> Simulator::serve() {
    std::function<asio::awaitable<void>(asio::ip::tcp::socket, std::string)> start =
        [this](asio::ip::tcp::socket socket, std::string peer) {
            return connection(std::move(socket), std::move(peer));
        };
    runtime_.spawn(listener_->accept_loop(max_connections, std::move(start)));
    std::error_code ignored;
    co_await quit_.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
    listener_->stop();
    listener_->close_sessions();  // those that stall would never end
    children_.terminate_all(drain_time);
    (void)co_await listener_->drain(drain_time);
    co_return 0;
}

const Simulator::Agent* Simulator::agent_of(const asio::ip::tcp::socket& socket) const {
    std::error_code error;
    const auto local = socket.local_endpoint(error);
    if (error || !local.address().is_v4()) return nullptr;
    const std::size_t number = Plan::agent_at(local.address().to_v4().to_uint());
    if (number >= agents_.size() || !agents_[number].snapshot) return nullptr;
    return &agents_[number];
}

asio::awaitable<void> Simulator::connection(asio::ip::tcp::socket socket, std::string peer_ip) {
    const Agent* agent = agent_of(socket);
    if (agent == nullptr) co_return;
    if (agent->conduct == Conduct::silent) co_return co_await say_nothing(std::move(socket));
    co_await pause(options_.connect_latency);
    co_await session(*agent, std::move(socket), std::move(peer_ip));
}

// As AgentServer::session, without its gates against strangers.
asio::awaitable<void> Simulator::session(const Agent& agent, asio::ip::tcp::socket socket,
                                         std::string peer_ip) {
    auto tls = std::make_unique<TlsStream>(std::move(socket), agent.snapshot->tls);
    const TlsStream* secured = tls.get();
    HttpLimits limits;
    HttpSession session(listener_, std::move(tls), std::move(peer_ip), limits);
    if (const auto shaken = co_await session.handshake(); !shaken) co_return;
    const auto certificate = secured->peer_certificate();
    AgentPeer peer;
    peer.ip = session.peer_ip();
    if (certificate) peer.serial = certificate->serial();
    for (bool keep = true; keep;) {
        auto request = co_await session.read_request();
        if (!request) break;
        if (agent.conduct == Conduct::stalled) {
            // Until the peer has had enough, or a last one of its own.
            (void)co_await session.read_request();
            co_return;
        }
        const bool ours = request->has_header(protocol_header_lower);
        keep = request->keep_alive && ours && !listener_->stopping();
        AgentPeer asking = peer;
        HttpAnswer answered = co_await answer(agent, std::move(asking), std::move(*request));
        const bool recent = keep || answered.stream != nullptr;
        if (const auto sent = co_await session.answer(std::move(answered), keep, recent ? 1 : 0); !sent)
            co_return;
    }
    co_await session.goodbye();
}

asio::awaitable<HttpAnswer> Simulator::answer(const Agent& agent, AgentPeer peer, HttpMessage request) {
    const bool trusted = agent.snapshot->dispatcher_of(peer.serial) != nullptr;
    co_await pause(options_.latency);
    if (options_.canned && trusted && request.target == "/run")
        co_return canned_answer(request.body, agent.conduct == Conduct::failing ? 1 : 0);
    co_return co_await answer_request(agent.snapshot, std::move(peer), std::move(request), *this);
}

}  // namespace ctrlexec::fleet
