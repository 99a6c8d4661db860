// The runs that are under way in this agent while their callers wait: whose they are, so that they can be
// cancelled, and how many.
#pragma once

#include <cstddef>
#include <memory>
#include <set>
#include <string>
#include <string_view>

#include "net/child_run.h"

namespace ctrlexec {

class RunTable {
  public:
    // One run's place, from its admission to its end.
    class Entry {
      public:
        Entry(RunTable& table, std::string dispatcher, std::string reqid, std::string script);
        ~Entry();
        Entry(const Entry&) = delete;
        Entry& operator=(const Entry&) = delete;

        // Its process; one that has been cancelled meanwhile ends at once.
        void started(const std::shared_ptr<ChildRun>& child);
        void cancel();
        bool cancelled() const { return cancelled_; }

      private:
        friend class RunTable;
        RunTable& table_;
        std::string dispatcher_;
        std::string reqid_;
        std::string script_;
        std::weak_ptr<ChildRun> child_;
        bool cancelled_ = false;
    };

    RunTable() = default;
    RunTable(const RunTable&) = delete;
    RunTable& operator=(const RunTable&) = delete;

    // The table must outlive it.
    std::shared_ptr<Entry> enter(std::string dispatcher, std::string reqid, std::string script);

    std::size_t size() const { return entries_.size(); }
    std::size_t count(std::string_view script) const;

    // TERM, grace, KILL for each run of that id that this dispatcher has asked for; how many those are.
    std::size_t cancel(std::string_view dispatcher, std::string_view reqid);

  private:
    std::set<Entry*> entries_;
};

}  // namespace ctrlexec
