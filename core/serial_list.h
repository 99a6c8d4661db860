// revoked-serials: certificates whose holders are refused although they are otherwise valid.
#pragma once

#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.h"

namespace ctrlexec {

class SerialList {
  public:
    // One serial a line: plain hex, DE:AD:BE:EF, 0x…, serial=…, or decimal; # starts a comment. Text of
    // digits alone can be hex or decimal: both readings are listed. A line that is none of these is skipped
    // and reported in warnings().
    static SerialList parse(const std::string& path, std::string_view text);
    // A missing file is an empty list; one that cannot be read is Errc::config.
    static Result<SerialList> load(const std::string& path);

    // `serial` in normal form (core/serial.h).
    bool contains(const std::string& serial) const { return serials_.count(serial) != 0; }
    std::size_t size() const { return serials_.size(); }
    const std::vector<std::string>& warnings() const { return warnings_; }

  private:
    std::set<std::string> serials_;
    std::vector<std::string> warnings_;
};

}  // namespace ctrlexec
