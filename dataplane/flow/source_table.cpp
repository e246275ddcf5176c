#include "dataplane/flow/source_table.hpp"

#include <algorithm>
#include <bit>
#include <cstring>

namespace sluice::dp {

SourceKey source_key(abi::RuleSlot slot, abi::IpFamily family, const abi::IpAddr& source) noexcept {
    SourceKey key{.address = 0, .slot = slot, .is_v6 = family == abi::IpFamily::v6 ? 1U : 0U};
    if (family == abi::IpFamily::v6) {
        std::memcpy(&key.address, source.bytes.data(), sizeof key.address);
    } else {
        key.address = source.v4().to_host();
    }
    return key;
}

SourceTable::SourceTable(std::uint32_t sources, const HashSecret& secret) noexcept
    : secret_{secret}, sets_{std::bit_ceil(std::max<std::size_t>(1, (sources + kWays - 1) / kWays))} {}

std::array<SourceTable::Set*, 2> SourceTable::sets_of(const SourceKey& key) noexcept {
    const std::uint64_t hash = siphash13(secret_, std::as_bytes(std::span{&key, 1}));
    const std::size_t mask = sets_.size() - 1;
    return {&sets_[static_cast<std::uint32_t>(hash) & mask], &sets_[static_cast<std::size_t>(hash >> 32) & mask]};
}

SourceCount* SourceTable::find(const SourceKey& key) noexcept {
    for (Set* const set : sets_of(key)) {
        for (SourceCount& place : set->place) {
            if (place.key == key) return &place;
        }
    }
    return nullptr;
}

SourceCount* SourceTable::find_or_take(const SourceKey& key, std::uint32_t now_tick) noexcept {
    // Of the emptier set: taking the first would refuse a hundred times as many at half load.
    SourceCount* best = nullptr;
    std::size_t most_free = 0;
    for (Set* const set : sets_of(key)) {
        SourceCount* free = nullptr;
        std::size_t free_count = 0;
        for (SourceCount& place : set->place) {
            if (place.key == key) return &place;
            if (place.states != 0 || !place.rate.rested(now_tick)) continue;
            free = &place;
            ++free_count;
        }
        if (free_count <= most_free) continue;
        best = free;
        most_free = free_count;
    }
    if (best != nullptr) *best = SourceCount{.key = key};
    return best;
}

}  // namespace sluice::dp
