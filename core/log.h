// One event, one line: "ACTION=run EXIT=0 REQID=…": ACTION first, then KEY=value sorted by key, to syslog
// (RFC 3164 over /dev/log, facility daemon) or to stderr. Never blocks: a full syslog queue drops the line.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>

#include "core/config_file.h"
#include "core/errc.h"
#include "core/result.h"

namespace ctrlexec {

enum class LogFallback {
    discard,
    to_stderr
};  // without a syslog socket: commands stay quiet, daemons use stderr

enum class LogFormat { kv, json };

// The key log_format of either configuration; kv when it is not set.
Result<LogFormat> read_log_format(const ConfigFile& file);

// `tag` is the command's name. CTRL_EXEC_LOG overrides where lines go: "stderr", "none", or the path of a
// syslog socket. Call once, before any log_event.
void open_log(std::string tag, LogFallback fallback);

// We are what a container runs: lines of daemons go to stderr, from where the engine takes them, even when
// there is a syslog socket. Call before open_log.
void log_as_container();

// How the lines look from now on; kv until then. Safe at any time, as a reload needs it.
void set_log_format(LogFormat format);

using LogField = std::pair<std::string_view, std::string>;

// Fields with an empty value are left out.
void log_event(LogLevel level, std::string_view action, std::initializer_list<LogField> fields);

// The line as it is logged: values with blanks, quotes, '=' or control characters are quoted, and escaped so
// that no value can forge a second line or field.
std::string format_event(std::string_view action, std::initializer_list<LogField> fields);

// The same fields as one JSON object: "time" (RFC 3339, UTC), "level" and "tag", then ACTION and the others
// in the order of format_event, each value a string. What is not UTF-8 and control characters are shown as
// \xNN.
std::string format_event_json(LogLevel level, std::string_view tag, std::string_view action,
                              std::initializer_list<LogField> fields);

}  // namespace ctrlexec
