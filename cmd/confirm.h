// Questions that an operator answers with yes or no.
#pragma once

#include <string>

namespace ctrlexec {

// Asks on stderr, reads a line of stdin. False for anything but an answer that begins with y.
bool confirmed(const std::string& question);

// Asks on stdout, a terminal, and takes only what is typed from then on. False as above, and when nothing
// comes within so many seconds.
bool confirmed_on_terminal(const std::string& question, int seconds);

// Whether there is somebody to see the question and to answer it.
bool has_operator();

}  // namespace ctrlexec
