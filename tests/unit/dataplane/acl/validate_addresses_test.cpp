/// S1 for address tables. The IPv4 sources have nodes of every kind that IPv4 has; the IPv6 ones a tail and a span.

#include <gtest/gtest.h>

#include "controlplane/compiler/compiler.hpp"
#include "dataplane/acl/validator.hpp"
#include "tests/harness/generations.hpp"
#include "tests/harness/policies.hpp"

namespace sluice::dp {
namespace {

using R = abi::RefuseReason;
using K = abi::SectionKind;
using abi::AddressNode;
using test::EditableGeneration;

/// Hosts that make as many keys as asked for in one /16.
void hosts(cp::NetSet& set, std::uint32_t net, std::uint32_t count) {
    for (std::uint32_t i = 0; i < count; ++i)
        set.nets.push_back({.family = abi::IpFamily::v4,
                            .bits = 32,
                            .addr = abi::IpAddr::of_v4(abi::Ipv4Addr::of_host((net << 16) + 7 + 11 * i))});
}

const test::CompiledTables& tables() {
    static const test::CompiledTables made{[] {
        test::PolicyBuilder b;
        b.zone("z", {"p0"});
        cp::NetSet set{.name = "many", .nets = {}, .pos = {}};
        hosts(set, 1, 2), hosts(set, 2, 10), hosts(set, 3, 100), hosts(set, 4, 2000);
        for (const char* net : {"2001:db8::1", "2001:db8::5:1", "2001:db8::5:3", "2001:db8::5:5", "2001:db9::/32"})
            set.nets.push_back(test::prefix(net));
        b.policy.sets.push_back(std::move(set));
        b.rule({.id = "r", .from = {"many"}});
        return b.build();
    }()};
    return made;
}

abi::AddressSection& section(EditableGeneration& g, K kind) { return g.section<abi::AddressSection>(kind); }

/// A root cell or the first one inside a table that names a node of this kind.
std::uint32_t& cell_of(EditableGeneration& g, K kind, AddressNode node) {
    abi::AddressSection& s = section(g, kind);
    const auto is = [&](std::uint32_t cell) { return cell >> 28 == (8U | static_cast<std::uint32_t>(node)); };
    auto* const root = &g.element<std::uint32_t>(kind, s.root, 0);
    for (std::size_t i = 0; i < s.root.count; ++i) {
        if (is(root[i])) return root[i];
    }
    auto* const words = &g.element<std::uint32_t>(kind, s.lines, 0);
    for (std::size_t i = 0; i < s.lines.count * 16; ++i) {
        if (is(words[i])) return words[i];
    }
    ADD_FAILURE() << "no node of kind " << static_cast<int>(node);
    return root[0];
}
template <typename Node>
Node& node_of(EditableGeneration& g, K kind, AddressNode node) {
    const std::uint32_t line = cell_of(g, kind, node) & (abi::kAddressLinesMax - 1);
    return reinterpret_cast<Node&>(g.element<abi::AddressLine>(kind, section(g, kind).lines, line));
}

struct Damage {
    const char* name;
    void (*apply)(EditableGeneration&);
    R reason;
};

const Damage kDamages[] = {
    {"root short", [](auto& g) { section(g, K::src_v4).root.count -= 1; }, R::bounds},
    {"no class", [](auto& g) { section(g, K::src_v4).class_count = 0; }, R::bounds},
    {"lines off their edge",
     [](auto& g) {
         section(g, K::src_v4).lines.offset += 8;
         section(g, K::src_v4).lines.count -= 1;
     },
     R::bounds},
    {"root names no class",
     [](auto& g) { g.template element<std::uint32_t>(K::dst_v6, section(g, K::dst_v6).root, 9) = 9'999; }, R::index},
    {"a node behind the end", [](auto& g) { cell_of(g, K::src_v4, AddressNode::small) |= 0xffffffU; }, R::order},
    {"a node of no kind", [](auto& g) { cell_of(g, K::src_v4, AddressNode::small) |= 7U << 28; }, R::enum_value},
    {"chunk 0 again", [](auto& g) { cell_of(g, K::src_v4, AddressNode::small) &= ~(7U << 25); }, R::order},
    {"a chunk that IPv4 has not", [](auto& g) { cell_of(g, K::src_v4, AddressNode::small) ^= 3U << 25; }, R::order},
    {"a tail in IPv4",
     [](auto& g) {
         std::uint32_t& cell = cell_of(g, K::src_v4, AddressNode::small);
         cell = abi::kAddressIsNode | static_cast<std::uint32_t>(AddressNode::tail) << 28 |
                (cell & (abi::kAddressLinesMax - 1));
     },
     R::order},
    {"one line, two kinds",
     [](auto& g) {
         const std::uint32_t line = cell_of(g, K::src_v4, AddressNode::small) & (abi::kAddressLinesMax - 1);
         cell_of(g, K::src_v4, AddressNode::bitmap) =
             abi::kAddressIsNode | static_cast<std::uint32_t>(AddressNode::medium) << 28 | 1U << 25 | line;
     },
     R::order},
    {"a small node's last cell",
     [](auto& g) { node_of<abi::AddressSmall>(g, K::src_v4, AddressNode::small).cells[9] = 9'999; }, R::index},
    {"a node that names itself",
     [](auto& g) {
         const std::uint32_t cell = cell_of(g, K::src_v6, AddressNode::small);
         node_of<abi::AddressSmall>(g, K::src_v6, AddressNode::small).cells[0] = cell;
     },
     R::order},
    {"no group of keys", [](auto& g) { node_of<abi::AddressLarge>(g, K::src_v4, AddressNode::large).group_count = 0; },
     R::bounds},
    {"too many groups of keys",
     [](auto& g) { node_of<abi::AddressLarge>(g, K::src_v4, AddressNode::large).group_count = 30; }, R::bounds},
    {"a bitmap that counts wrong",
     [](auto& g) { node_of<abi::AddressBits>(g, K::src_v4, AddressNode::bitmap).bits ^= 1; }, R::order},
    {"a tail's last cell", [](auto& g) { node_of<abi::AddressTail>(g, K::src_v6, AddressNode::tail).cells[3] = 9'999; },
     R::index},
    {"what is behind a span",
     [](auto& g) { node_of<abi::AddressSpan>(g, K::src_v6, AddressNode::span).behind = 9'999; }, R::index},
    {"visits", [](auto& g) { section(g, K::src_v4).node_visits_max += 1; }, R::bounds},
    {"classes of its own", [](auto& g) { section(g, K::dst_v6).class_count += 1; }, R::bounds},
};

TEST(ValidateAddresses, S1RefusesEachDamageWithItsReason) {
    ASSERT_TRUE(EditableGeneration{tables().compiled()}.manifest().bytes);
    for (const Damage& damage : kDamages) {
        EditableGeneration g{tables().compiled()};
        damage.apply(g);
        g.fix_digests();
        const auto view = g.validate({.rule_slots_max = 64});
        ASSERT_FALSE(view) << damage.name;
        EXPECT_EQ(view.error().reason, damage.reason) << damage.name << ": " << view.error().where;
    }
}

/// A chain of spans as long as the section: each names the one before. It must be refused, not followed to the end.
TEST(ValidateAddresses, S1RefusesALongWalkWithoutWalkingIt) {
    EditableGeneration g{tables().compiled()};
    abi::AddressSection& s = section(g, K::src_v6);
    auto& bytes = g.section_bytes(K::src_v6);
    const std::size_t lines_at = s.lines.offset;
    bytes.resize(lines_at + 100'000 * sizeof(abi::AddressLine));
    auto* const lines = reinterpret_cast<abi::AddressSpan*>(bytes.data() + lines_at);
    const auto span_at = [](std::uint32_t line) {
        return abi::kAddressIsNode | static_cast<std::uint32_t>(AddressNode::span) << 28 | line;
    };
    for (std::uint32_t i = 0; i < 100'000; ++i) lines[i] = {.inside = i == 0 ? 0 : span_at(i - 1)};
    abi::AddressSection& grown = section(g, K::src_v6);
    grown.lines.count = 100'000;
    grown.header.bytes = bytes.size();
    for (std::size_t i = 0; i < grown.root.count; ++i)
        g.element<std::uint32_t>(K::src_v6, grown.root, i) = span_at(99'999);
    g.fix_digests();
    const auto view = g.validate({.rule_slots_max = 64});
    ASSERT_FALSE(view);
    EXPECT_EQ(view.error().reason, R::budget) << view.error().where;
}

}  // namespace
}  // namespace sluice::dp
