#include "core/dispatcher_rotation.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "core/dispatcher_identity.h"
#include "core/dispatcher_setup.h"
#include "core/fault_point.h"
#include "core/leftovers.h"
#include "core/log.h"
#include "core/timestamp.h"

namespace ctrlexec {
namespace {

using Phase = RotationState::Phase;

constexpr std::size_t max_kept = 8;
constexpr std::int64_t seconds_per_day = 86400;

std::string kept_key(const DispatcherConfig& config, const std::string& serial) {
    return config.key + "." + serial;
}

std::string kept_certificate(const DispatcherConfig& config, const std::string& serial) {
    return config.cert + "." + serial;
}

// The API may run as the owner of the key and not as who rotates it.
void own_like(const std::string& path, const std::string& model) {
    struct stat status {};
    if (::geteuid() != 0 || ::stat(model.c_str(), &status) != 0) return;
    (void)!::chown(path.c_str(), status.st_uid, status.st_gid);
}

Result<void> copy_file(const std::string& from, const std::string& to, mode_t mode) {
    TRY(const std::string data, read_file(from, 64 * 1024));
    TRY_DO(replace_file_atomic(to, data, mode));
    own_like(to, from);
    return success();
}

}  // namespace

Result<DispatcherRotation> DispatcherRotation::open(const DispatcherConfig& config) {
    TRY_DO(make_directories(config.state_dir, 0755));
    auto lock = FileLock::acquire(config.state_dir + "/.rotation.lock", FileLock::Wait::no);
    if (!lock && lock.error().code == Errc::locked) {
        return fail(Errc::locked,
                    "another process is at work on the certificate now; see `serial-status`, or try again");
    }
    if (!lock) return std::move(lock).error();
    DispatcherRotation rotation(config, std::move(*lock));
    TRY(rotation.state_, RotationState::load(config.rotation_file()));
    TRY_DO(rotation.recover());
    return rotation;
}

// Decided by the files alone: rotation.json is written after them. The staged files are removed only when
// those in use have their content, so that a kill between the two renames leaves a pair that belongs
// together.
Result<void> DispatcherRotation::recover() {
    TRY(const FileLock held, lock_setup(config_));
    TRY_DO(remove_leftovers(config_.key, 0));
    TRY_DO(remove_leftovers(config_.cert, 0));
    TRY_DO(remove_leftovers(config_.rotation_file(), 0));
    TRY(const Identity current, load_dispatcher_identity(config_));
    const std::string serial = current.certificate.serial();
    const auto staged = load_staged_identity(config_);
    if (staged && staged->certificate.serial() == serial) {  // killed while switching
        if (state_.pending_serial == serial) return finish_switch(now_seconds());
        TRY_DO(drop_staged());
    } else if (staged && staged->verify(now_seconds())) {
        if (state_.pending_serial == staged->certificate.serial() && state_.current_serial == serial)
            return success();
        // Killed before rotation.json was written, or the certificate in use was replaced by hand.
        state_.current_serial = serial;
        state_.pending_serial = staged->certificate.serial();
        state_.phase = Phase::staged;
        return save();
    } else {
        TRY_DO(drop_staged());
    }
    if (state_.pending_serial == serial) return finish_switch(now_seconds());
    if (state_.current_serial == serial && state_.pending_serial.empty()) return success();
    state_.current_serial = serial;
    state_.pending_serial.clear();
    state_.phase = state_.kept.empty() ? Phase::none : Phase::switched;
    return save();
}

Result<void> DispatcherRotation::stage() {
    TRY(const FileLock held, lock_setup(config_));
    TRY(const PrivateKey key, PrivateKey::generate(config_.key_type));
    TRY(const Certificate certificate, issue_dispatcher_certificate(config_, key));
    TRY_DO(write_file_atomic(config_.key + ".next", key.to_pem(), 0600));
    own_like(config_.key + ".next", config_.key);
    fault_point("rotate-key-staged");
    TRY_DO(write_file_atomic(config_.cert + ".next", certificate.to_pem(), 0644));
    own_like(config_.cert + ".next", config_.cert);
    fault_point("rotate-cert-staged");
    state_.pending_serial = certificate.serial();
    state_.phase = Phase::staged;
    TRY_DO(save());
    log_event(LogLevel::notice, "cert-renewal-start", {{"SERIAL", state_.pending_serial}});
    fault_point("rotate-staged");
    return success();
}

Result<void> DispatcherRotation::note_announced() {
    if (state_.phase == Phase::announced) return success();
    state_.phase = Phase::announced;
    TRY_DO(save());
    fault_point("rotate-announced");
    return success();
}

Result<void> DispatcherRotation::keep_current(const Certificate& current) {
    const std::string serial = current.serial();
    TRY_DO(copy_file(config_.key, kept_key(config_, serial), 0600));
    TRY_DO(copy_file(config_.cert, kept_certificate(config_, serial), 0644));
    state_.kept.erase(std::remove(state_.kept.begin(), state_.kept.end(), serial), state_.kept.end());
    state_.kept.insert(state_.kept.begin(), serial);
    while (state_.kept.size() > max_kept) {
        const std::string oldest = state_.kept.back();
        TRY_DO(forget(oldest));
    }
    return save();
}

Result<void> DispatcherRotation::switch_over(std::int64_t now) {
    TRY(const FileLock held, lock_setup(config_));
    TRY(const Identity current, load_dispatcher_identity(config_));
    TRY(const Identity staged, load_staged_identity(config_));
    if (current.certificate.serial() != state_.current_serial ||
        staged.certificate.serial() != state_.pending_serial) {
        return fail(Errc::exists, "the certificate was replaced meanwhile; nothing was switched");
    }
    TRY_DO(keep_current(current.certificate));
    fault_point("rotate-kept");
    TRY_DO(copy_file(config_.key + ".next", config_.key, 0600));
    fault_point("rotate-key-switched");
    TRY_DO(copy_file(config_.cert + ".next", config_.cert, 0644));
    fault_point("rotate-cert-switched");
    return finish_switch(now);
}

// The pending certificate is in use.
Result<void> DispatcherRotation::finish_switch(std::int64_t now) {
    TRY(const Identity current, load_dispatcher_identity(config_));
    TRY(const Certificate in_place, load_dispatcher_certificate(config_));
    if (in_place.serial() != current.certificate.serial())  // half of a switch
        TRY_DO(replace_file_atomic(config_.cert, current.certificate.to_pem(), 0644));
    state_.previous_serial = state_.current_serial;
    state_.current_serial = state_.pending_serial;
    state_.pending_serial.clear();
    state_.rotated_at = now;
    state_.overlap_days = config_.cert_overlap_days;
    state_.overlap_expires = now + config_.cert_overlap_days * seconds_per_day;
    state_.phase = Phase::switched;
    TRY_DO(save());
    log_event(LogLevel::notice, "cert-rotated",
              {{"EXPIRY", current.certificate.expiry_text()},
               {"PREVIOUS", state_.previous_serial},
               {"SERIAL", state_.current_serial}});
    fault_point("rotate-switched");
    return drop_staged();
}

Result<void> DispatcherRotation::retire(const std::vector<std::string>& needed, bool all_settled,
                                        std::int64_t now) {
    const std::vector<std::string> kept = state_.kept;
    for (const auto& serial : kept) {
        const auto identity = load_kept_identity(config_, serial);
        const bool usable = identity && identity->certificate.not_after() > now;
        const bool wanted =
            state_.in_overlap(now) || std::find(needed.begin(), needed.end(), serial) != needed.end();
        if (usable && wanted && serial != state_.current_serial) continue;
        TRY_DO(forget(serial));
        log_event(LogLevel::notice, "cert-retired", {{"SERIAL", serial}});
        fault_point("rotate-retired");
        TRY_DO(save());
    }
    if (all_settled && state_.kept.empty() && state_.phase == Phase::switched && !state_.in_overlap(now)) {
        state_.phase = Phase::none;
        return save();
    }
    return success();
}

Result<void> DispatcherRotation::forget(const std::string& serial) {
    TRY_DO(remove_file(kept_key(config_, serial)));
    TRY_DO(remove_file(kept_certificate(config_, serial)));
    state_.kept.erase(std::remove(state_.kept.begin(), state_.kept.end(), serial), state_.kept.end());
    return success();
}

// The certificate last: without its key it is nothing that could be taken for a staged one.
Result<void> DispatcherRotation::drop_staged() {
    TRY_DO(remove_leftovers(config_.key + ".next", 0));
    TRY_DO(remove_leftovers(config_.cert + ".next", 0));
    TRY_DO(remove_file(config_.key + ".next"));
    return remove_file(config_.cert + ".next");
}

Result<Identity> load_kept_identity(const DispatcherConfig& config, const std::string& serial) {
    return load_identity_files(config, kept_certificate(config, serial), kept_key(config, serial));
}

}  // namespace ctrlexec
