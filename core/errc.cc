#include "core/errc.h"

#include <array>
#include <cstddef>

namespace ctrlexec {
namespace {

using enum Errc;
using enum LogLevel;

constexpr std::array<ErrcInfo, 25> table{{
    {usage, "usage", 2, 400, info},
    {config, "config", 78, 500, error},
    {bad_request, "bad-request", 1, 400, notice},
    {not_found, "not-found", 1, 404, info},
    {exists, "exists", 1, 409, notice},
    {denied, "denied", 1, 403, notice},
    {locked, "locked", 1, 409, notice},
    {too_large, "too-large", 1, 413, notice},
    {too_many_headers, "too-many-headers", 1, 431, notice},
    {not_implemented, "not-implemented", 1, 501, notice},
    {bad_version, "bad-version", 1, 505, notice},
    {busy, "busy", 1, 503, warning},
    {unresolved, "unresolved", 1, 502, warning},
    {refused, "refused", 1, 502, warning},
    {unreachable, "unreachable", 1, 502, warning},
    {timed_out, "timed-out", 1, 504, warning},
    {still_running, "still-running", 1, 504, warning},
    {tls_failed, "tls-failed", 1, 502, warning},
    {key_mismatch, "key-mismatch", 1, 502, error},
    {closed, "closed", 1, 502, warning},
    {bad_answer, "bad-answer", 1, 502, warning},
    {io, "io", 1, 500, error},
    {crypto, "crypto", 1, 500, error},
    {cancelled, "cancelled", 1, 503, notice},
    {internal, "internal", 1, 500, error},
}};

constexpr bool in_order() {
    for (std::size_t i = 0; i < table.size(); ++i) {
        if (static_cast<std::size_t>(table[i].code) != i) return false;
    }
    return table.size() == static_cast<std::size_t>(internal) + 1;
}
static_assert(in_order(), "info() indexes the table by the enumerator's value");

}  // namespace

const ErrcInfo& info(Errc code) {
    return table[static_cast<std::size_t>(code)];
}

}  // namespace ctrlexec
