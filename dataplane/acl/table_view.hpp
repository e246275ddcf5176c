/// A validated generation, ready to be asked: raw pointers into read-only mappings, resolved once by the validator.
/// Whoever holds a view must hold the mappings (dataplane: until QSBR retires them; control plane: its own buffers).
/// Needs no DPDK; the control plane links it so that `explain` and `plan` cannot disagree with enforcement.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>

#include <sluice/abi/net_order.hpp>
#include <sluice/abi/tables.hpp>
#include <sluice/abi/telemetry.hpp>

namespace sluice::dp {

template <typename Interval>
struct AddrClassView {
    const std::uint32_t* root{};
    const Interval* intervals{};
    const std::uint64_t* rows{};
};

struct TransportView {
    const std::uint16_t* proto_class{};
    const std::uint16_t* tcp_dport{};
    const std::uint16_t* udp_dport{};
    const std::uint16_t* icmp{};
    const std::uint16_t* icmp6{};
    const std::uint64_t* rows{};
};

struct TableView {
    std::uint64_t generation{};
    const abi::SettingsSection* settings{};
    /// Bit per rule slot, see SettingsSection::untouched; whoever switches looks whether the base is what ran before.
    std::span<const std::uint64_t> untouched;

    std::span<const abi::RuleRecord> rules;  ///< evaluation order, default last
    const char* rules_text{};

    std::span<const abi::ZoneRecord> zones;
    std::span<const abi::ZoneBinding> bindings;
    const char* zones_text{};
    /// Zone of untagged traffic per port of the validator's port list; kNoZone where the port has none.
    std::array<abi::ZoneId, abi::kPortsMax> port_zone{};

    std::uint32_t word_count{};
    const abi::RuleIndex* term_rule{};
    const std::uint64_t* observe_mask{};
    const std::uint64_t* from_zone_rows{};
    const std::uint64_t* to_zone_rows{};
    AddrClassView<abi::IntervalV4> src_v4, dst_v4;
    AddrClassView<abi::IntervalV6> src_v6, dst_v6;
    TransportView transport;

    abi::RuleIndex default_rule() const noexcept { return static_cast<abi::RuleIndex>(rules.size() - 1); }
    std::string_view rule_id(abi::RuleIndex i) const noexcept {
        return {rules_text + rules[i].id.offset, rules[i].id.bytes};
    }
    std::string_view zone_name(abi::ZoneId z) const noexcept {
        const auto& name = zones[static_cast<std::size_t>(z)].name;
        return {zones_text + name.offset, name.bytes};
    }
};

}  // namespace sluice::dp
