#include "cmd/passphrase.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <termios.h>
#include <unistd.h>

#include <cerrno>

#include "core/file.h"
#include "core/key_encryption.h"
#include "core/unique_fd.h"

namespace ctrlexec {
namespace {

constexpr char control_c = '\x03';

// One line, without its end. Errc::too_large when it is longer than a passphrase may be.
Result<std::string> read_line(int fd) {
    std::string line;
    for (;;) {
        char c = 0;
        const ssize_t n = ::read(fd, &c, 1);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return errno_error("read", "the passphrase", errno);
        if (n == 0 || c == '\n') return line;
        line += c;
        if (line.size() > max_passphrase)
            return fail(Errc::too_large,
                        fmt::format("the passphrase is longer than {} bytes", max_passphrase));
    }
}

// The terminal neither shows what is typed nor turns control-C into a signal, which would leave it so.
class Unseen {
  public:
    explicit Unseen(int fd) : fd_(fd) {
        if (::tcgetattr(fd, &before_) != 0) return;
        termios now = before_;
        now.c_lflag &= ~static_cast<tcflag_t>(ECHO | ISIG);
        changed_ = ::tcsetattr(fd, TCSAFLUSH, &now) == 0;
    }
    Unseen(const Unseen&) = delete;
    Unseen& operator=(const Unseen&) = delete;
    ~Unseen() {
        if (changed_) ::tcsetattr(fd_, TCSAFLUSH, &before_);
    }
    bool works() const { return changed_; }

  private:
    int fd_;
    bool changed_ = false;
    termios before_{};
};

Result<std::string> ask(int terminal, std::string_view prompt) {
    const auto say = [terminal](std::string_view text) {
        return ::write(terminal, text.data(), text.size()) > 0;
    };
    const Unseen unseen(terminal);
    if (!unseen.works() || !say(prompt)) return fail(Errc::io, "the terminal cannot hide what is typed");
    auto line = read_line(terminal);
    (void)say("\n");
    if (line && line->find(control_c) != std::string::npos)
        return fail(Errc::cancelled, "nothing was changed");
    return line;
}

Result<std::string> typed(PassphraseUse use) {
    const UniqueFd terminal(::open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY));
    if (!terminal)
        return fail(Errc::usage, "no terminal to type the passphrase on; use --passphrase-file FILE");
    TRY(std::string passphrase, ask(terminal.get(), "Passphrase: "));
    if (use == PassphraseUse::open) return passphrase;
    TRY(const std::string again, ask(terminal.get(), "Once more: "));
    if (again != passphrase) return fail(Errc::usage, "the two are not the same; nothing was changed");
    return passphrase;
}

Result<std::string> from_file(const std::string& path) {
    if (path == "-") return read_line(STDIN_FILENO);
    TRY(const std::string text, read_file(path, 64 * 1024));
    return text.substr(0, text.find('\n'));
}

}  // namespace

Result<std::string> read_passphrase(const Invocation& call, PassphraseUse use) {
    auto passphrase = call.has("--passphrase-file") ? from_file(call.text("--passphrase-file")) : typed(use);
    if (!passphrase) return passphrase;
    if (!passphrase->empty() && passphrase->back() == '\r') passphrase->pop_back();
    const std::size_t least = use == PassphraseUse::make ? min_passphrase : 1;
    if (passphrase->size() < least || passphrase->size() > max_passphrase) {
        return fail(Errc::usage, fmt::format("a passphrase has {} to {} bytes", least, max_passphrase));
    }
    return passphrase;
}

}  // namespace ctrlexec
