/// S1 for the transport section.

#include <gtest/gtest.h>

#include "tests/unit/dataplane/acl/damage.hpp"

namespace sluice::dp {
namespace {

using R = abi::RefuseReason;
using test::EditableGeneration;
using K = abi::SectionKind;

abi::TransportSection& transport(EditableGeneration& g) { return g.section<abi::TransportSection>(K::transport); }

const Damage kDamages[] = {
    {"port names no class",
     [](auto& g) { g.template element<std::uint16_t>(K::transport, transport(g).tcp_dport, 65'535) = 999; }, R::index},
    {"protocol names no class",
     [](auto& g) { g.template element<std::uint16_t>(K::transport, transport(g).proto_class, 255) = 999; }, R::index},
    {"ICMP table short", [](auto& g) { transport(g).icmp.count = 65'535; }, R::bounds},
    {"no class", [](auto& g) { transport(g).class_count = 0; }, R::bounds},
    {"padding", [](auto& g) { transport(g).must_be_zero = 1; }, R::bounds},
    {"classes that the trees have not", [](auto& g) { transport(g).class_count += 1; }, R::bounds},
};

TEST(ValidateTransport, S1RefusesEachDamageWithItsReason) { expect_refused(kDamages); }

}  // namespace
}  // namespace sluice::dp
