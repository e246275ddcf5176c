/// Which flows a dump shows and a request ends: a filter as it travels from the control plane to a worker.
///
/// A flow fits if every term holds; a term holds if the field's value lies in one of the term's ranges, or, negated, in
/// none. Both ends of a range are inside. Everything else that people write (`<`, `in`, prefixes, names) is turned into
/// that by the control plane. A filter without terms fits every flow. The dataplane checks a filter once when it comes
/// (`FlowFilter::valid`) and then trusts it.
#pragma once

#include <array>
#include <cstdint>
#include <type_traits>

#include <sluice/abi/net_order.hpp>

namespace sluice::abi {

/// Numbers are stable. What the value is: as in FlowRecord, addresses and ports in host order.
enum class FlowField : std::uint8_t {
    src = 1,
    dst = 2,
    sport = 3,  ///< protocols without ports: 0
    dport = 4,
    proto = 5,
    rule = 6,  ///< slot
    from_zone = 7,
    to_zone = 8,
    state = 9,
    idle_ms = 10,
    age_ms = 11,
    generation = 12,
    worker = 13,
};
inline constexpr std::uint8_t kFlowFieldLast = 13;

struct FlowRange {
    std::array<std::uint64_t, 2> first{}, last{};  ///< high and low half; numbers and IPv4 stand in the low half
    std::uint8_t family{};                         ///< of an address: 4 or 6; a number: 0
    std::array<std::uint8_t, 7> must_be_zero{};
};

struct FlowTerm {
    FlowField field{};
    std::uint8_t negated{};
    std::uint8_t first_range{}, range_count{};  ///< in FlowFilter::ranges
};

inline constexpr std::uint32_t kFlowTermsMax = 16;
inline constexpr std::uint32_t kFlowRangesMax = 64;

struct FlowFilter {
    std::uint32_t term_count{}, range_count{};
    std::array<FlowTerm, kFlowTermsMax> terms{};
    std::array<FlowRange, kFlowRangesMax> ranges{};

    /// Whether it may be evaluated. Ranges that hold nothing (`first` above `last`) are harmless.
    bool valid() const noexcept {
        if (term_count > kFlowTermsMax || range_count > kFlowRangesMax) return false;
        for (std::uint32_t t = 0; t < term_count; ++t) {
            const FlowTerm& term = terms[t];
            const auto field = static_cast<std::uint8_t>(term.field);
            if (field == 0 || field > kFlowFieldLast || term.negated > 1) return false;
            if (std::uint32_t{term.first_range} + term.range_count > range_count) return false;
        }
        return true;
    }
};
static_assert(std::is_trivially_copyable_v<FlowFilter>);

}  // namespace sluice::abi
