// The files of a rotation: the staged identity (KEY.next, CERT.next), the one in use, and those kept for
// agents that have not learnt of the new one yet (KEY.SERIAL, CERT.SERIAL). All steps can be repeated after a
// kill.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/dispatcher_config.h"
#include "core/file.h"
#include "core/identity.h"
#include "core/result.h"
#include "core/rotation_state.h"

namespace ctrlexec {

class DispatcherRotation {
  public:
    // For the whole of a rotation's round; Errc::locked when another process has it. What a killed process
    // left half done is completed, and what somebody replaced by hand meanwhile is taken as it is.
    static Result<DispatcherRotation> open(const DispatcherConfig& config);

    const RotationState& state() const { return state_; }
    bool has_pending() const { return !state_.pending_serial.empty(); }

    // Makes key and certificate and writes them beside those in use. Slow with RSA.
    Result<void> stage();
    // All reachable agents trust the staged certificate.
    Result<void> note_announced();
    // From here on the staged certificate is in use; the one before is kept.
    Result<void> switch_over(std::int64_t now);
    // Forgets kept identities that have expired, or that after the overlap no agent needs: `needed` are the
    // serials that agents trust as far as is known. The rotation is over when `all_settled`: every agent
    // knows the end of the overlap.
    Result<void> retire(const std::vector<std::string>& needed, bool all_settled, std::int64_t now);

  private:
    DispatcherRotation(DispatcherConfig config, FileLock lock)
        : config_(std::move(config)), lock_(std::move(lock)) {}
    Result<void> recover();
    Result<void> finish_switch(std::int64_t now);
    Result<void> drop_staged();
    Result<void> keep_current(const Certificate& current);
    Result<void> forget(const std::string& serial);
    Result<void> save() const { return state_.save(config_.rotation_file()); }

    DispatcherConfig config_;
    FileLock lock_;
    RotationState state_;
};

// A kept identity. Errc::not_found when there is none of that serial.
Result<Identity> load_kept_identity(const DispatcherConfig& config, const std::string& serial);

}  // namespace ctrlexec
