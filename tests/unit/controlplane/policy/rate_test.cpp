#include "controlplane/policy/rate.hpp"

#include <gtest/gtest.h>

#include <sluice/abi/tables.hpp>

namespace sluice::cp {
namespace {

TEST(Rate, IsANumberASecond) {
    for (const std::uint32_t per_second : {1U, 100U, abi::kRateLimitMax}) {
        const auto read = parse_rate(rate_text(per_second));
        ASSERT_TRUE(read) << read.error().detail;
        EXPECT_EQ(*read, per_second);
    }
    EXPECT_EQ(rate_text(20), "20/s");
    EXPECT_EQ(parse_rate("007/s").value(), 7U);
}

TEST(Rate, AnythingElseIsRefusedWithItsRemedy) {
    for (const std::string_view text : {"", "100", "/s", "100/m", "100 /s", "-1/s", "1.5/s", "100/s ", "x/s"}) {
        const auto read = parse_rate(text);
        ASSERT_FALSE(read) << text;
        EXPECT_EQ(read.error().code, "bad-rate");
        EXPECT_NE(read.error().detail.find("such as 100/s"), std::string::npos) << read.error().detail;
    }
    for (const std::string_view text : {"0/s", "4294967295/s", "99999999999999999999/s"}) {
        const auto read = parse_rate(text);
        ASSERT_FALSE(read) << text;
        EXPECT_NE(read.error().detail.find("write 1/s to "), std::string::npos) << read.error().detail;
    }
}

}  // namespace
}  // namespace sluice::cp
