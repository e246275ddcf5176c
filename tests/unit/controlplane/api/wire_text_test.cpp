#include "controlplane/api/wire_text.hpp"

#include <gtest/gtest.h>

namespace sluice::cp::api {
namespace {

using std::chrono::milliseconds;
using std::chrono::system_clock;

TEST(WireText, TimesAreUtcWithMilliseconds) {
    EXPECT_EQ(time_text(system_clock::time_point{}), "1970-01-01T00:00:00.000Z");
    EXPECT_EQ(time_text(system_clock::time_point{milliseconds{1'795'384'800'007}}), "2026-11-22T22:00:00.007Z");
    EXPECT_EQ(time_text(system_clock::time_point{milliseconds{-1}}), "1969-12-31T23:59:59.999Z");
    EXPECT_EQ(time_text_of_ns(1'795'384'800'007'999'999), "2026-11-22T22:00:00.007Z");
}

TEST(WireText, AddressesReadAndWritten) {
    for (const auto* text : {"192.0.2.1", "0.0.0.0", "2001:db8::1", "::", "::ffff:192.0.2.1"}) {
        const auto address = parse_address(text);
        ASSERT_TRUE(address) << text;
        EXPECT_EQ(address_text(address->first, address->second), text);
    }
    for (const std::string_view bad :
         {"", "192.0.2", "192.0.2.01", "192.0.2.256", "192.0.2.1/32", "fe80::1%eth0", "::1 ", "shop"}) {
        EXPECT_FALSE(parse_address(bad)) << bad;
    }
    EXPECT_FALSE(parse_address(std::string_view{"192.0.2.1\0x", 11}));
}

TEST(WireText, ProtocolsAsInThePolicyLanguage) {
    for (unsigned number = 0; number < 256; ++number) {
        const auto proto = static_cast<abi::L4Proto>(number);
        EXPECT_EQ(parse_protocol(protocol_text(proto)), proto);
        EXPECT_EQ(parse_protocol(std::to_string(number)), proto);
    }
    for (const auto* bad : {"", "TCP", "256", "proto/", "proto/256", "proto/06", "-1"})
        EXPECT_FALSE(parse_protocol(bad)) << bad;
}

TEST(WireText, EveryFlowStateHasItsName) {
    for (std::uint8_t state = 0; state < abi::kFlowStateCount; ++state) {
        EXPECT_NE(flow_state_text(static_cast<abi::FlowState>(state)), "invalid");
    }
    EXPECT_EQ(flow_state_text(static_cast<abi::FlowState>(abi::kFlowStateCount)), "invalid");
}

}  // namespace
}  // namespace sluice::cp::api
