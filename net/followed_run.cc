#include "net/followed_run.h"

#include <memory>
#include <utility>

#include "net/live_output.h"

namespace ctrlexec {
namespace {

constexpr std::chrono::seconds heartbeat{10};

struct FollowedRun {
    explicit FollowedRun(AgentHost& agent) : host(agent), live(agent.runtime().io().get_executor()) {}
    AgentHost& host;
    LiveOutput live;
    std::string result;  // once live has ended
};

asio::awaitable<void> carry_on(std::shared_ptr<FollowedRun> run, SpawnPlan plan, std::string input,
                               ChildLimits limits, ChildEvents events,
                               std::function<std::string(Result<ChildOutcome>)> result) {
    auto outcome = co_await run_child(std::move(plan), std::move(input), limits, &run->host.children(),
                                      std::move(events));
    run->result = result(std::move(outcome));
    run->live.end();
}

std::string lines_of(const std::vector<OutputPiece>& pieces) {
    std::string lines;
    for (const auto& piece : pieces) lines += piece.to_line();
    return lines;
}

// To its end also when nobody takes it any more: the session counts as busy while the script runs.
asio::awaitable<Result<void>> stream_run(std::shared_ptr<FollowedRun> run,
                                         std::shared_ptr<BodyWriter> writer) {
    Result<void> sent;
    for (;;) {
        const bool awake = co_await run->live.wait(heartbeat);
        const bool over = run->live.ended();
        std::string lines = lines_of(run->live.take());
        if (!awake) lines = "{\"heartbeat\":true}\n";
        if (over) lines += "{\"result\":" + run->result + "}\n";
        if (sent) sent = co_await writer->write(std::move(lines));
        if (over) co_return std::move(sent);
    }
}

}  // namespace

HttpAnswer follow_run(AgentHost& host, SpawnPlan plan, std::string input, ChildLimits limits,
                      ChildEvents events, std::function<std::string(Result<ChildOutcome>)> result) {
    const auto run = std::make_shared<FollowedRun>(host);
    events.on_output = [run](OutputStream stream, std::string_view bytes) { run->live.add(stream, bytes); };
    host.runtime().spawn(
        carry_on(run, std::move(plan), std::move(input), limits, std::move(events), std::move(result)));
    HttpAnswer answer;
    answer.headers.emplace_back("Content-Type", "application/x-ndjson");
    answer.stream = [run](std::shared_ptr<BodyWriter> writer) { return stream_run(run, std::move(writer)); };
    return answer;
}

}  // namespace ctrlexec
