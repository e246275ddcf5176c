#include "controlplane/compiler/rate_refusal.hpp"

#include <gtest/gtest.h>

#include "dataplane/flow/rate.hpp"

namespace sluice::cp {
namespace {

TEST(RateRefusal, TheZoneIsAskedFirstThenTheSourceThenTheRule) {
    const abi::ZoneLimits zone{.new_per_second_max = 50};
    const abi::RuleLimits both{.new_per_second_max = 10, .new_per_second_per_source_max = 20};
    EXPECT_EQ(refused_by(51, zone, both), TestLimit::zone);
    EXPECT_EQ(refused_by(50, zone, both), TestLimit::source);
    EXPECT_EQ(refused_by(20, zone, both), TestLimit::rule);
    EXPECT_EQ(refused_by(10, zone, both), TestLimit::none);
    EXPECT_EQ(refused_by(abi::kRateLimitMax, {}, {}), TestLimit::none) << "0 is no limit";
    EXPECT_EQ(refused_by(0, zone, both), TestLimit::none) << "one flow";
    EXPECT_EQ(refused_by(9, {.states_max = 1}, {.states_max = 1, .states_per_source_max = 1}), TestLimit::none);
}

/// Whether the dataplane's bucket refuses any of the flows that come so often, long enough.
bool bucket_refuses(std::uint32_t per_second, std::uint32_t most) {
    dp::Rate rate;
    const std::uint64_t seconds = most + 2;  // a full bucket, one more a second than it gets back
    for (std::uint64_t flow = 0; flow < per_second * seconds; ++flow) {
        const auto tick = static_cast<std::uint32_t>(1000 + flow * dp::kTicksPerSecond / per_second);
        if (!rate.allows(most, most, tick)) return true;
        rate.spend(most, most, tick);
    }
    return false;
}

TEST(RateRefusal, SaysWhatTheDataplanesBucketDoesInTheLongRun) {
    for (std::uint32_t most = 1; most <= 40; ++most) {
        for (std::uint32_t per_second = 1; per_second <= 90; ++per_second) {
            const auto expected = bucket_refuses(per_second, most) ? TestLimit::rule : TestLimit::none;
            ASSERT_EQ(refused_by(per_second, {}, {.new_per_second_max = most}), expected)
                << per_second << "/s at a limit of " << most;
        }
    }
}

}  // namespace
}  // namespace sluice::cp
