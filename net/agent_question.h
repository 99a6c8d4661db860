// What one agent is asked.
#pragma once

#include <chrono>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/result.h"

namespace ctrlexec {

struct AgentQuestion {
    std::string method = "POST";
    std::string path;
    std::string body;
    std::vector<std::pair<std::string, std::string>> headers;
    std::chrono::milliseconds read_timeout{0};      // 0: the configured one
    bool repeatable = true;                         // asked twice is as good as once
    Errc unknown_route = Errc::not_found;           // what a 404 is
    std::function<void(std::string_view)> on_line;  // as AgentCall has them
    std::function<bool()> unwanted;
};

}  // namespace ctrlexec
