#include "net/run_table.h"

#include <algorithm>
#include <utility>

namespace ctrlexec {

RunTable::Entry::Entry(RunTable& table, std::string dispatcher, std::string reqid, std::string script)
    : table_(table),
      dispatcher_(std::move(dispatcher)),
      reqid_(std::move(reqid)),
      script_(std::move(script)) {
    table_.entries_.insert(this);
}

RunTable::Entry::~Entry() {
    table_.entries_.erase(this);
}

void RunTable::Entry::started(const std::shared_ptr<ChildRun>& child) {
    child_ = child;
    if (cancelled_) child->cancel();
}

void RunTable::Entry::cancel() {
    cancelled_ = true;
    if (const auto child = child_.lock()) child->cancel();
}

std::shared_ptr<RunTable::Entry> RunTable::enter(std::string dispatcher, std::string reqid,
                                                 std::string script) {
    return std::make_shared<Entry>(*this, std::move(dispatcher), std::move(reqid), std::move(script));
}

std::size_t RunTable::count(std::string_view script) const {
    return static_cast<std::size_t>(
        std::ranges::count_if(entries_, [&](const Entry* entry) { return entry->script_ == script; }));
}

std::size_t RunTable::cancel(std::string_view dispatcher, std::string_view reqid) {
    std::size_t cancelled = 0;
    for (Entry* entry : entries_) {
        if (entry->dispatcher_ != dispatcher || entry->reqid_ != reqid) continue;
        entry->cancel();
        ++cancelled;
    }
    return cancelled;
}

}  // namespace ctrlexec
