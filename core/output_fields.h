// A script's output in JSON: text as it is; bytes that are not UTF-8 exactly in a second member.
#pragma once

#include <string>
#include <string_view>

#include "core/json.h"

namespace ctrlexec {

// Sets object[name] and, when `bytes` is not UTF-8, object[name + "_b64"] (then object[name] shows U+FFFD).
void set_output(json::Value& object, std::string_view name, std::string bytes);

// The exact bytes again; object[name] is moved out of the object.
std::string take_output(json::Value& object, std::string_view name);

}  // namespace ctrlexec
