// The environment that scripts get: a fixed PATH, HOME, LANG and TZ, and nothing else of the agent's own, so
// that no secret and no LD_PRELOAD of whoever started the agent reaches them.
#pragma once

#include <sys/types.h>

#include <string>
#include <string_view>
#include <vector>

namespace ctrlexec {

// "KEY=value" entries for SpawnPlan::environment. HOME is the effective user's, LANG is C.UTF-8 unless the
// agent's own is sane, TZ is left out unless the agent's own is set and sane.
std::vector<std::string> script_environment();

// `variable`, KEY=value, in place of what the environment says of that key.
void set_variable(std::vector<std::string>& environment, std::string variable);

// The home directory of `uid` in the text of a passwd(5) file, "/root" or "/" when it names none. Read by
// ourselves: getpwuid in a static glibc binary loads the NSS libraries of whatever system it runs on.
std::string home_directory(std::string_view passwd, uid_t uid);

// A locale name such as de_DE.UTF-8@euro: libc makes a path of it, so it must not lead anywhere else.
bool is_sane_locale(std::string_view value);

// A POSIX TZ string or a name below the system's zoneinfo: other paths would have libc read any file.
bool is_sane_timezone(std::string_view value);

}  // namespace ctrlexec
