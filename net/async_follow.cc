#include <optional>
#include <string_view>

#include "net/async_runs.h"

namespace ctrlexec {
namespace {

constexpr std::chrono::seconds poll{30};  // where there is no stream

// What a stream has brought.
struct Followed {
    std::shared_ptr<WatchedRun> watched;
    std::size_t host = 0;
    std::optional<RunResult> result;
    std::string problem;
    bool any = false;

    void take(std::string_view text) {
        any = true;
        const auto line = FollowLine::parse(text);
        if (!line) {
            problem = line.error().text();
        } else if (line->result) {
            auto parsed = job_result(*line->result);
            if (parsed) result = std::move(*parsed);
            if (!parsed) problem = parsed.error().text();
        } else if (!line->heartbeat()) {
            HostNote& note = watched->notes[host];
            (line->errors ? note.errors_seen : note.output_seen) = line->end();
            if (watched->on_output && !watched->abandoned())
                watched->on_output(watched->run.hosts[host].target.host, *line);
        }
    }
};

}  // namespace

// Until its result is there, the agent ends the stream, or it is unwanted, which is asked when something
// arrives.
asio::awaitable<void> AsyncRuns::follow_one(Watched watched, std::size_t i,
                                            std::function<bool()> unwanted) const {
    const auto followed = std::make_shared<Followed>();
    followed->watched = watched;
    followed->host = i;
    HostNote& note = watched->notes[i];
    AgentQuestion question = follow_question(watched->run.reqid, note.output_seen, note.errors_seen,
                                             std::chrono::seconds(config_.read_timeout));
    question.on_line = [followed](std::string_view text) { followed->take(text); };
    question.unwanted = std::move(unwanted);
    Target target = watched->run.hosts[i].target;
    const auto body = co_await dispatch_->put_question(std::move(target), std::move(question));
    if (watched->abandoned() || watched->run.is_done(i)) co_return;
    if (followed->result) {
        settle(*watched, i, std::move(*followed->result));
    } else if (followed->any) {
        note.problem = body ? followed->problem : body.error().text();
    } else {
        // No stream: the agent does not know the run, or not how to, or cannot be reached.
        const bool cannot = !body && body.error().code == Errc::not_found;
        co_await ask_one(watched, i, cannot ? poll : std::chrono::seconds(0));
    }
}

}  // namespace ctrlexec
