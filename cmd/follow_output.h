// What scripts print, line by line as it comes, each line with its host in front.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <utility>

#include "core/follow_line.h"

namespace ctrlexec {

class FollowOutput {
  public:
    // "HOST | line" of stdout, "HOST ! line" of stderr; to stdout, when the line has ended.
    void add(const std::string& host, const FollowLine& line);

    // Prints what of the host's last lines has no end. Whether it has printed anything at all.
    bool finish(const std::string& host);

  private:
    void print(const std::string& host, bool errors, std::string_view text);
    std::map<std::pair<std::string, bool>, std::string> partial_;  // by host and whether it is stderr
};

}  // namespace ctrlexec
