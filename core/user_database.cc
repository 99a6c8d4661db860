#include "core/user_database.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstddef>
#include <cstdint>

#include "core/file.h"

namespace ctrlexec {
namespace {

constexpr std::size_t max_home_bytes = 4096;      // PATH_MAX
constexpr std::size_t max_file_bytes = 4u << 20;  // tens of thousands of users

bool is_sane_home(std::string_view value) {
    return !value.empty() && value.size() <= max_home_bytes && value.front() == '/' &&
           std::none_of(value.begin(), value.end(), [](char c) {
               const auto byte = static_cast<unsigned char>(c);
               return byte < 0x20 || byte == 0x7f;
           });
}

// Exactly so many fields with ':' in between; what follows the last ':' may hold more of them.
template <std::size_t count>
bool split_line(std::string_view line, std::array<std::string_view, count>& fields) {
    for (std::size_t i = 0; i + 1 < count; ++i) {
        const std::size_t colon = line.find(':');
        if (colon == std::string_view::npos) return false;
        fields[i] = line.substr(0, colon);
        line.remove_prefix(colon + 1);
    }
    fields.back() = line;
    return true;
}

std::string_view take_line(std::string_view& text) {
    const std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(line.size() + 1, text.size()));
    return line;
}

// name:password:uid:gid:gecos:home:shell
std::optional<UserRecord> read_user(std::string_view line) {
    std::array<std::string_view, 7> fields;
    if (!split_line(line, fields)) return std::nullopt;
    const auto uid = parse_id(fields[2]);
    const auto gid = parse_id(fields[3]);
    if (!uid || !gid) return std::nullopt;
    return UserRecord{std::string(fields[0]), *uid, *gid,
                      std::string(is_sane_home(fields[5]) ? fields[5] : std::string_view())};
}

template <typename Fits>
std::optional<UserRecord> first_user(std::string_view passwd, const Fits& fits) {
    while (!passwd.empty()) {
        auto user = read_user(take_line(passwd));
        if (user && fits(*user)) return user;
    }
    return std::nullopt;
}

// name:password:gid:member,member
struct GroupRecord {
    std::string_view name;
    gid_t gid = 0;
    std::string_view members;
};

std::optional<GroupRecord> read_group(std::string_view line) {
    std::array<std::string_view, 4> fields;
    if (!split_line(line, fields)) return std::nullopt;
    const auto gid = parse_id(fields[2]);
    if (!gid) return std::nullopt;
    return GroupRecord{fields[0], *gid, fields[3]};
}

bool has_member(std::string_view members, std::string_view user) {
    while (!members.empty()) {
        const std::string_view member = members.substr(0, members.find(','));
        if (member == user) return true;
        members.remove_prefix(std::min(member.size() + 1, members.size()));
    }
    return false;
}

Result<std::string> read_database(const std::string& path) {
    auto text = read_file(path, max_file_bytes);
    if (!text) return fail(Errc::io, text.error().message, text.error().detail);
    return text;
}

}  // namespace

std::optional<uid_t> parse_id(std::string_view text) {
    std::uint32_t number = 0;  // from_chars takes no sign then
    const char* const end = text.data() + text.size();
    const auto parsed = std::from_chars(text.data(), end, number);
    if (parsed.ec != std::errc{} || parsed.ptr != end || number == UINT32_MAX) return std::nullopt;
    return number;
}

std::optional<UserRecord> find_user(std::string_view passwd, std::string_view name) {
    if (name.empty()) return std::nullopt;
    return first_user(passwd, [name](const UserRecord& user) { return user.name == name; });
}

std::optional<UserRecord> find_user(std::string_view passwd, uid_t uid) {
    return first_user(passwd, [uid](const UserRecord& user) { return user.uid == uid; });
}

std::optional<gid_t> find_group(std::string_view groups, std::string_view name) {
    while (!name.empty() && !groups.empty()) {
        const auto group = read_group(take_line(groups));
        if (group && group->name == name) return group->gid;
    }
    return std::nullopt;
}

std::vector<gid_t> groups_with_member(std::string_view groups, std::string_view user) {
    std::vector<gid_t> found;
    while (!user.empty() && !groups.empty()) {
        const auto group = read_group(take_line(groups));
        if (group && has_member(group->members, user)) found.push_back(group->gid);
    }
    return found;
}

Result<std::string> read_passwd() {
    return read_database("/etc/passwd");
}

Result<std::string> read_groups() {
    return read_database("/etc/group");
}

}  // namespace ctrlexec
