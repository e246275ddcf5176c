/// A whole lookup of a batch: the four classes of every packet, then its rules. isa.hpp says how this file is built.
#pragma once

#include <array>
#include <cassert>
#include <cstddef>
#include <cstdint>
#include <span>

#include "dataplane/acl/lookup.hpp"

#ifndef SLUICE_ISA
#include "dataplane/acl/isa_scalar.hpp"
#endif
#include "dataplane/acl/addresses_body.hpp"
#include "dataplane/acl/isa.hpp"
#include "dataplane/acl/trees_body.hpp"

namespace sluice::dp::SLUICE_ISA {

/// By family and protocol. ICMP in IPv6 and ICMPv6 in IPv4 are neither: they go by protocol number, whose class holds
/// the rules for any service only.
inline constexpr auto kTransportTables = [] {
    std::array<std::array<TransportTable, 256>, 2> tables{};
    for (auto& family : tables) {
        family[static_cast<std::size_t>(abi::L4Proto::tcp)] = TransportTable::tcp;
        family[static_cast<std::size_t>(abi::L4Proto::udp)] = TransportTable::udp;
    }
    tables[0][static_cast<std::size_t>(abi::L4Proto::icmp)] = TransportTable::icmp;
    tables[1][static_cast<std::size_t>(abi::L4Proto::icmp6)] = TransportTable::icmp6;
    return tables;
}();

SLUICE_ISA_TARGET inline const std::uint16_t* transport_entry(const TransportView& t, const LookupKey& key) noexcept {
    const auto proto = static_cast<std::size_t>(key.proto);
    const auto table = static_cast<std::size_t>(kTransportTables[key.family == abi::IpFamily::v4 ? 0 : 1][proto]);
    return t.tables[table] + (table == 0 ? proto : key.dport_or_icmp);
}

/// Source and destination classes of those keys of one family whose places are listed.
template <typename Address>
SLUICE_ISA_TARGET inline void find_addresses(std::span<const LookupKey> keys, abi::ClassPoint* points,
                                             const AddressView& src, const AddressView& dst, const std::uint8_t* places,
                                             std::uint32_t count) noexcept {
    if (count == 0) return;
    AddressItems<Address> items;
    for (std::uint32_t j = 0; j < count; ++j) {
        const LookupKey& key = keys[places[j]];
        items.address[j] = Address::read(key.src);
        items.address[count + j] = Address::read(key.dst);
    }
    items.count = 2 * count;
    find_classes(items, src, dst);
    for (std::uint32_t j = 0; j < count; ++j) {
        points[places[j]][0] = items.cell[j];
        points[places[j]][1] = items.cell[count + j];
    }
}

SLUICE_ISA_TARGET void lookup(const LookupTables& tables, SetAnswers answers, std::span<const LookupKey> keys,
                              std::span<LookupResult> results) noexcept {
    assert(keys.size() <= kLookupBatchMax && results.size() == keys.size());
    abi::ClassPoint points[kLookupBatchMax];
    const std::uint16_t* transport[kLookupBatchMax];
    std::uint8_t v4[kLookupBatchMax + 1], v6[kLookupBatchMax + 1];
    std::uint32_t v4_count = 0, v6_count = 0;
    const auto count = static_cast<std::uint32_t>(keys.size());
    for (std::uint32_t i = 0; i < count; ++i) {
        transport[i] = transport_entry(tables.transport, keys[i]);
        __builtin_prefetch(transport[i], 0, 3);
        const std::uint32_t is_v4 = keys[i].family == abi::IpFamily::v4 ? 1 : 0;
        v4[v4_count] = v6[v6_count] = static_cast<std::uint8_t>(i);
        v4_count += is_v4;
        v6_count += 1 - is_v4;
    }
    find_addresses<AddressV4>(keys, points, tables.src_v4, tables.dst_v4, v4, v4_count);
    find_addresses<AddressV6>(keys, points, tables.src_v6, tables.dst_v6, v6, v6_count);
    const TreesView& trees = tables.trees;
    for (std::uint32_t i = 0; i < count; ++i) {
        const auto from = static_cast<std::uint32_t>(keys[i].from), to = static_cast<std::uint32_t>(keys[i].to);
        assert(from < trees.zone_count && to < trees.zone_count);
        points[i][2] = *transport[i];
        const std::uint32_t answered = answers == nullptr ? 0 : answers[i];
        points[i][3] = trees.zone_pairs[((from * trees.zone_count + to) << trees.set_use_count) | answered];
        results[i] = {.rule = tables.no_match, .observe = abi::kNoRule};
    }
    find_rules(trees, points, count, results.data());
}

}  // namespace sluice::dp::SLUICE_ISA
