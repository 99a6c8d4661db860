// The files of a job and what its supervisor is handed: whatever they hold, what is read of them is sound,
// and written again it is the same.
#include <string>

#include "core/job_record.h"
#include "core/job_spec.h"
#include "core/utf8.h"
#include "test/fuzz/harness.h"

namespace ctrlexec::fuzz {
namespace {

constexpr std::size_t max_text = 1u << 20;

template <typename T>
void check_record(const json::Value& value) {
    const auto record = T::from_json(value);
    if (!record) return;
    const std::string text = json::dump(record->to_json());
    const auto parsed = json::parse(text, 2 * max_text);
    require(parsed.has_value());
    const auto again = T::from_json(*parsed);
    require(again && json::dump(again->to_json()) == text);
}

void check_process(const json::Value& value) {
    const auto process = ProcessIdentity::from_json(value);
    require(!process || process->pid > 1);
}

void check_spec(std::string_view text) {
    const auto spec = JobSpec::parse(text);
    if (!spec) return;
    require(spec->plan.program.path().front() == '/' && spec->plan.umask <= 0777);
    const std::string dumped = spec->to_json();
    const auto again = JobSpec::parse(dumped);
    require(again && again->to_json() == dumped);
    require(again->plan.arguments == spec->plan.arguments && again->input == spec->input);
    require(again->plan.credentials == spec->plan.credentials);
    require(!JobSpec::parse(dumped.substr(0, dumped.size() - 1)));
}

void check_name(std::string_view text) {
    const auto key = JobKey::from_name(text);
    if (!key) return;
    require(key->is_valid() && key->name() == text);
    require(text.find('/') == std::string_view::npos && printable(text) == text && text.front() != '.');
}

}  // namespace

int fuzz_job_files(const std::uint8_t* data, std::size_t size) {
    const std::string_view text = text_of_input(data, size);
    check_name(text);
    check_spec(text);
    const auto value = json::parse(text, max_text);
    if (!value) return 0;
    check_process(*value);
    check_record<JobRecord>(*value);
    check_record<JobStart>(*value);
    check_record<JobResult>(*value);
    return 0;
}

}  // namespace ctrlexec::fuzz
