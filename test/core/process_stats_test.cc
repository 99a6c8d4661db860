#include "core/process_stats.h"

#include <doctest/doctest.h>
#include <fcntl.h>

#include "core/timestamp.h"
#include "core/unique_fd.h"

TEST_CASE("a process knows how much it uses") {
    const auto before = ctrlexec::process_stats();
    CHECK(before.resident_bytes > 1'000'000);
    CHECK(before.virtual_bytes > before.resident_bytes);
    CHECK(before.cpu_seconds >= 0);
    CHECK(before.threads >= 1);
    CHECK(before.max_open_files > before.open_files);
    const auto now = static_cast<double>(ctrlexec::now_seconds());
    CHECK(before.start_time > now - 3600);
    CHECK(before.start_time < now + 2);
    const ctrlexec::UniqueFd file(::open("/dev/null", O_RDONLY | O_CLOEXEC));
    CHECK(ctrlexec::process_stats().open_files == before.open_files + 1);
}
