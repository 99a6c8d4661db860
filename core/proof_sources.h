// Where an agent learns how to tell its dispatcher from others when it pairs: options and environment.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/agent_config.h"
#include "core/pairing_answers.h"
#include "core/result.h"

namespace ctrlexec {

class ProofSources {
  public:
    // Pins: `pins` (--ca-pin; commas between them), else CTRL_EXEC_CA_PIN or the file that
    // CTRL_EXEC_CA_PIN_FILE names. The token: the file `token_file` (--join-token-file), else JOIN_TOKEN or
    // the file that JOIN_TOKEN_FILE names. JOIN_TOKEN is wiped and unset: nothing that we start shall have
    // it.
    //
    // Errc::usage for an option, config for a variable that cannot be used, and when `trust` wants what
    // nobody has given.
    static Result<ProofSources> read(const std::string& pins, const std::string& token_file, PairTrust trust);

    // Reads the token's file. Errc::not_found when it does not exist, config when it cannot be used or is of
    // another CA than the pins.
    Result<PairingProofs> proofs() const;

  private:
    std::vector<CaPin> pins_;
    std::shared_ptr<const JoinToken> token_;
    std::string token_file_;  // "" for none
    std::string token_name_;  // what messages call it
    bool check_code_ = false;
};

}  // namespace ctrlexec
