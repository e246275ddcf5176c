#include "tests/bench/rig/worst_packets.hpp"

#include <algorithm>
#include <array>
#include <random>

#include "dataplane/acl/isa_scalar.hpp"
// The primitives first: the bodies are built with them.
#include "dataplane/acl/addresses_body.hpp"
#include "dataplane/acl/trees_body.hpp"
#include "tests/bench/rig/traces.hpp"

namespace sluice::bench {

namespace {

constexpr std::uint32_t kLineBytes = 64;

template <typename Address>
void find_addresses(const dp::LookupKey& key, const dp::AddressView& src, const dp::AddressView& dst,
                    abi::ClassPoint& point) noexcept {
    dp::scalar::AddressItems<Address> items;
    items.address[0] = Address::read(key.src);
    items.address[1] = Address::read(key.dst);
    items.count = 2;
    dp::scalar::find_classes(items, src, dst);
    point[0] = items.cell[0];
    point[1] = items.cell[1];
}

std::uint16_t transport_class(const dp::TransportView& t, const dp::LookupKey& key) noexcept {
    const auto entry = [&](dp::TransportTable table) {
        return t.tables[static_cast<std::size_t>(table)] + key.dport_or_icmp;
    };
    const bool is_v4 = key.family == abi::IpFamily::v4;
    if (key.proto == abi::L4Proto::tcp) return *entry(dp::TransportTable::tcp);
    if (key.proto == abi::L4Proto::udp) return *entry(dp::TransportTable::udp);
    if (key.proto == abi::L4Proto::icmp && is_v4) return *entry(dp::TransportTable::icmp);
    if (key.proto == abi::L4Proto::icmp6 && !is_v4) return *entry(dp::TransportTable::icmp6);
    return t.tables[static_cast<std::size_t>(dp::TransportTable::by_proto)][static_cast<std::size_t>(key.proto)];
}

abi::ClassPoint point_of(const dp::TableView& table, const dp::LookupKey& key) noexcept {
    abi::ClassPoint point{};
    if (key.family == abi::IpFamily::v4) {
        find_addresses<dp::scalar::AddressV4>(key, table.src_v4, table.dst_v4, point);
    } else {
        find_addresses<dp::scalar::AddressV6>(key, table.src_v6, table.dst_v6, point);
    }
    const auto from = static_cast<std::uint32_t>(key.from), to = static_cast<std::uint32_t>(key.to);
    point[2] = transport_class(table.transport, key);
    point[3] = table.trees.zone_pairs[from * table.trees.zone_count + to];
    return point;
}

/// Header; a map for each side that tells rules apart; then as many rows, or a pair and its answer.
std::uint32_t block_lines(const abi::Block& block) noexcept {
    constexpr std::uint32_t kWordsOfALine = kLineBytes / sizeof(std::uint64_t);
    constexpr auto kHeader = static_cast<std::uint32_t>((sizeof(abi::Block) + kLineBytes - 1) / kLineBytes);
    const auto maps = static_cast<std::uint32_t>(std::ranges::count_if(block.sides, &abi::BlockSide::tells_apart));
    if (block.kind == abi::BlockKind::pairs) return kHeader + maps + 2;
    return kHeader + maps + maps * ((block.word_count + kWordsOfALine - 1) / kWordsOfALine);
}

/// One tree as find_rules goes down it.
void visit_tree(const dp::TreesView& t, std::uint32_t root, const abi::ClassPoint& point, dp::LookupResult& result,
                LookupCost& cost) noexcept {
    const abi::TreeNode* node = t.nodes + root;
    while (true) {
        ++cost.lines;
        ++cost.nodes;
        if ((node->best & ~abi::kObserveBit) >= result.rule) return;
        if (!dp::scalar::cuts(*node)) break;
        node = t.nodes + dp::scalar::child_of(*node, point);
    }
    if (node->kind < abi::kTreeCut) {
        dp::scalar::read_record(t, dp::scalar::record_in_place(*node), point, result);
        return;
    }
    if (node->kind == abi::kTreeLeaf) {
        dp::scalar::read_leaf(t, *node, point, result);
        cost.lines += node->count * static_cast<std::uint32_t>(sizeof(abi::LeafRecord)) / kLineBytes;
        return;
    }
    const dp::scalar::BlockProbe probe{.block = t.blocks + node->base, .item = 0};
    dp::scalar::visit_blocks(t, &point, &probe, 1, &result);
    cost.lines += block_lines(*probe.block);
}

using Random = std::mt19937_64;

struct Candidate {
    AclKey key;
    std::uint32_t lines;
};

}  // namespace

LookupCost lookup_cost(const dp::TableView& table, const dp::LookupKey& key) noexcept {
    const abi::ClassPoint point = point_of(table, key);
    dp::LookupResult result{.rule = table.default_rule(), .observe = abi::kNoRule};
    LookupCost cost;
    for (const std::uint32_t root : table.trees.roots) visit_tree(table.trees, root, point, result, cost);
    cost.rule = result.rule;
    return cost;
}

std::vector<AclKey> worst_trace(const dp::TableView& table, std::span<const FilterRule> rules, std::size_t count,
                                std::uint64_t seed, abi::IpFamily family) {
    constexpr std::size_t kPool = 1U << 16;  // of fields to choose from
    constexpr std::size_t kMoreThanKept = 2;
    constexpr int kChanges = 24;
    const std::vector<AclKey> pool = random_trace(rules, kPool, seed);
    Random random{seed + 2};
    const auto other = [&]() -> const AclKey& { return pool[random() % pool.size()]; };
    const auto lines_of = [&](const AclKey& key) { return lookup_cost(table, lookup_key(key, family)).lines; };
    const auto service_of = [](AclKey& into, const AclKey& from) {
        into.proto = from.proto;
        into.sport = from.sport;
        into.dport = from.dport;
    };
    std::vector<Candidate> found(count * kMoreThanKept);
    for (Candidate& best : found) {
        best.key = other();
        best.key.dst = other().dst;
        service_of(best.key, other());
        best.lines = lines_of(best.key);
        for (int i = 0; i < kChanges; ++i) {
            AclKey changed = best.key;
            const std::size_t field = random() % 3;
            if (field == 0) changed.src = other().src;
            if (field == 1) changed.dst = other().dst;
            if (field == 2) service_of(changed, other());
            if (const std::uint32_t lines = lines_of(changed); lines >= best.lines) best = {changed, lines};
        }
    }
    std::stable_sort(found.begin(), found.end(),
                     [](const Candidate& a, const Candidate& b) { return a.lines > b.lines; });
    found.resize(count);
    std::shuffle(found.begin(), found.end(), random);
    std::vector<AclKey> trace;
    for (const Candidate& one : found) trace.push_back(one.key);
    return trace;
}

}  // namespace sluice::bench
