// The words of a flow filter: what they become, and what is said about wrong ones.
#include "controlplane/lifecycle/flow_filter.hpp"

#include <gtest/gtest.h>

#include <limits>
#include <string>

#include "dataplane/pipeline/flow_match.hpp"

namespace sluice::cp {
namespace {

using abi::FlowField;

FilterNames names() {
    FilterNames n;
    n.rules = {"web-in", "default"};
    n.zones = {"outside", "inside"};
    n.rule = [](std::string_view id) -> std::optional<std::uint64_t> {
        if (id == "web-in") return 16;
        if (id == "default") return 0;
        return std::nullopt;
    };
    n.zone = [](std::string_view name) -> std::optional<std::uint64_t> {
        if (name == "outside") return 0;
        if (name == "inside") return 1;
        return std::nullopt;
    };
    return n;
}

abi::FlowFilter read(std::string_view text) {
    auto filter = parse_flow_filter(text, names());
    EXPECT_TRUE(filter) << text << ": " << (filter ? "" : filter.error().detail);
    if (!filter) return {};
    EXPECT_TRUE(filter->valid()) << text;
    return *filter;
}

std::string term(const abi::FlowFilter& f, std::size_t t) {
    std::string out = std::to_string(static_cast<int>(f.terms[t].field)) + (f.terms[t].negated != 0 ? "!" : "");
    for (std::size_t r = 0; r < f.terms[t].range_count; ++r) {
        const auto& range = f.ranges[f.terms[t].first_range + r];
        out += " " + std::to_string(range.first[1]) + "-" +
               (range.last[1] == std::numeric_limits<std::uint64_t>::max() ? "max" : std::to_string(range.last[1]));
    }
    return out;
}

TEST(FlowFilter, ReadsEveryFieldAndOperator) {
    const auto f = read(
        "proto==tcp and dport in {443, 8000-8100} and rule == web-in and from_zone!=inside and state==established "
        "and idle_s>30 and age_s<=1.5 and generation>=7 and worker<2 and sport==1000-2000");
    ASSERT_EQ(f.term_count, 10U);
    EXPECT_EQ(term(f, 0), "5 6-6");
    EXPECT_EQ(term(f, 1), "4 443-443 8000-8100");
    EXPECT_EQ(term(f, 2), "6 16-16");
    EXPECT_EQ(term(f, 3), "7! 1-1");
    EXPECT_EQ(term(f, 4), "9 3-3");
    EXPECT_EQ(term(f, 5), "10 30001-max");
    EXPECT_EQ(term(f, 6), "11 0-1500");
    EXPECT_EQ(term(f, 7), "12 7-max");
    EXPECT_EQ(term(f, 8), "13 0-1");
    EXPECT_EQ(term(f, 9), "3 1000-2000");
    EXPECT_EQ(read("").term_count, 0U);
    EXPECT_EQ(read("  ").term_count, 0U);
    EXPECT_EQ(term(read("to_zone==inside"), 0), "8 1-1");
    EXPECT_EQ(term(read("proto==132"), 0), "5 132-132");
}

TEST(FlowFilter, PrefixesAreRanges) {
    const auto v4 = read("src==10.1.0.0/16").ranges[0];
    EXPECT_EQ(v4.family, 4);
    EXPECT_EQ(v4.first, (std::array<std::uint64_t, 2>{0, 0x0a010000}));
    EXPECT_EQ(v4.last, (std::array<std::uint64_t, 2>{0, 0x0a01ffff}));
    const auto host = read("dst == 198.51.100.80").ranges[0];
    EXPECT_EQ(host.first, host.last);
    const auto v6 = read("dst in {2001:db8:51::/48, ::/0}");
    EXPECT_EQ(v6.ranges[0].family, 6);
    EXPECT_EQ(v6.ranges[0].first, (std::array<std::uint64_t, 2>{0x20010db8'00510000ULL, 0}));
    EXPECT_EQ(v6.ranges[0].last, (std::array<std::uint64_t, 2>{0x20010db8'0051ffffULL, ~std::uint64_t{0}}));
    EXPECT_EQ(v6.ranges[1].last[0], ~std::uint64_t{0});
}

// Below 0 is nobody, not everybody.
TEST(FlowFilter, AnEmptyRangeFitsNothing) {
    abi::FlowRecord flow{};
    EXPECT_FALSE(dp::fits(read("worker<0"), flow));
    EXPECT_FALSE(dp::fits(read("generation>18446744073709551615"), flow));
    EXPECT_TRUE(dp::fits(read("worker<=0"), flow));
}

TEST(FlowFilter, P14_SaysWhereAndWhatIsWrong) {
    const auto wrong = [](std::string_view text, std::size_t column, std::string_view part) {
        const auto filter = parse_flow_filter(text, names());
        ASSERT_FALSE(filter) << text;
        EXPECT_EQ(filter.error().column, column) << text << ": " << filter.error().detail;
        EXPECT_NE(filter.error().detail.find(part), std::string::npos) << text << ": " << filter.error().detail;
    };
    wrong("dprot==443", 1, "dport");
    wrong("dport=443", 6, "==");
    wrong("dport==", 8, "443 or 8000-8100");
    wrong("dport==443 or sport==1", 12, "joined by `and`");
    wrong("dport==443 and", 15, "a condition is missing");
    wrong("dport==65536", 8, "from 0 to 65535");
    wrong("dport==9-8", 8, "no range");
    wrong("src==10.0.0.300", 6, "no address");
    wrong("src<10.0.0.1", 4, "no order");
    wrong("rule==web-on", 7, "web-in");
    wrong("from_zone==dmz", 12, "outside, inside");
    wrong("state==open", 8, "established");
    wrong("idle_s>1.2345", 8, "seconds");
    wrong("dport in 443", 10, "a list");
    wrong("dport in {443 444}", 15, "goes on with");
    wrong("dport in {443", 14, "goes on with");
    wrong("proto==256", 8, "protocol");
    std::string many = "worker==1";
    for (int i = 0; i < 16; ++i) many += " and worker==1";
    wrong(many, 225, "more than 16");
    std::string values = "dport in {1";
    for (int i = 0; i < 64; ++i) values += ",2";
    wrong(values + "}", 139, "more than 64");
}

}  // namespace
}  // namespace sluice::cp
