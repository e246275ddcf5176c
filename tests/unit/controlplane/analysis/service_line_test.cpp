#include "controlplane/analysis/service_line.hpp"

#include <gtest/gtest.h>

#include "controlplane/policy/service.hpp"

namespace sluice::cp {
namespace {

using abi::IpFamily;
using abi::L4Proto;
using Texts = std::vector<std::string>;

ServiceRanges line(const Texts& terms, IpFamily family) {
    std::vector<ServiceTerm> list;
    for (const auto& term : terms) list.push_back(parse_service_term(term).value());
    return service_ranges(service_list(list), family);
}

TEST(ServiceLine, EachPlaceIsOnePointAndBack) {
    for (const IpFamily family : {IpFamily::v4, IpFamily::v6}) {
        for (std::uint32_t place = every_service()->front().first; place <= every_service()->back().last; ++place)
            ASSERT_EQ(place_of(service_at(place, family), family), place);
    }
}

TEST(ServiceLine, AnyIsOneRangeWithoutNoNextHeader) {
    for (const IpFamily family : {IpFamily::v4, IpFamily::v6}) {
        const auto any = service_ranges(any_service(), family);
        ASSERT_EQ(any.size(), 1U);
        EXPECT_EQ(any.front().last + 1, every_service()->back().last);
        EXPECT_EQ(service_at(every_service()->back().last, family).proto, L4Proto::ipv6_no_next);
        EXPECT_EQ(to_texts(any, family), Texts{"any"});
        EXPECT_EQ(to_texts(*every_service(), family), (Texts{"any", "proto/59"}));
    }
}

TEST(ServiceLine, IcmpBelongsToItsFamily) {
    EXPECT_TRUE(line({"icmp6"}, IpFamily::v4).empty());
    EXPECT_TRUE(line({"icmp"}, IpFamily::v6).empty());
    EXPECT_EQ(to_texts(line({"icmp6"}, IpFamily::v6), IpFamily::v6), Texts{"icmp6"});
    // The number of the other family's ICMP is a protocol like any other, which only "any" means.
    EXPECT_EQ(service_at(place_of({L4Proto::icmp6, 0}, IpFamily::v4), IpFamily::v4).proto, L4Proto::icmp6);
}

TEST(ServiceLine, TermsAreWrittenAsAPolicyWritesThem) {
    const Texts terms{"tcp/443", "tcp/8000-8100", "udp/53", "icmp/8", "icmp/3/4", "proto/47", "proto/50-51"};
    Texts parsed = terms;
    parsed.back() = "proto/50";
    parsed.emplace_back("proto/51");
    auto texts = to_texts(line(parsed, IpFamily::v4), IpFamily::v4);
    std::swap(texts[3], texts[4]);  // 3/4 stands before 8
    EXPECT_EQ(texts, terms);
    EXPECT_EQ(to_texts({{131'072 + 0x0301, 131'072 + 0x0502}}, IpFamily::v4), Texts{"icmp/3/1-5/2"});
}

TEST(ServiceLine, HalfOfAllPortsIsWideOpen) {
    EXPECT_TRUE(is_wide_open(line({"tcp/1-32768"}, IpFamily::v4)));
    EXPECT_FALSE(is_wide_open(line({"tcp/1-32767", "udp/1-32767", "icmp"}, IpFamily::v4)));
    EXPECT_TRUE(is_wide_open(line({"udp/1024-65535"}, IpFamily::v6)));
}

}  // namespace
}  // namespace sluice::cp
