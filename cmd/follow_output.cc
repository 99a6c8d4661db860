#include "cmd/follow_output.h"

#include <fmt/format.h>

#include <cstdio>
#include <utility>

#include "cmd/print.h"
#include "core/utf8.h"

namespace ctrlexec {
namespace {

constexpr std::size_t longest_line = 64 * 1024;  // what is longer is shown in pieces

}  // namespace

void FollowOutput::print(const std::string& host, bool errors, std::string_view text) {
    print_out(fmt::format("{} {} {}\n", printable(host), errors ? '!' : '|', text));
}

void FollowOutput::add(const std::string& host, const FollowLine& line) {
    std::string& partial = partial_[{host, line.errors}];
    if (line.skipped > 0) {
        if (!partial.empty()) print(host, line.errors, std::exchange(partial, {}));
        print(host, line.errors, fmt::format("[{} bytes are not shown]", line.skipped));
    }
    std::string_view rest = line.bytes;
    for (auto end = rest.find('\n'); end != std::string_view::npos; end = rest.find('\n')) {
        print(host, line.errors, partial.append(rest.substr(0, end)));
        partial.clear();
        rest.remove_prefix(end + 1);
    }
    partial.append(rest);
    if (partial.size() > longest_line) print(host, line.errors, std::exchange(partial, {}));
    std::fflush(stdout);
}

bool FollowOutput::finish(const std::string& host) {
    bool any = false;
    for (const bool errors : {false, true}) {
        const auto found = partial_.find({host, errors});
        if (found == partial_.end()) continue;
        any = true;
        if (!found->second.empty()) print(host, errors, std::exchange(found->second, {}));
    }
    return any;
}

}  // namespace ctrlexec
