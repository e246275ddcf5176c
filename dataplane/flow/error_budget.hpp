/// ICMP errors about one flow: never more than 100 in any second (CASES I12, RFC 6092 REC-36). A path has no reason to
/// send more, and who makes them up can make each one a new search for the receiver.
///
/// Flows share buckets by their keyed hash, so nothing is made or forgotten with a flow and the memory is fixed. Two
/// flows in one bucket have its budget together, one chance in 4,096 for each pair; nobody outside knows which.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "dataplane/flow/rate.hpp"

namespace sluice::dp {

class ErrorBudget {
public:
    bool take(std::uint64_t flow_hash, std::uint32_t now_tick) noexcept {
        // The high bits: the low ones choose the flow's bucket in the index.
        Rate& rate = buckets_[static_cast<std::size_t>(flow_hash >> 32) & (kBuckets - 1)];
        if (!rate.allows(kPerSecond, kBurst, now_tick)) return false;
        rate.spend(kPerSecond, kBurst, now_tick);
        return true;
    }

private:
    static constexpr std::uint32_t kBurst = 20, kPerSecond = 80;  ///< in the worst second: the sum
    static constexpr std::size_t kBuckets = 4096;                 ///< a power of two; 32 KiB
    std::array<Rate, kBuckets> buckets_{};
};

}  // namespace sluice::dp
