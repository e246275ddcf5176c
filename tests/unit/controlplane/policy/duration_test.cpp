#include "controlplane/policy/duration.hpp"

#include <gtest/gtest.h>

namespace sluice::cp {
namespace {

TEST(Duration, ReadsNumberAndUnit) {
    const std::pair<std::string_view, std::uint32_t> good[] = {{"1s", 1'000},          {"1000ms", 1'000},
                                                               {"1500ms", 1'500},      {"90s", 90'000},
                                                               {"124m", 7'440'000},    {"2h", 7'200'000},
                                                               {"30d", 2'592'000'000}, {"720h", 2'592'000'000},
                                                               {"007s", 7'000},        {"2592000000ms", 2'592'000'000}};
    for (const auto& [text, ms] : good) {
        const auto read = parse_duration(text);
        ASSERT_TRUE(read) << text;
        EXPECT_EQ(*read, ms) << text;
    }
    for (const std::string_view bad : {"", "30", "s", "-3s", "+3s", "3 s", "3.5s", "1h30m", "3S", "3sec", "0s", "999ms",
                                       "31d", "2592000001ms", "99999999999999999999s", "18446744073709551615d"}) {
        EXPECT_FALSE(parse_duration(bad)) << bad;
    }
}

TEST(Duration, IsWrittenInTheLargestUnitThatFits) {
    const std::pair<std::uint32_t, std::string> cases[] = {
        {1'000, "1s"},       {1'500, "1500ms"}, {60'000, "1m"},        {90'000, "90s"},
        {7'440'000, "124m"}, {7'200'000, "2h"}, {2'592'000'000, "30d"}};
    for (const auto& [ms, text] : cases) {
        EXPECT_EQ(duration_text(ms), text);
        EXPECT_EQ(*parse_duration(text), ms);
    }
}

}  // namespace
}  // namespace sluice::cp
