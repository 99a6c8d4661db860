// Which agents a fleet has, where they are, and what each of them does.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/json.h"
#include "core/result.h"

namespace ctrlexec::fleet {

enum class Conduct : std::uint8_t {
    healthy,
    failing,  // the script `true` exits 1
    silent,   // accepts connections and says nothing, not even in the handshake
    stalled,  // shakes hands and takes the request, but never answers
    dead      // nobody listens at its port
};
inline constexpr std::size_t conducts = 5;
const char* conduct_name(Conduct conduct);

// Everything follows from the members, so that the same ones always give the same fleet.
struct Plan {
    std::int64_t agents = 0;
    std::int64_t seed = 0;
    // Percent of all agents. Of those that stall one half says nothing at all.
    double failing = 0, stalled = 0, dead = 0;
    std::vector<int>
        ports;            // agent I is at the port number I modulo their count, behind an address of its own
    int dead_port = 0;    // where nobody listens
    std::string network;  // "10.200": agent I, from 1, is at 10.200.I.2; "": all are on loopback
    bool processes = false;  // each agent a directory of its own, to be served by a real process

    std::string name_of(std::size_t agent) const;     // "agent-00001" is the first
    std::string address_of(std::size_t agent) const;  // without a network 127.1.0.1 is the first
    // The agent behind that address on loopback, `agents` or more when there is none.
    static std::size_t agent_at(std::uint32_t address);
    int port_of(std::size_t agent, Conduct conduct) const;

    std::vector<Conduct> conduct() const;

    // Errc::bad_request with what is wrong.
    static Result<Plan> from_json(const json::Value& value);
    static Result<Plan> load(const std::string& directory);  // fleet.json
    json::Value to_json() const;                             // with the names of those that are not healthy
};

inline constexpr std::int64_t max_networked = 250;
inline constexpr std::int64_t max_agents = 60'000;  // 250 in each of 240 networks

}  // namespace ctrlexec::fleet
