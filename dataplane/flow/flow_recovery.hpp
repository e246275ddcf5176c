/// Flows of a process that is gone, become flows of this one.
///
/// Theory of operation. A process may end at any instruction, so only what one store can change is trusted: an entry
/// is a flow while its phase says so. The phase is written last when an entry is made and first when it goes
/// (flow_table.cpp), so an entry in the making, or half taken apart, is a free one; nothing has to be undone. Whoever
/// finds a slab looks at every entry as at a stranger's: one that could not have been written is dropped and counted.
/// Index, deadlines and free lists are made anew.
///
/// What a flow is kept for is its state; its right to pass is asked for again: `policy_seq` becomes 0, "never judged",
/// because the numbers of another process say nothing, and the flow's next packet meets the policy that runs.
///
/// Two roads. A slab of the same shape is used where it stands (FlowTable's constructor): that may be broken off and
/// begun again at any instruction. Flows of other slabs are copied (FlowTable::take_over) into one that nobody depends
/// on before it is complete.
#pragma once

#include <array>
#include <cstdint>
#include <numeric>
#include <optional>

#include <sluice/abi/flow_losses.hpp>
#include <sluice/abi/telemetry.hpp>

#include "dataplane/flow/flow_slab.hpp"

namespace sluice::dp {

/// What an entry must fit into.
struct RecoveryLimits {
    std::uint32_t now_tick{};
    std::uint32_t rule_slots{UINT32_MAX};
    std::uint32_t wires{UINT32_MAX};  ///< bit set of domains (a wire's is the number of its lower port)
};

struct RecoveryCount {
    std::uint64_t kept{};
    std::array<std::uint64_t, abi::kFlowLossCount> lost{};  ///< by abi::FlowLoss

    void lose(abi::FlowLoss why, std::uint64_t count = 1) noexcept { lost[static_cast<std::size_t>(why)] += count; }
    std::uint64_t lost_total() const noexcept { return std::accumulate(lost.begin(), lost.end(), std::uint64_t{}); }
    RecoveryCount& operator+=(const RecoveryCount& other) noexcept {
        kept += other.kept;
        for (std::size_t i = 0; i < lost.size(); ++i) lost[i] += other.lost[i];
        return *this;
    }
    bool operator==(const RecoveryCount&) const = default;
};

/// Which flows of a slab are for the table that takes them; the others go to other workers' tables.
class FlowShare {
public:
    FlowShare() = default;
    FlowShare(const FlowShare&) = delete;
    FlowShare& operator=(const FlowShare&) = delete;
    virtual ~FlowShare() = default;
    virtual bool has(const FlowKeyV4& key) const noexcept = 0;
    virtual bool has(const FlowKeyV6& key) const noexcept = 0;
    /// Of all who look at the slab one counts what can be nobody's.
    virtual bool counts_losses() const noexcept = 0;
};

/// How an entry's numbers change on the way to another slab.
struct FlowMove {
    static constexpr std::uint8_t kNoWire = 0xff;

    std::uint32_t ticks{};                              ///< new minus old tick of one instant, modulo 2^32
    std::array<std::uint8_t, abi::kPortsMax> domain{};  ///< by old domain: the new one, or kNoWire
    std::array<bool, abi::kPortsMax> ports_swap{};      ///< by old domain: its lower port is the higher one now
    const FlowShare* share{};                           ///< nullptr: all of them are for this table
};

/// A clock may have been read a little later by the process that is gone: so far ahead a flow may have been seen.
inline constexpr std::uint32_t kAheadTicksMax = 100;

/// Why this entry can't be a flow here; nothing if it can. `line`, `proxy`: what an IPv6 entry and an extended one
/// name, nullptr if that does not exist.
std::optional<abi::FlowLoss> loss_of(const FlowHot& hot, const FlowV6Line* line, const FlowProxy* proxy,
                                     const RecoveryLimits& limits) noexcept;

/// Times that lie ahead become `now_tick`.
void settle_ticks(FlowHot& hot, FlowCold& cold, std::uint32_t now_tick) noexcept;

}  // namespace sluice::dp
