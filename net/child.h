// Running a child process to its end on the loop: the asynchronous half of core/spawn.
#pragma once

#include <asio/awaitable.hpp>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "core/result.h"
#include "core/spawn.h"

namespace ctrlexec {

class ChildRun;
class RunningChildren;

enum class OutputStream : std::uint8_t { output, error };

struct ChildLimits {
    std::chrono::milliseconds input_timeout{10'000};  // then stdin is closed although not all was read
    std::chrono::milliseconds run_timeout{0};         // 0: none; then TERM to the group, grace, KILL
    std::chrono::milliseconds kill_grace{2'000};
    std::size_t output_limit = 1u << 20;  // bytes kept per stream, see core/bounded_output; all is read
};

// All of them may be empty, and run on the loop.
struct ChildEvents {
    std::function<void(std::shared_ptr<ChildRun>)> on_start;
    std::function<void(OutputStream, std::string_view)> on_output;  // as it is read, also past the limit
    // Once, when the child is not over after `slow_after`.
    std::function<asio::awaitable<void>()> on_slow;
    std::chrono::milliseconds slow_after{500};
};

struct ChildOutcome {
    int exit_status = 0;  // 0-255, meaningful when signal == 0
    int signal = 0;       // the signal that ended it, or 0
    std::string output;   // stdout
    std::string error;    // stderr
    bool output_truncated = false;
    bool error_truncated = false;
    std::uint64_t output_bytes = 0;  // all that it wrote
    std::uint64_t error_bytes = 0;
    bool timed_out = false;        // run_timeout passed, and so it was ended
    bool cancelled = false;        // ended by ChildRun::cancel()
    bool input_timed_out = false;  // input_timeout passed while the child had not read its input
};

// Starts `plan`, feeds it `input` and then EOF, and collects its output. stdin, stdout and stderr are pumped
// at the same time, so no order of reading and writing in the child can block it. A child that exits or
// closes stdin without reading is no error (EPIPE is ignored). After the child itself has exited, what a
// grandchild still holds open is read for 250 ms at most. The process group gets KILL while the zombie still
// pins its id, then the child is reaped. When the caller is destroyed (loop shutdown) the group is killed
// too. When it is cancelled the group gets TERM, grace, KILL, and the result is Errc::cancelled. A child that
// not even KILL ends, since it hangs in the kernel, is given up on after 5 s (signal == SIGKILL) and reaped
// whenever it ends.
// While it runs it is listed in `children` (which may be null and must outlive it).
asio::awaitable<Result<ChildOutcome>> run_child(SpawnPlan plan, std::string input, ChildLimits limits,
                                                RunningChildren* children = nullptr, ChildEvents events = {});

}  // namespace ctrlexec
