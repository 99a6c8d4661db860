#include "net/tag_records.h"

#include "core/log.h"
#include "core/tag_cache.h"
#include "core/timestamp.h"
#include "net/offload.h"

namespace ctrlexec {
namespace {

void log_failure(const Error& why) {
    log_event(LogLevel::error, "tag-store-fail", {{"ERROR", why.text()}});
}

}  // namespace

DiscoveredTags::DiscoveredTags(const std::vector<Target>& targets) {
    for (const auto& target : targets) {
        if (target.port == 0) at_own_port_.insert(target.host);
    }
}

bool DiscoveredTags::add(const DiscoveryResult& result) {
    if (!result.ok() || !at_own_port_.contains(result.host)) return false;
    found[result.host] = tags_of(result.answer);
    return true;
}

asio::awaitable<Result<void>> keep_tags(Runtime& runtime, const DispatcherConfig& config,
                                        DiscoveredTags tags) {
    if (tags.found.empty()) co_return success();
    std::function<Result<bool>()> work = [store = TagStore(config),
                                          found = std::move(tags.found)]() -> Result<bool> {
        TRY_DO(store.update(found, now_seconds()));
        return true;
    };
    const auto kept = co_await offload<bool>(runtime.pool(), file_timeout, std::move(work));
    if (kept) co_return success();
    log_failure(kept.error());
    co_return kept.error();
}

}  // namespace ctrlexec
