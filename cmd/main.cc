// One binary, every role: see cmd/applets.cc for the table.
#include <fcntl.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <string>
#include <string_view>
#include <vector>

#include "cmd/command_line.h"
#include "cmd/init_process.h"
#include "cmd/print.h"
#include "net/job_supervisor.h"

// In place of the library's own, which prints the exception's type, for which it brings along a demangler of
// 49 KB. Nothing gets here but an exception that leaves a destructor or the like.
namespace __gnu_cxx {
void __verbose_terminate_handler() {
    constexpr std::string_view text = "ctrl-exec: terminated by an exception that nobody has caught\n";
    (void)!::write(STDERR_FILENO, text.data(), text.size());
    std::abort();
}
}  // namespace __gnu_cxx

namespace {

// A token on the command line must not stay in the process list.
void hide_token(int argc, char** argv) {
    constexpr std::string_view option = "--token";
    for (int i = 1; i < argc; ++i) {
        const std::string_view word = argv[i];
        if (word == "--") return;
        if (word == option && i + 1 < argc) {
            ++i;
            std::memset(argv[i], '*', std::strlen(argv[i]));
        } else if (word.substr(0, option.size() + 1) == "--token=") {
            std::memset(argv[i] + option.size() + 1, '*', word.size() - option.size() - 1);
        }
    }
}

// A descriptor that is closed now would become our next file or socket, and output would go into it.
// Read-only, so that writing still fails and the exit code says so.
void occupy_standard_descriptors() {
    for (int fd = 0; fd <= 2; ++fd) {
        if (::fcntl(fd, F_GETFD) < 0) (void)::open("/dev/null", O_RDONLY);
    }
}

int execute(const std::vector<std::string>& arguments) {
    using namespace ctrlexec;
    try {
        // Not in the table of verbs: only the agent calls us so.
        if (arguments.size() == 2 && arguments[0] == job_supervisor_name) return supervise_job(arguments[1]);
        const auto command = parse_command_line(arguments);
        if (!command) {
            print_error_line(command.error().message);
            return info(command.error().code).exit_code;
        }
        if (command->applet == nullptr) {
            print_out(command->text);
            return finish_output(0);
        }
        return finish_output(command->applet->run(command->call));
    } catch (const std::exception& failure) {
        std::fprintf(stderr, "ctrl-exec: internal error: %s\n", failure.what());
        return 1;
    }
}

}  // namespace

int main(int argc, char** argv) {
    using namespace ctrlexec;
    occupy_standard_descriptors();
    std::signal(SIGXFSZ,
                SIG_IGN);  // a file that may not grow is an error of write(2), with words and a clean-up
    const std::vector<std::string> arguments(argv, argv + argc);
    hide_token(argc, argv);
    return run_with_init([&arguments] { return execute(arguments); });
}
