#include "controlplane/identity/attempt_limit.hpp"

#include <gtest/gtest.h>

namespace sluice::cp {
namespace {

using namespace std::chrono_literals;

TEST(AttemptLimit, ABurstThenOneByOne) {
    AttemptLimit limit{{.burst = 3, .per_second = 0.5}, 10};
    AttemptLimit::Time now{1h};
    for (int i = 0; i < 3; ++i) EXPECT_TRUE(limit.take("a", now)) << i;
    EXPECT_FALSE(limit.take("a", now));
    EXPECT_TRUE(limit.take("b", now)) << "another's attempts are another's";
    EXPECT_EQ(limit.wait("a", now), 2s);
    EXPECT_FALSE(limit.take("a", now + 1900ms));
    EXPECT_TRUE(limit.take("a", now + 2s));
    EXPECT_FALSE(limit.take("a", now + 2s));
    now += 1h;
    for (int i = 0; i < 3; ++i) EXPECT_TRUE(limit.take("a", now)) << "never more than the burst: " << i;
    EXPECT_FALSE(limit.take("a", now));
}

TEST(AttemptLimit, WhatWasRightIsGivenBack) {
    AttemptLimit limit{{.burst = 1, .per_second = 0.001}, 10};
    const AttemptLimit::Time now{1h};
    for (int i = 0; i < 5; ++i) {
        EXPECT_TRUE(limit.take("a", now)) << i;
        limit.give_back("a", now);
    }
    limit.give_back("a", now);
    EXPECT_TRUE(limit.take("a", now));
    EXPECT_FALSE(limit.take("a", now)) << "nothing is saved up";
}

TEST(AttemptLimit, ManyKeysShareWhatIsLeft) {
    AttemptLimit limit{{.burst = 2, .per_second = 1}, 3};
    const AttemptLimit::Time now{1h};
    for (const auto* key : {"a", "b", "c"}) EXPECT_TRUE(limit.take(key, now));
    // No room for buckets of their own: d, e and f have one together.
    EXPECT_TRUE(limit.take("d", now));
    EXPECT_TRUE(limit.take("e", now));
    EXPECT_FALSE(limit.take("f", now));
    EXPECT_TRUE(limit.take("a", now)) << "who has one keeps it";
    // Full buckets are forgotten, and then there is room again.
    for (const auto* key : {"g", "h", "i"}) EXPECT_TRUE(limit.take(key, now + 10s)) << key;
}

}  // namespace
}  // namespace sluice::cp
