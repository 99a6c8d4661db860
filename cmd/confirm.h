// Questions that an operator answers with yes or no.
#pragma once

#include <string>

namespace ctrlexec {

// Asks on stderr, reads a line of stdin. False for anything but an answer that begins with y.
bool confirmed(const std::string& question);

// Whether there is somebody to see the question and to answer it.
bool has_operator();

}  // namespace ctrlexec
