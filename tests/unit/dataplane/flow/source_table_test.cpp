// What is counted is never forgotten, and what cannot be counted is said.
#include "dataplane/flow/source_table.hpp"

#include <map>
#include <random>

#include <gtest/gtest.h>

#include "tests/harness/seed.hpp"

namespace sluice::dp {
namespace {

constexpr HashSecret kSecret{3, 4};

SourceKey v4(std::uint32_t n, std::uint32_t slot = 16) {
    return source_key(abi::RuleSlot{slot}, abi::IpFamily::v4, abi::IpAddr::of_v4(abi::Ipv4Addr::of_host(n)));
}
SourceKey v6(std::array<std::uint8_t, 16> bytes) {
    return source_key(abi::RuleSlot{16}, abi::IpFamily::v6, abi::IpAddr{bytes});
}

TEST(SourceKey, IPv6CountsByItsFirst64Bits) {
    EXPECT_EQ(v6({0x20, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1}),
              v6({0x20, 1, 0, 0, 0, 0, 0, 1, 0xff, 0, 0, 0, 0, 0, 0, 2}));
    EXPECT_NE(v6({0x20, 1, 0, 0, 0, 0, 0, 1}), v6({0x20, 1, 0, 0, 0, 0, 0, 2}));
    EXPECT_NE(v4(1), v4(2));
    EXPECT_NE(v4(1, 16), v4(1, 17)) << "each rule counts for itself";
    EXPECT_NE(v6({}), v4(0));
}

TEST(SourceTable, AFullTableSaysSoAndARestedPlaceIsUsedAgain) {
    SourceTable t{8, kSecret};
    std::uint32_t taken = 0, n = 1;
    for (; n < 1000; ++n) {
        SourceCount* const c = t.find_or_take(v4(n), 0);
        if (c == nullptr) continue;
        c->states = 1;
        ++taken;
    }
    EXPECT_EQ(taken, t.capacity()) << "never more than there are places, and in the end all of them";
    EXPECT_EQ(t.find_or_take(v4(5000), 0), nullptr);
    SourceCount* const first = t.find(v4(1));
    ASSERT_NE(first, nullptr);
    first->states = 0;
    first->rate.spend(10, 10, 0);
    EXPECT_EQ(t.find(v4(1)), first) << "still known: its rate is not forgotten";
    std::uint32_t found = 0;
    for (std::uint32_t k = 5000; k < 5200; ++k) found += t.find_or_take(v4(k), 99) != nullptr ? 1 : 0;
    EXPECT_EQ(found, 0U);
    for (std::uint32_t k = 5000; k < 5200 && found == 0; ++k) found += t.find_or_take(v4(k), 100) != nullptr ? 1 : 0;
    EXPECT_EQ(found, 1U);
    EXPECT_EQ(t.find(v4(1)), nullptr);
}

TEST(SourceTable, AgreesWithAMapOfCountsUnderChurn) {
    const std::uint32_t s = sluice::test::seed_of_this_run();
    SCOPED_TRACE(testing::Message() << "SEED=" << s);
    std::mt19937 random{s};
    SourceTable t{256, kSecret};
    std::map<std::uint32_t, std::uint32_t> model;
    std::uint32_t refused = 0;
    for (int step = 0; step < 200'000; ++step) {
        const auto n = static_cast<std::uint32_t>(1 + random() % 400);
        const auto known = model.find(n);
        if (known != model.end() && random() % 2 == 0) {
            SourceCount* const c = t.find(v4(n));
            ASSERT_NE(c, nullptr) << "a counted source was forgotten, step " << step;
            ASSERT_EQ(c->states, known->second);
            --c->states;
            if (--known->second == 0) model.erase(known);
            continue;
        }
        SourceCount* const c = t.find_or_take(v4(n), static_cast<std::uint32_t>(step));
        if (c == nullptr) {
            ASSERT_EQ(known, model.end()) << "a counted source was not found, step " << step;
            ++refused;
            continue;
        }
        ASSERT_EQ(c->states, known == model.end() ? 0U : known->second) << "step " << step;
        ++c->states;
        ++model[n];
    }
    EXPECT_GT(refused, 0U) << "the churn never filled the table";
}

/// The table is made for a load of one half: there nobody may be refused.
TEST(SourceTable, EverySourceFindsAPlaceAtTheLoadItIsMadeFor) {
    constexpr std::uint32_t kSources = 1U << 16;
    SourceTable t{kSources, kSecret};
    std::uint32_t refused = 0;
    for (std::uint32_t n = 1; n <= kSources / 2; ++n) {
        SourceCount* const c = t.find_or_take(v4(n * 2654435761U), 0);
        if (c != nullptr) c->states = 1;
        refused += c == nullptr ? 1 : 0;
    }
    EXPECT_LE(refused, 10U) << "one on average";
}

}  // namespace
}  // namespace sluice::dp
