/// The rules that benches run under: read from a ClassBench filter file, or made in the shape of a cloud's policy.
/// Each is also what a policy and a peer's table are made of, so that both sides classify by the same rules.
#pragma once

#include <cstdint>
#include <iosfwd>
#include <span>
#include <string>
#include <vector>

#include <sluice/expected.hpp>

#include "controlplane/policy/model.hpp"
#include "dataplane/acl/lookup.hpp"
#include "dataplane/port/memory_source.hpp"

namespace sluice::bench {

struct Net {
    std::uint32_t addr{};  ///< host order, host bits zero
    std::uint8_t bits{};
};

/// Protocol and destination ports, as a policy's services say it.
struct Service {
    std::uint8_t proto{};
    bool any_proto{};  ///< then the ports are all
    std::uint16_t first{0}, last{0xffff};
};

struct FilterRule {
    Net src{}, dst{};
    std::vector<Service> services;  ///< never empty; OR
    bool deny{};
};

/// `@SRC/len  DST/len  lo : hi  lo : hi  proto/mask  flags/mask` a line, fields divided by blanks or tabs, the first
/// line first. Source ports are read over, policies have none; a port range without a protocol becomes TCP and UDP;
/// every second rule denies, since the format has no action. Error: a sentence with the line.
Expected<std::vector<FilterRule>, std::string> read_filters(std::istream& in);

/// `count` rules that allow `proto`, each from one /24 to one host's port; no packet matches two.
std::vector<FilterRule> made_rules(std::uint32_t count, std::uint8_t proto);
/// Where flows go so that every one of `made_rules` gets its share.
std::vector<dp::FlowTarget> targets_of(std::span<const FilterRule> rules);

/// Zones `outside` (port p0) and `inside` (p1); default deny; timeouts so long that no flow ends during a bench.
cp::Policy policy_of(std::span<const FilterRule> rules);

/// The IPv4 five-tuple as rte_acl reads it, wire order.
struct AclKey {
    std::uint8_t proto{};
    std::uint8_t zero[3]{};
    std::uint32_t src{}, dst{};
    std::uint16_t sport{}, dport{};
};
static_assert(sizeof(AclKey) == 16);

/// Packets without locality: each inside a rule drawn at random, uniformly, and at random within it.
std::vector<AclKey> random_trace(std::span<const FilterRule> rules, std::size_t count, std::uint64_t seed);
/// The same packet as our classifier is asked, from outside to inside.
dp::LookupKey lookup_key(const AclKey& key);

}  // namespace sluice::bench
