// One event, one line: "ACTION=run EXIT=0 REQID=…": ACTION first, then KEY=value sorted by key, to syslog
// (RFC 3164 over /dev/log, facility daemon) or to stderr. Never blocks: a full syslog queue drops the line.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>

#include "core/errc.h"

namespace ctrlexec {

enum class LogFallback {
    discard,
    to_stderr
};  // without a syslog socket: commands stay quiet, daemons use stderr

// `tag` is the command's name. CTRL_EXEC_LOG overrides where lines go: "stderr", "none", or the path of a
// syslog socket. Call once, before any log_event.
void open_log(std::string tag, LogFallback fallback);

using LogField = std::pair<std::string_view, std::string>;

// Fields with an empty value are left out.
void log_event(LogLevel level, std::string_view action, std::initializer_list<LogField> fields);

// The line as it is logged: values with blanks, quotes, '=' or control characters are quoted, and escaped so
// that no value can forge a second line or field.
std::string format_event(std::string_view action, std::initializer_list<LogField> fields);

}  // namespace ctrlexec
