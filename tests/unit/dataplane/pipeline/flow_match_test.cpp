// Which flows a filter asks for, field by field.
#include "dataplane/pipeline/flow_match.hpp"

#include <gtest/gtest.h>

#include "tests/harness/frames.hpp"

namespace sluice::test {
namespace {

using abi::FlowField;

abi::FlowRecord web(abi::IpFamily family = abi::IpFamily::v4) {
    abi::FlowRecord r{};
    r.family = family;
    r.src = address(family == abi::IpFamily::v4 ? "10.1.2.3" : "2001:db8::7");
    r.dst = address(family == abi::IpFamily::v4 ? "198.51.100.80" : "2001:db8:51::80");
    r.sport = abi::L4Port::of_host(40'000);
    r.dport = abi::L4Port::of_host(443);
    r.proto = abi::L4Proto::tcp;
    r.slot = abi::RuleSlot{20};
    r.from_zone = abi::ZoneId{1};
    r.to_zone = abi::ZoneId{2};
    r.state = abi::FlowState::established;
    r.idle_ms = 3'000;
    r.age_ms = 9'000;
    r.generation = 41;
    r.worker = 5;
    return r;
}

void add(abi::FlowFilter& f, FlowField field, std::uint64_t first, std::uint64_t last, bool negated = false) {
    f.terms[f.term_count++] = {field, static_cast<std::uint8_t>(negated), static_cast<std::uint8_t>(f.range_count), 1};
    f.ranges[f.range_count].first = {0, first};
    f.ranges[f.range_count++].last = {0, last};
}

bool fits_one(FlowField field, std::uint64_t first, std::uint64_t last, bool negated = false) {
    abi::FlowFilter f;
    add(f, field, first, last, negated);
    EXPECT_TRUE(f.valid());
    return dp::fits(f, web());
}

TEST(FlowMatch, EachFieldIsItsOwn) {
    const std::pair<FlowField, std::uint64_t> fields[] = {
        {FlowField::sport, 40'000}, {FlowField::dport, 443},     {FlowField::proto, 6}, {FlowField::rule, 20},
        {FlowField::from_zone, 1},  {FlowField::to_zone, 2},     {FlowField::state, 3}, {FlowField::idle_ms, 3'000},
        {FlowField::age_ms, 9'000}, {FlowField::generation, 41}, {FlowField::worker, 5}};
    for (const auto& [field, value] : fields) {
        EXPECT_TRUE(fits_one(field, value, value)) << static_cast<int>(field);
        EXPECT_FALSE(fits_one(field, value + 1, UINT64_MAX)) << static_cast<int>(field);
        EXPECT_FALSE(fits_one(field, 0, value - 1)) << static_cast<int>(field);
        EXPECT_FALSE(fits_one(field, value, value, true)) << static_cast<int>(field);
        EXPECT_TRUE(fits_one(field, value + 1, value + 1, true)) << static_cast<int>(field);
    }
}

TEST(FlowMatch, AddressesAreOfOneFamily) {
    abi::FlowFilter f;
    f.term_count = f.range_count = 1;
    f.terms[0] = {FlowField::src, 0, 0, 1};
    f.ranges[0].family = 4;
    f.ranges[0].first = {0, 0x0a000000};
    f.ranges[0].last = {0, 0x0affffff};
    EXPECT_TRUE(dp::fits(f, web()));
    EXPECT_FALSE(dp::fits(f, web(abi::IpFamily::v6)));
    f.terms[0].field = FlowField::dst;
    EXPECT_FALSE(dp::fits(f, web()));
    f.ranges[0].family = 6;
    f.ranges[0].first = {0x20010db8'00510000ULL, 0x80};
    f.ranges[0].last = {0x20010db8'00510000ULL, 0x80};
    EXPECT_TRUE(dp::fits(f, web(abi::IpFamily::v6)));
    f.ranges[0].last = f.ranges[0].first = {0x20010db8'00510000ULL, 0x81};
    EXPECT_FALSE(dp::fits(f, web(abi::IpFamily::v6)));
}

TEST(FlowMatch, TermsAreAndRangesAreOr) {
    abi::FlowFilter f;
    EXPECT_TRUE(dp::fits(f, web())) << "no term: everything";
    add(f, FlowField::dport, 80, 80);
    f.ranges[1].first = f.ranges[1].last = {0, 443};
    f.range_count = 2;
    f.terms[0].range_count = 2;
    EXPECT_TRUE(dp::fits(f, web()));
    f.terms[0].negated = 1;
    EXPECT_FALSE(dp::fits(f, web())) << "in none of them";
    f.terms[0].negated = 0;
    add(f, FlowField::worker, 6, 6);
    EXPECT_FALSE(dp::fits(f, web()));
}

TEST(FlowMatch, IcmpHasNoPorts) {
    abi::FlowRecord ping = web();
    ping.proto = abi::L4Proto::icmp;
    ping.dport = abi::L4Port::of_host(0x0800);
    abi::FlowFilter f;
    add(f, FlowField::dport, 0x0800, 0x0800);
    EXPECT_FALSE(dp::fits(f, ping));
}

TEST(FlowMatch, AFilterIsCheckedBeforeItIsUsed) {
    abi::FlowFilter good;
    add(good, FlowField::worker, 1, 1);
    const auto broken = [&](auto change) {
        abi::FlowFilter f = good;
        change(f);
        return !f.valid();
    };
    EXPECT_TRUE(good.valid());
    EXPECT_TRUE(broken([](auto& f) { f.term_count = abi::kFlowTermsMax + 1; }));
    EXPECT_TRUE(broken([](auto& f) { f.range_count = abi::kFlowRangesMax + 1; }));
    EXPECT_TRUE(broken([](auto& f) { f.terms[0].field = FlowField{0}; }));
    EXPECT_TRUE(broken([](auto& f) { f.terms[0].field = FlowField{abi::kFlowFieldLast + 1}; }));
    EXPECT_TRUE(broken([](auto& f) { f.terms[0].negated = 2; }));
    EXPECT_TRUE(broken([](auto& f) { f.terms[0].first_range = 1; }));
    EXPECT_TRUE(broken([](auto& f) { f.terms[0].range_count = 2; }));
}

}  // namespace
}  // namespace sluice::test
