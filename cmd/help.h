// Help texts, made of the applet table.
#pragma once

#include <string>
#include <string_view>

#include "cmd/applet.h"

namespace ctrlexec {

std::string overview();                                        // all roles
std::string overview_of(Role role, std::string_view program);  // one role
std::string help_for(const Applet& applet, std::string_view program);
std::string link_names();  // one a line

}  // namespace ctrlexec
