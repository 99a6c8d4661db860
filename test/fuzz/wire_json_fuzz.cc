// The JSON of the wire, the registry and the other state files: what the reader accepts keeps its limits, is
// written as valid JSON, and means the same when it is read again, plain or as any of the messages.
#include <algorithm>
#include <cmath>
#include <set>
#include <string>

#include "core/csr.h"
#include "core/host_result.h"
#include "core/hostname.h"
#include "core/json.h"
#include "core/pairing_messages.h"
#include "core/pairing_queue.h"
#include "core/registry.h"
#include "core/run_request.h"
#include "core/run_store.h"
#include "core/utf8.h"
#include "test/fuzz/harness.h"

namespace ctrlexec::fuzz {
namespace {

using json::Value;

constexpr std::size_t max_bytes = 1u << 20;

void check_bounds(const Value& value, int levels) {
    if (const auto* text = value.if_string()) require(is_utf8(*text));
    if (const auto* number = value.if_double()) require(std::isfinite(*number));
    if (const auto* array = value.if_array()) {
        require(levels > 0);
        for (const auto& item : *array) check_bounds(item, levels - 1);
    }
    if (const auto* object = value.if_object()) {
        require(levels > 0);
        std::set<std::string_view> keys;
        for (const auto& [key, member] : *object) {
            require(is_utf8(key) && keys.insert(key).second);
            check_bounds(member, levels - 1);
        }
        for (const auto& [key, member] : *object) require(value.find(key) == &member);
    }
}

// Numbers may change their kind (1.0 is written as 1), not their value.
double number_of(const Value& value) {
    if (const auto* integer = value.if_integer()) return static_cast<double>(*integer);
    if (const auto* large = value.if_unsigned()) return static_cast<double>(*large);
    if (const auto* number = value.if_double()) return *number;
    return std::nan("");
}

bool is_whole(const Value& value) {
    return value.if_integer() != nullptr || value.if_unsigned() != nullptr;
}

bool same(const Value& a, const Value& b) {
    if (const auto* text = a.if_string()) return b.if_string() != nullptr && *text == *b.if_string();
    if (const auto* flag = a.if_bool()) return b.if_bool() != nullptr && *flag == *b.if_bool();
    if (a.is_null() || b.is_null()) return a.is_null() && b.is_null();
    if (is_whole(a)) return is_whole(b) && a.scalar() == b.scalar();
    if (const auto* array = a.if_array()) {
        return b.if_array() != nullptr &&
               std::equal(array->begin(), array->end(), b.if_array()->begin(), b.if_array()->end(), same);
    }
    if (const auto* object = a.if_object()) {
        return b.if_object() != nullptr &&
               std::equal(object->begin(), object->end(), b.if_object()->begin(), b.if_object()->end(),
                          [](const json::Member& x, const json::Member& y) {
                              return x.key == y.key && same(x.value, y.value);
                          });
    }
    return number_of(a) == number_of(b) && std::signbit(number_of(a)) == std::signbit(number_of(b));
}

// Also the terminal's and the log's view: one line, no control characters of ASCII.
std::string checked_dump(const Value& value) {
    std::string text = json::dump(value);
    require(is_utf8(text));
    require(std::all_of(text.begin(), text.end(),
                        [](char c) { return static_cast<unsigned char>(c) >= 0x20 && c != 0x7f; }));
    return text;
}

Value read_again(const Value& value) {
    const std::string text = checked_dump(value);
    auto again = json::parse(text, text.size());
    require(again && same(value, *again) && json::dump(*again) == text);
    return std::move(*again);
}

void check_json(std::string_view text, const Value& value) {
    check_bounds(value, json::max_depth);
    read_again(value);
    require(json::parse(text, text.size()).has_value());
    const auto cut = json::parse(text, text.size() - 1);
    require(!cut && cut.error().code == Errc::too_large);
}

bool is_flat_array(const Value& value) {
    const auto* array = value.if_array();
    return array != nullptr && std::none_of(array->begin(), array->end(), [](const Value& item) {
               return item.if_array() != nullptr || item.if_object() != nullptr;
           });
}

// `value` is what the text says, null when it is no JSON.
void check_run_request(std::string_view text, const Value* value) {
    const auto request = RunRequest::parse(text);
    require(request.has_value() == (value != nullptr && value->if_object() != nullptr));
    if (!request) {
        require(request.error().code == Errc::bad_request && request.error().message == "invalid JSON");
        return;
    }
    const auto& arguments = request->arguments;
    const bool has_nul = std::any_of(arguments.begin(), arguments.end(), [](const std::string& argument) {
        return argument.find('\0') != std::string::npos;
    });
    const Value* given = value->find("args");
    const bool no_list = given != nullptr && !given->is_null() && !is_flat_array(*given);
    require(no_list ? arguments.empty() && request->problem == "args must be an array"
                    : request->problem == (has_nul ? "an argument holds a NUL byte" : ""));
    const auto again = RunRequest::parse(request->to_json());
    require(again && again->script == request->script && again->arguments == arguments);
    require(again->reqid == request->reqid && again->username == request->username);
    require(again->token == request->token && again->problem == (no_list ? "" : request->problem));

    const auto input = json::parse(request->script_input("192.0.2.7", 0), 8 * max_bytes);
    require(input && input->text("script") == request->script && input->text("token") == request->token);
    require(input->find("args")->if_array()->size() == arguments.size());
    require(input->text("peer_ip") == "192.0.2.7" && input->text("timestamp") == "1970-01-01T00:00:00Z");
}

// false and 0.0 would both print as the "0" of success.
bool has_typed_exit(std::string_view text) {
    const auto value = json::parse(text, max_bytes);
    const Value* exit = value ? value->find("exit") : nullptr;
    return exit != nullptr && (exit->if_integer() != nullptr || exit->if_string() != nullptr);
}

void check_run_result(std::string_view text) {
    const auto result = RunResult::parse(text);
    if (!result) {
        require(result.error().code == Errc::bad_answer);
        return;
    }
    require(result->exit >= -1 && result->exit <= 255 && has_typed_exit(text));
    require(result->exit != -1 || !result->error.empty());
    require(result->ok() == (result->exit == 0 && result->error.empty()));
    const auto again = RunResult::parse(checked_dump(result->to_json()));
    require(again && again->exit == result->exit && again->error == result->error);
    require(again->script == result->script && again->reqid == result->reqid);
    if (result->exit == -1) return;  // it never ran: there is no output
    require(again->output == result->output && again->errors == result->errors);
    require(again->output_truncated == result->output_truncated);
    require(again->errors_truncated == result->errors_truncated);
}

void check_ping_result(std::string_view text) {
    const auto result = PingResult::parse(text);
    if (!result) {
        require(result.error().code == Errc::bad_answer && !result.error().message.empty());
        return;
    }
    require(result->ok());
    const auto again = PingResult::parse(checked_dump(result->to_json()));
    require(again && again->expiry == result->expiry && again->version == result->version);
    require(again->reqid == result->reqid);
}

bool same(const PairingRequest& a, const PairingRequest& b) {
    return a.hostname == b.hostname && a.csr == b.csr && a.nonce == b.nonce && a.code == b.code &&
           a.agent_port == b.agent_port && a.lookup_by == b.lookup_by;
}

void check_pairing_request(const PairingRequest& request) {
    require(is_valid_hostname(request.hostname) && request.csr.size() <= max_csr_bytes);
    require(request.code.size() == 6 && request.code == pairing_code(request.csr));
    require(request.agent_port >= 0 && request.agent_port <= 65535);
}

// From the wire, with its CSR checked, and into the queue.
void check_pairing_body(std::string_view text) {
    const auto strict = parse_pairing_body(text, false);
    const auto lax = parse_pairing_body(text, true);
    require(lax || !strict);
    for (const auto* refused : {&strict, &lax}) {
        if (*refused) continue;
        const Errc code = refused->error().code;
        require(code == Errc::bad_request || code == Errc::too_large);
        require(printable(refused->error().text()) == refused->error().text());
    }
    if (!lax) return;
    check_pairing_request(*lax);
    require(!lax->nonce.empty() && lax->nonce.size() <= 128);
    require(lax->nonce.find_first_not_of("0123456789abcdefABCDEF") == std::string::npos);
    require(lax->lookup_by.empty() || lax->lookup_by == "ip" || lax->lookup_by == "hostname");
    const auto csr = CertificateRequest::from_pem(lax->csr);
    require(csr && strict.has_value() == (csr->common_name() == lax->hostname));
    require(!strict || same(*strict, *lax));

    PairingRequest queued = *lax;
    queued.id = "e96764166d3065c7";
    const auto again = PairingRequest::from_json(read_again(queued.to_json()));
    require(again && again->id == queued.id && same(*again, queued));
}

void check_queued(const Value& value) {
    const auto request = PairingRequest::from_json(value);
    if (!request) return;
    check_pairing_request(*request);
    require(is_valid_reqid(request->id));
    const auto again = PairingRequest::from_json(read_again(request->to_json()));
    require(again && same(*again, *request));
    require(again->id == request->id && again->ip == request->ip && again->received == request->received);
}

void check_record(const Value& value) {
    const auto record = AgentRecord::from_json(value);
    if (!record) {
        require(printable(record.error().text()) == record.error().text());
        return;
    }
    require(is_valid_hostname(record->hostname));
    require(record->agent_port >= 0 && record->agent_port <= 65535);
    const Value written = record->to_json();
    for (const auto& [key, member] : *record->other.if_object()) require(same(member, *value.find(key)));
    for (const auto& member : *value.if_object()) {  // nothing of another version is lost
        const bool may_go = member.key == "agent_port" || member.key == "lookup_by";
        require(may_go || written.find(member.key) != nullptr);
    }
    const auto again = AgentRecord::from_json(read_again(written));
    require(again && same(written, again->to_json()));
}

void check_stored_run(const Value& value) {
    const auto run = StoredRun::from_json(value);
    if (!run) {
        require(run.error().code == Errc::bad_request);
        return;
    }
    require(is_valid_reqid(run->reqid) && run->completed >= 0);
    const auto again = StoredRun::from_json(read_again(run->to_json()));
    require(again && again->reqid == run->reqid && again->script == run->script);
    require(again->hosts == run->hosts && again->completed == run->completed);
    require(same(Value(run->results), Value(again->results)));
}

}  // namespace

int fuzz_wire_json(const std::uint8_t* data, std::size_t size) {
    const std::string_view text = text_of_input(data, size);
    if (text.size() > max_bytes) return 0;
    const auto value = json::parse(text, max_bytes);
    check_run_request(text, value ? &*value : nullptr);
    check_run_result(text);
    check_ping_result(text);
    check_pairing_body(text);
    if (!value) {
        require(value.error().code == Errc::bad_request && value.error().message == "invalid JSON");
        return 0;
    }
    check_json(text, *value);
    check_queued(*value);
    check_record(*value);
    check_stored_run(*value);
    return 0;
}

}  // namespace ctrlexec::fuzz
