/// S1 for address and transport classes.

#include <gtest/gtest.h>

#include "tests/unit/dataplane/acl/damage.hpp"

namespace sluice::dp {
namespace {

using R = abi::RefuseReason;
using test::EditableGeneration;
using K = abi::SectionKind;

abi::AddrClassSection& src4(EditableGeneration& g) { return g.section<abi::AddrClassSection>(K::src_v4); }
abi::AddrClassSection& dst6(EditableGeneration& g) { return g.section<abi::AddrClassSection>(K::dst_v6); }
abi::TransportSection& transport(EditableGeneration& g) { return g.section<abi::TransportSection>(K::transport); }

const Damage kAddressDamages[] = {
    {"root short", [](auto& g) { src4(g).root.count -= 1; }, R::bounds},
    {"root names no interval", [](auto& g) { g.template element<std::uint32_t>(K::src_v4, src4(g).root, 5) = 99; },
     R::index},
    {"root of another place", [](auto& g) { g.template element<std::uint32_t>(K::dst_v6, dst6(g).root, 0x2002) = 0; },
     R::order},
    {"last root entry", [](auto& g) { g.template element<std::uint32_t>(K::dst_v6, dst6(g).root, 65'536) = 0; },
     R::order},
    {"no intervals", [](auto& g) { src4(g).intervals.count = 0; }, R::bounds},
    {"first interval not 0",
     [](auto& g) { g.template element<abi::IntervalV4>(K::src_v4, src4(g).intervals, 0).first = 1; }, R::order},
    {"intervals out of order",
     [](auto& g) { g.template element<abi::IntervalV6>(K::dst_v6, dst6(g).intervals, 2).first_high = 0; }, R::order},
    {"interval padding",
     [](auto& g) { g.template element<abi::IntervalV6>(K::dst_v6, dst6(g).intervals, 1).must_be_zero = 1; }, R::bounds},
    {"interval names no class",
     [](auto& g) { g.template element<abi::IntervalV6>(K::dst_v6, dst6(g).intervals, 1).class_index = 7; }, R::index},
    {"no class", [](auto& g) { src4(g).class_count = 0; }, R::bounds},
    {"rows short", [](auto& g) { dst6(g).rows.count -= 1; }, R::bounds},
    {"rows count wraps", [](auto& g) { dst6(g).class_count = ~0U; }, R::bounds},
    {"row of a width of its own", [](auto& g) { src4(g).word_count = 0; }, R::bounds},
    {"row with bits behind the terms",
     [](auto& g) { g.template element<std::uint64_t>(K::dst_v6, dst6(g).rows, 0) |= 8; }, R::bounds},
};

TEST(ValidateAddresses, S1RefusesEachDamageWithItsReason) { expect_refused(kAddressDamages); }

const Damage kTransportDamages[] = {
    {"port names no class",
     [](auto& g) { g.template element<std::uint16_t>(K::transport, transport(g).tcp_dport, 65'535) = 999; }, R::index},
    {"protocol names no class",
     [](auto& g) { g.template element<std::uint16_t>(K::transport, transport(g).proto_class, 255) = 999; }, R::index},
    {"ICMP table short", [](auto& g) { transport(g).icmp.count = 65'535; }, R::bounds},
    {"transport row with bits behind the terms",
     [](auto& g) { g.template element<std::uint64_t>(K::transport, transport(g).rows, 0) |= 8; }, R::bounds},
};

TEST(ValidateTransport, S1RefusesEachDamageWithItsReason) { expect_refused(kTransportDamages); }

}  // namespace
}  // namespace sluice::dp
