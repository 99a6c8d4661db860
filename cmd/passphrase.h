// Passphrases: from a file or typed, never from the command line or the environment, where others can read
// them.
#pragma once

#include <string>

#include "cmd/applet.h"
#include "core/result.h"

namespace ctrlexec {

enum class PassphraseUse { make, open };  // a new one is typed twice and must not be short

// The first line of the file that --passphrase-file names ("-": of standard input), or what is typed on the
// terminal without being shown.
Result<std::string> read_passphrase(const Invocation& call, PassphraseUse use);

}  // namespace ctrlexec
