#include "core/staged_pairing.h"

#include "core/digest.h"
#include "core/file.h"
#include "core/own_file.h"
#include "core/pairing_queue.h"
#include "core/timestamp.h"
#include "core/trusted_dispatchers.h"
#include "core/utf8.h"

namespace ctrlexec {

std::string staged_pairing_path(const AgentConfig& config) {
    return directory_of(config.key) + "/.pairing-staged.json";
}

Result<void> stage_pairing(const AgentConfig& config, const NewPairing& pairing, std::int64_t now) {
    const json::Value file(json::Object{{"hostname", pairing.hostname},
                                        {"key", pairing.key_pem},
                                        {"cert", pairing.certificate_pem},
                                        {"ca", pairing.ca_pem},
                                        {"dispatcher_id", pairing.dispatcher_id},
                                        {"dispatcher_serial", pairing.dispatcher_serial},
                                        {"dispatcher", pairing.dispatcher},
                                        {"reqid", pairing.reqid},
                                        {"sas", pairing.sas},
                                        {"staged", iso8601(now)}});
    return write_file_atomic(staged_pairing_path(config), json::dump(file) + "\n", 0600);
}

Result<StagedPairing> load_staged_pairing(const AgentConfig& config, std::int64_t now) {
    const std::string path = staged_pairing_path(config);
    TRY(const json::Value file, read_own_file(path));
    StagedPairing staged;
    NewPairing& pairing = staged.pairing;
    pairing.hostname = file.text("hostname");
    pairing.key_pem = file.text("key");
    pairing.certificate_pem = file.text("cert");
    pairing.ca_pem = file.text("ca");
    pairing.dispatcher_id = file.text("dispatcher_id");
    pairing.dispatcher_serial = file.text("dispatcher_serial");
    pairing.dispatcher = printable(file.text("dispatcher"));
    pairing.reqid = file.text("reqid");
    pairing.sas = file.text("sas");
    pairing.version = 2;
    const Error unusable = fail(Errc::config, path + " holds no answer that could be confirmed");
    const auto at = parse_iso8601(file.text("staged"));
    if (!at) return unusable;
    staged.until = *at + staged_lifetime;
    // A clock that was set back must not make it last.
    if (now >= staged.until || now < *at - staged_lifetime)
        return fail(Errc::timed_out, "nobody has confirmed the check code within an hour; ask again");
    if (pairing.sas.size() != 9 || !is_valid_dispatcher_id(pairing.dispatcher_id) ||
        !is_valid_reqid(pairing.reqid) || !check_pairing(pairing, *at))
        return unusable;
    if (pairing.hostname != config.hostname)
        return fail(Errc::config, path + ": the answer is for another host name");
    return staged;
}

bool is_check_code(std::string_view typed, std::string_view sas) {
    std::string digits(typed);
    std::string expected(sas);
    if (digits.size() == 9 && digits[4] == '-') digits.erase(4, 1);
    std::erase(expected, '-');
    return expected.size() == 8 && equal_constant_time(digits, expected);
}

}  // namespace ctrlexec
