#include "core/log.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <initializer_list>
#include <random>
#include <regex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/unique_fd.h"
#include "core/utf8.h"
#include "test/temp_dir.h"

using namespace ctrlexec;
using namespace ctrlexec::testing;
using namespace std::string_literals;

namespace {

// A syslog daemon's socket.
class Syslog {
  public:
    explicit Syslog(const std::string& path) : fd_(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)) {
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        path.copy(address.sun_path, sizeof address.sun_path - 1);
        ::unlink(path.c_str());
        REQUIRE(::bind(fd_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
    }
    // The next datagram, "" when there is none: it is there as soon as send(2) has returned.
    std::string next() const {
        char buffer[65536];
        const ssize_t size = ::recv(fd_.get(), buffer, sizeof buffer, MSG_DONTWAIT);
        return {buffer, static_cast<std::size_t>(size < 0 ? 0 : size)};
    }

  private:
    UniqueFd fd_;
};

// Opens the log as a command does, and silences it afterwards.
class LogTo {
  public:
    explicit LogTo(const std::string& wish, LogFallback fallback = LogFallback::discard) {
        ::setenv("CTRL_EXEC_LOG", wish.c_str(), 1);
        open_log("ctrl-exec-test", fallback);
    }
    LogTo(const LogTo&) = delete;
    LogTo& operator=(const LogTo&) = delete;
    ~LogTo() {
        ::setenv("CTRL_EXEC_LOG", "none", 1);
        open_log("ctrl-exec", LogFallback::discard);
        ::unsetenv("CTRL_EXEC_LOG");
    }
};

// What `body` writes to stderr, in a process of its own.
template <typename Body>
std::string stderr_of(const Body& body) {
    const TempDir dir;
    const std::string path = dir.put("stderr", "");
    CHECK(in_process([&] {
              const UniqueFd fd(::open(path.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC));
              if (::dup2(fd.get(), STDERR_FILENO) < 0) return 1;
              body();
              return 0;
          }) == 0);
    return dir.content("stderr");
}

using Fields = std::vector<std::pair<std::string, std::string>>;

// Reads a line as a log analyser would: KEY=value or KEY="va\"lue", one blank in between. Fails on anything
// else.
Fields analysed(const std::string& line) {
    Fields fields;
    std::size_t at = 0;
    while (at < line.size()) {
        const auto equals = line.find('=', at);
        REQUIRE_MESSAGE(equals != std::string::npos, line);
        const std::string key = line.substr(at, equals - at);
        std::string value;
        at = equals + 1;
        if (at < line.size() && line[at] == '"') {
            for (++at; line.at(at) != '"'; ++at) {
                if (line[at] == '\\') ++at;
                value += line.at(at);
            }
            ++at;
        } else {
            while (at < line.size() && line[at] != ' ') value += line[at++];
        }
        fields.emplace_back(key, value);
        if (at == line.size()) break;
        REQUIRE_MESSAGE(line[at] == ' ', line);
        ++at;
    }
    return fields;
}

}  // namespace

TEST_CASE("an event is its action, then its fields sorted by key, empty ones left out") {
    CHECK(format_event("start", {}) == "ACTION=start");
    CHECK(format_event("run", {{"SCRIPT", "deploy"}, {"EXIT", "0"}, {"REQID", "63b9"}, {"ERROR", ""}}) ==
          "ACTION=run EXIT=0 REQID=63b9 SCRIPT=deploy");
}

TEST_CASE("as JSON an event has the same fields in the same order") {
    const std::string line =
        format_event_json(LogLevel::notice, "ctrl-exec-agent", "run",
                          {{"SCRIPT", "two words"}, {"EXIT", "0"}, {"ERROR", ""}, {"A", "\"\n\xff"}});
    const std::regex form(R"re(\{"time":"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ",(.*)\})re");
    std::smatch parts;
    REQUIRE(std::regex_match(line, parts, form));
    CHECK(parts[1] == R"re("level":"notice","tag":"ctrl-exec-agent","ACTION":"run",)re"
                      R"re("A":"\"\\x0a\\xff","EXIT":"0","SCRIPT":"two words")re");
}

TEST_CASE("the format can be changed at any time") {
    const std::string text = stderr_of([] {
        const LogTo log("stderr");
        log_event(LogLevel::info, "one", {});
        set_log_format(LogFormat::json);
        log_event(LogLevel::error, "two", {{"K", "v"}});
        set_log_format(LogFormat::kv);
        log_event(LogLevel::info, "three", {});
    });
    CHECK(std::regex_match(
        text, std::regex("ACTION=one\n\\{.*\"level\":\"error\",\"tag\":\"ctrl-exec-test\",\"ACTION\":"
                         "\"two\",\"K\":\"v\"\\}\nACTION=three\n")));
}

TEST_CASE("what a container runs logs to stderr although there is a syslog socket, unless told otherwise") {
    const TempDir dir;
    const Syslog syslog(dir / "log");
    CHECK(stderr_of([] {
              log_as_container();
              open_log("ctrl-exec-test", LogFallback::to_stderr);
              log_event(LogLevel::info, "here", {});
              open_log("ctrl-exec-test", LogFallback::discard);
              log_event(LogLevel::info, "a-command", {});
          }) == "ACTION=here\n");
    CHECK(stderr_of([&] {
              log_as_container();
              const LogTo log(dir / "log", LogFallback::to_stderr);
              log_event(LogLevel::info, "there", {});
          }) == "");
    CHECK(mentions(syslog.next(), "ACTION=there"));
}

TEST_CASE("a value is quoted when it could be taken for something else") {
    struct Row {
        std::string value, text;
    };
    const Row rows[] = {
        {"plain", "K=plain"},
        {"/opt/x-y_z.sh:1,2;3'", "K=/opt/x-y_z.sh:1,2;3'"},
        {"é😀", "K=é😀"},
        {"two words", R"(K="two words")"},
        {"a=b", R"(K="a=b")"},
        {"\"", R"(K="\"")"},
        {"back\\slash", R"(K="back\\slash")"},
        {"x\" EVIL=\"1", R"(K="x\" EVIL=\"1")"},
        {"x EXIT=0", R"(K="x EXIT=0")"},
        {"a\nACTION=forged", R"(K="a\\x0aACTION=forged")"},
        {"a\r\n\t\0b"s, R"(K="a\\x0d\\x0a\\x09\\x00b")"},
        {"\x1b[2J\x7f", R"(K="\\x1b[2J\\x7f")"},
        {"\u0085\u009b", R"(K="\\x85\\x9b")"},
        {"\xff\xc3", R"(K="\\xff\\xc3")"},
    };
    for (const auto& row : rows) CHECK(format_event("x", {{"K", row.value}}) == "ACTION=x " + row.text);
}

TEST_CASE("a long value is cut, visibly, and the line stays valid text") {
    for (const std::string& unit : {"x"s, "é"s, "\n"s, "\""s, "\xff"s, "a "s}) {
        std::string value;
        while (value.size() < 1'000'000) value += unit;
        const std::string line = format_event("x", {{"A", value}, {"B", "still here"}});
        CHECK(line.size() < 11'000);
        CHECK(is_utf8(line));
        const Fields fields = analysed(line);
        REQUIRE(fields.size() == 3);
        CHECK(mentions(fields[1].second, "…"));
        CHECK(fields[2].second == "still here");
    }
    const std::string longest(2048, 'x');
    CHECK(format_event("x", {{"A", longest}}) == "ACTION=x A=" + longest);
}

TEST_CASE("no value can forge a second line or field") {
    std::mt19937 random(17);
    const std::string alphabet = "ab =\"\\\n\r\t\0\x1b\x7f\xc2\x85\xff'x;"s;
    for (int i = 0; i < 20'000; ++i) {
        std::string values[2];
        for (auto& value : values) {
            value.resize(1 + random() % 12);
            for (char& c : value) c = alphabet[random() % alphabet.size()];
        }
        const std::string line = format_event("run", {{"ONE", values[0]}, {"TWO", values[1]}});
        REQUIRE(std::none_of(line.begin(), line.end(),
                             [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }));
        const Fields expected{
            {"ACTION", "run"}, {"ONE", printable(values[0])}, {"TWO", printable(values[1])}};
        REQUIRE(analysed(line) == expected);
    }
}

TEST_CASE("a line reaches the syslog socket with priority, date, tag and process") {
    const TempDir dir;
    const Syslog syslog(dir / "log");
    const LogTo log(dir / "log");
    log_event(LogLevel::info, "run", {{"SCRIPT", "two words"}, {"EXIT", "0"}});
    const std::string line = syslog.next();
    const std::regex form(
        "<30>[A-Z][a-z][a-z] [ 123][0-9] [0-2][0-9]:[0-5][0-9]:[0-6][0-9] ctrl-exec-test\\[" +
        std::to_string(::getpid()) + "\\]: ACTION=run EXIT=0 SCRIPT=\"two words\"");
    CHECK_MESSAGE(std::regex_match(line, form), line);
    CHECK(syslog.next() == "");
}

TEST_CASE("the priority is the daemon facility with the level") {
    const TempDir dir;
    const Syslog syslog(dir / "log");
    const LogTo log(dir / "log");
    const std::pair<LogLevel, std::string> rows[] = {{LogLevel::error, "<27>"},
                                                     {LogLevel::warning, "<28>"},
                                                     {LogLevel::notice, "<29>"},
                                                     {LogLevel::info, "<30>"},
                                                     {LogLevel::debug, "<31>"}};
    for (const auto& [level, priority] : rows) {
        log_event(level, "x", {});
        CHECK(syslog.next().rfind(priority, 0) == 0);
    }
}

TEST_CASE("a syslog daemon that was restarted misses nothing that is logged afterwards") {
    const TempDir dir;
    const LogTo log(dir / "log");
    log_event(LogLevel::info, "nobody-listens", {});
    for (int restart = 0; restart < 3; ++restart) {
        const Syslog syslog(dir / "log");
        log_event(LogLevel::info, "first", {});
        log_event(LogLevel::info, "second", {});
        CHECK(mentions(syslog.next(), "ACTION=first"));
        CHECK(mentions(syslog.next(), "ACTION=second"));
    }
}

TEST_CASE("a syslog daemon that reads nothing does not hold us up") {
    const TempDir dir;
    const Syslog syslog(dir / "log");
    const std::string errors = stderr_of([&] {
        const LogTo log(dir / "log", LogFallback::to_stderr);
        for (int i = 0; i < 5000; ++i) log_event(LogLevel::info, "flood", {{"N", std::to_string(i)}});
    });
    CHECK(errors == "");  // dropped, not sent elsewhere
    CHECK(mentions(syslog.next(), "ACTION=flood N=0"));
}

TEST_CASE("without a syslog socket a daemon's lines go to stderr, a command's nowhere") {
    const TempDir dir;
    const auto logged = [&](const std::string& wish, LogFallback fallback) {
        return stderr_of([&] {
            const LogTo log(wish, fallback);
            log_event(LogLevel::info, "one", {{"K", "a\nb"}});
            log_event(LogLevel::info, "two", {});
        });
    };
    const std::string lines = "ACTION=one K=\"a\\\\x0ab\"\nACTION=two\n";
    const std::string too_long = "/" + std::string(200, 'x');
    CHECK(logged(dir / "missing", LogFallback::to_stderr) == lines);
    CHECK(logged(dir / "missing", LogFallback::discard) == "");
    CHECK(logged(dir.put("file", ""), LogFallback::to_stderr) == lines);
    CHECK(logged(too_long, LogFallback::to_stderr) == lines);
    CHECK(logged("stderr", LogFallback::discard) == lines);
    CHECK(logged("none", LogFallback::to_stderr) == "");
}

TEST_CASE("a stderr that is closed or full is no reason to fail") {
    CHECK(in_process([] {
              const LogTo log("stderr");
              ::close(STDERR_FILENO);
              log_event(LogLevel::error, "x", {});
              return 0;
          }) == 0);
    CHECK(in_process([] {
              const LogTo log("stderr");
              const UniqueFd full(::open("/dev/full", O_WRONLY | O_CLOEXEC));
              ::dup2(full.get(), STDERR_FILENO);
              log_event(LogLevel::error, "x", {});
              return 0;
          }) == 0);
}
