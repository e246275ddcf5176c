/// The classifier's question and answer. One call for a batch; its cost depends on the table, never on the traffic.
#pragma once

#include <cstdint>
#include <span>

#include <sluice/abi/net_order.hpp>
#include <sluice/abi/tables.hpp>

#include "dataplane/acl/table_view.hpp"

namespace sluice::dp {

struct LookupKey {
    abi::IpAddr src{}, dst{};
    abi::ZoneId from{abi::kNoZone}, to{abi::kNoZone};
    /// TCP, UDP: destination port in host order. ICMP, ICMPv6: type << 8 | code. Others: 0.
    std::uint16_t dport_or_icmp{};
    abi::IpFamily family{};
    abi::L4Proto proto{};
};

struct LookupResult {
    abi::RuleIndex rule{};                 ///< enforced; the default's index if nothing else matched
    abi::RuleIndex observe{abi::kNoRule};  ///< first observe rule that matches and is asked before `rule`
};

inline constexpr std::size_t kLookupBatchMax = 64;

/// A rule that passes a packet to the layers behind its own is never a result: the lookup goes on there.
/// `keys` and `results` have the same length, at most kLookupBatchMax. Zones must be below the view's zone count.
/// Sets with changing members are those of `table.members`. Returns how many keys are from or to a member of one that
/// the tables ask for.
std::uint32_t lookup(const TableView& table, std::span<const LookupKey> keys, std::span<LookupResult> results) noexcept;

}  // namespace sluice::dp
