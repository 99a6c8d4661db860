// dispatchers.json and ctrl-exec-serial: the dispatchers that an agent obeys, by their certificates' serials.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/file.h"
#include "core/json.h"
#include "core/result.h"

namespace ctrlexec {

struct TrustedSerial {
    std::string serial;                 // normal form (core/serial.h)
    std::string added;                  // ISO 8601, "" when not known
    std::optional<std::int64_t> until;  // from then on (epoch seconds) it is not trusted any more
};

struct TrustedDispatcher {
    std::string id;
    std::string paired;                  // ISO 8601, "" when not known
    std::vector<TrustedSerial> serials;  // the newest last

    bool holds(std::string_view serial) const;
};

// What a dispatcher announces of its own serials.
struct SerialRotation {
    std::string serial;                 // the new one
    std::string id;                     // its dispatcher id, "" when it told none
    std::optional<std::int64_t> until;  // for its other serials; without it the newest two are kept
    std::vector<std::string> retire;    // of its own serials, at once

    // The body of POST /rotate-serial. Errc::bad_request.
    static Result<SerialRotation> from_json(const json::Value& body);
};

inline constexpr std::size_t max_trusted_dispatchers = 16;
inline constexpr std::size_t max_trusted_serials = 4;  // of one dispatcher
inline constexpr std::string_view legacy_dispatcher = "legacy";

// 1 to 64 letters, digits, '.', '_' and '-'.
bool is_valid_dispatcher_id(std::string_view id);

// `serial_path` is that of ctrl-exec-serial; dispatchers.json lies beside it. What is written there later by
// somebody else counts as it did when that file was the only one: nothing in it trusts nobody, and a serial
// that dispatchers.json does not know takes the place of the dispatcher that it named before.
class TrustedDispatchers {
  public:
    // Errc::config when one of the files holds something else, with the remedy.
    static Result<TrustedDispatchers> load(const std::string& serial_path);
    static std::string path_beside(const std::string& serial_path);

    const std::vector<TrustedDispatcher>& all() const { return dispatchers_; }  // the last changed is last
    bool empty() const { return dispatchers_.empty(); }
    // ctrl-exec-serial is empty or missing, and so nobody is trusted although dispatchers.json names some.
    bool emptied() const { return emptied_; }
    // Whose serial it is and still counts at `now`; null when nobody's.
    const TrustedDispatcher* find(std::string_view serial, std::int64_t now) const;
    // The one that ctrl-exec-serial names, "" for none.
    std::string newest() const;

    // Pairing: the dispatcher gets `serial` in place of all it had ("": it is not trusted any more). One
    // without an id of its own also takes the place of those that were known without one. Errc::busy when
    // there are too many.
    Result<void> pair(const std::string& id, const std::string& serial, std::int64_t now);
    // `asking` is a serial of the dispatcher that announces. Errc::denied when `rotation` names one of
    // another dispatcher. The serials announced and asking stay, unless the latter is to retire.
    Result<void> rotate(const std::string& asking, const SerialRotation& rotation, std::int64_t now);
    bool remove(std::string_view id);
    void clear() { dispatchers_.clear(); }

    // Both files. A kill between the two leaves them as if both had been written.
    Result<void> stage(FileSet& files, const std::string& serial_path) const;
    Result<void> store(const std::string& serial_path) const;

  private:
    Result<void> read(const json::Value& document);
    void take_foreign(const std::string& serial);
    std::vector<TrustedDispatcher> dispatchers_;
    std::string named_;  // what ctrl-exec-serial held when it was read
    bool emptied_ = false;
};

}  // namespace ctrlexec
