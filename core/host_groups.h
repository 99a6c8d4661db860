// The groups file: "name = word word …", one group a line, with words as on the command line, other groups
// among them.
#pragma once

#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.h"
#include "core/target_word.h"

namespace ctrlexec {

struct HostGroup {
    int line = 0;  // in the file
    std::vector<TargetWord> words;
};

class HostGroups {
  public:
    HostGroups() = default;  // none, of no file

    // Errc::config with "PATH:LINE: what; remedy": for a bad word, a group that is not there, is defined
    // twice, holds itself, or is nested too deeply.
    static Result<HostGroups> parse(const std::string& path, std::string_view text);
    // A file that need not exist and does not holds no groups.
    static Result<HostGroups> load(const std::string& path, bool must_exist);

    // What the group comes to, the groups in it taken apart: no word is a group. Errc::usage for an unknown
    // one.
    Result<std::vector<TargetWord>> words_of(const std::string& name) const;

    const std::map<std::string, HostGroup>& all() const { return groups_; }

  private:
    Error bad(const HostGroup& group, std::string_view what) const;
    Result<int> depth_of(const std::string& name, std::map<std::string, int>& depths, int level) const;
    void expand(const std::string& name, std::set<std::string>& taken, std::vector<TargetWord>& words) const;

    std::string path_;
    std::map<std::string, HostGroup> groups_;
};

}  // namespace ctrlexec
