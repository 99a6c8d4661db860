// What a process that waits keeps in memory without need.
#pragma once

namespace ctrlexec {

// Gives back what the allocator holds, and lets go of the program's own pages: they are the file's, and the
// few that waiting needs come back by themselves, from the page cache. For a process that is about to wait.
void release_idle_memory();

}  // namespace ctrlexec
