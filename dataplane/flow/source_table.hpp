/// What each source has of the rules that limit by source: live flows, and new ones in this second. Fixed memory, one
/// writer, keyed hash (who opens flows chooses his address).
///
/// A source stands in one of two sets of four places. A place is free when its source has no flow and its rate has
/// rested, so what is counted is never forgotten to make room: a source that finds no place cannot be counted, and the
/// caller refuses its flow. The table has room for half as many sources as there are flows; half-open flows have a
/// quarter of those, so a flood from invented addresses alone cannot fill it.
#pragma once

#include <array>
#include <cstdint>

#include <sluice/abi/net_order.hpp>
#include <sluice/abi/verdict.hpp>

#include "dataplane/flow/flow_hash.hpp"
#include "dataplane/flow/prefaulted.hpp"
#include "dataplane/flow/rate.hpp"

namespace sluice::dp {

/// An IPv4 address, or the first 64 bits of an IPv6 one; and the rule that counts it.
struct SourceKey {
    std::uint64_t address;
    abi::RuleSlot slot;
    std::uint32_t is_v6;
    bool operator==(const SourceKey&) const = default;
};
static_assert(std::has_unique_object_representations_v<SourceKey>, "hashed as bytes: no padding");

SourceKey source_key(abi::RuleSlot slot, abi::IpFamily family, const abi::IpAddr& source) noexcept;

struct SourceCount {
    SourceKey key{};
    std::uint32_t states{};
    Rate rate{};
    std::uint32_t must_be_zero{};
};
static_assert(sizeof(SourceCount) == 32);

class SourceTable {
public:
    /// Room for at least `sources` if they spread evenly; rounded up to a power of two.
    SourceTable(std::uint32_t sources, const HashSecret& secret) noexcept;

    /// nullptr: nothing is counted for it.
    SourceCount* find(const SourceKey& key) noexcept;
    /// As `find`; else a free place for it, all zero. It is the caller's until the next call: only `states` and `rate`
    /// keep it. nullptr: both sets are taken.
    SourceCount* find_or_take(const SourceKey& key, std::uint32_t now_tick) noexcept;

    std::uint32_t capacity() const noexcept { return static_cast<std::uint32_t>(sets_.size() * kWays); }
    std::size_t bytes() const noexcept { return sets_.bytes(); }

private:
    static constexpr std::size_t kWays = 4;
    struct alignas(64) Set {
        std::array<SourceCount, kWays> place;
    };
    std::array<Set*, 2> sets_of(const SourceKey& key) noexcept;

    HashSecret secret_;
    PrefaultedArray<Set> sets_;
};

}  // namespace sluice::dp
