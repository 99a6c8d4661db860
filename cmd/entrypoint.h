// What the two roles of a container's first start have in common.
#pragma once

#include <sys/types.h>

#include <string>
#include <string_view>

#include "cmd/applet.h"
#include "core/result.h"

namespace ctrlexec {

struct Entrypoint {
    std::string config;     // path of the configuration file
    std::string state_dir;  // "" for the default
    bool configure_only = false;
};

int start_dispatcher(const Entrypoint& start);
int start_agent(const Entrypoint& start);

// "[entrypoint] TEXT" on stdout, at once: `docker logs` shows it while we wait.
void say(std::string_view text);

// "[entrypoint] ERROR: …" on stderr; returns the error's exit code.
int report_start(const Error& error);

std::string environment_variable(const char* name);  // "" when it is not set

// The directory of a configuration file must be there: a volume that is not mounted would lose what is
// written.
Result<void> check_directory_of(const std::string& config);

// Makes a file that is not there, under a lock, so that what a killed start left can be removed; what is
// there in any form is kept. `begin` is called once it is certain that the file is made. True when it was.
Result<bool> create_missing(const std::string& path, std::string_view text, mode_t mode, void (*begin)());

}  // namespace ctrlexec
