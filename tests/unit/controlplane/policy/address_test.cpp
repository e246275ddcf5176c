#include "controlplane/policy/address.hpp"

#include <gtest/gtest.h>

namespace sluice::cp {
namespace {

TEST(Address, ReadsAndWritesTheOneSpelling) {
    struct Case {
        std::string_view text, spelt;
        unsigned bits;
    };
    for (const auto& [text, spelt, bits] : {
             Case{"10.0.0.0/8", "10.0.0.0/8", 8},
             Case{"0.0.0.0/0", "0.0.0.0/0", 0},
             Case{"255.255.255.255", "255.255.255.255", 32},
             Case{"192.0.2.1/32", "192.0.2.1", 32},
             Case{"192.0.2.128/25", "192.0.2.128/25", 25},
             Case{"::/0", "::/0", 0},
             Case{"::1", "::1", 128},
             Case{"2001:DB8:0:0:0:0:0:1/128", "2001:db8::1", 128},
             Case{"2001:0db8::/32", "2001:db8::/32", 32},
             Case{"fe80::/10", "fe80::/10", 10},
             Case{"2001:db8:20:1::/63", "", 0},  // bit 64 is set
             Case{"64:ff9b::192.0.2.1", "64:ff9b::c000:201", 128},
         }) {
        const auto prefix = parse_prefix(text);
        ASSERT_EQ(prefix.has_value(), !spelt.empty()) << text;
        if (!prefix) continue;
        EXPECT_EQ(to_text(*prefix), spelt);
        EXPECT_EQ(prefix->bits, bits);
        const auto again = parse_prefix(spelt);
        ASSERT_TRUE(again) << spelt;
        EXPECT_EQ(*again, *prefix);
    }
}

TEST(Address, P5_RefusesWhatTwoProgramsCouldReadAsTwoThings) {
    for (const std::string_view text : {"",
                                        " 10.0.0.1",
                                        "10.0.0.1 ",
                                        "10.0.0.1\n",
                                        "1.2.3",
                                        "1.2.3.4.",
                                        ".1.2.3.4",
                                        "1..2.3",
                                        "+1.2.3.4",
                                        "1.2.3.-4",
                                        "1.2.3.4000",
                                        "0x1.2.3.4",
                                        "010.0.0.1",
                                        "10.0.0.010",
                                        "10.0.0.1/33",
                                        "10.0.0.0/+8",
                                        "10.0.0.0/ 8",
                                        "10.0.0.0/8/8",
                                        "2001:db8::/129",
                                        "::ffff:1.2.3.4",
                                        "::ffff:0:0/96",
                                        "fe80::1%1",
                                        "fe80::1%eth0/64",
                                        "[::1]",
                                        "1::2::3",
                                        "1:2:3:4:5:6:7",
                                        "::g",
                                        "12345::",
                                        "1:2:3:4:5:6:7:8:9",
                                        "::1/",
                                        "2001:db8::1/64",
                                        "3232235777",
                                        "localhost"}) {
        EXPECT_FALSE(parse_prefix(text)) << text;
    }
}

TEST(Address, OfAHostHasNoLength) {
    EXPECT_TRUE(parse_address("192.0.2.1"));
    EXPECT_FALSE(parse_address("192.0.2.1/32"));
    EXPECT_FALSE(parse_address("::ffff:192.0.2.1"));
}

}  // namespace
}  // namespace sluice::cp
