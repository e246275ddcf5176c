/// The rules that benches run under: read from a ClassBench filter file, or made in the shape of a cloud's policy.
/// Each is also what a policy and a peer's table are made of, so that both sides classify by the same rules.
#pragma once

#include <cstdint>
#include <iosfwd>
#include <memory>
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

/// Shared by the rules that name it, as a policy's set is; never empty.
using NetSet = std::shared_ptr<const std::vector<Net>>;

struct FilterRule {
    Net src{}, dst{};
    NetSet src_set, dst_set;        ///< if there is one, it stands in the net's stead
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

/// The networks that a side means: its set, or its one net.
std::span<const Net> nets_of(const Net& net, const NetSet& set) noexcept;
/// Rules that a list without sets needs to say the same.
std::uint64_t multiplied_out(std::span<const FilterRule> rules) noexcept;

/// Zones `outside` (port p0) and `inside` (p1); default deny; timeouts so long that no flow ends during a bench.
/// IPv6: the networks as six_networks.hpp has them.
cp::Policy policy_of(std::span<const FilterRule> rules, abi::IpFamily family = abi::IpFamily::v4);

/// The IPv4 five-tuple as rte_acl reads it, wire order.
struct AclKey {
    std::uint8_t proto{};
    std::uint8_t zero[3]{};
    std::uint32_t src{}, dst{};
    std::uint16_t sport{}, dport{};
};
static_assert(sizeof(AclKey) == 16);

/// The same packet as our classifier is asked, from outside to inside; IPv6: between the hosts of six_networks.hpp.
dp::LookupKey lookup_key(const AclKey& key, abi::IpFamily family = abi::IpFamily::v4);

}  // namespace sluice::bench
