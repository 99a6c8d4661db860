// Where a run is under way, as far as this machine knows.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/result.h"
#include "core/target.h"

namespace ctrlexec {

struct RunWhereabouts {
    std::string script;             // "" when nothing is known
    std::vector<Target> pending;    // where there is no result yet
    std::vector<std::string> done;  // hosts of a run in the background that have one
};

// A run in the background, by its record; or one whose results somebody here waits for, by its locks. Nothing
// of both is no error.
Result<RunWhereabouts> find_whereabouts(const std::string& runs_directory, const std::string& locks_directory,
                                        std::string_view reqid);

}  // namespace ctrlexec
