// Names of the wire protocol that both sides and several rooms need.
#pragma once

namespace ctrlexec {

// Ours send it in requests and answers; what goes beyond the baseline is used only when the peer has shown
// it.
inline constexpr const char* protocol_header = "X-Ctrl-Exec";
inline constexpr const char* protocol_header_lower = "x-ctrl-exec";
inline constexpr const char* protocol_generation = "1";

}  // namespace ctrlexec
