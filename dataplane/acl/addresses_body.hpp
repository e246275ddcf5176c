/// Address -> class for a batch: all addresses of all packets, both sides and families, walk their tables together, one
/// node a round. Within a round, items are sorted by the kind of their node, so that each kind is one short loop
/// without a branch that traffic could make the CPU guess wrong. isa.hpp says how this file is built.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <type_traits>

#include <sluice/abi/tables.hpp>

#include "dataplane/acl/lookup.hpp"

#ifndef SLUICE_ISA
#include "dataplane/acl/isa_scalar.hpp"
#endif

namespace sluice::dp::SLUICE_ISA {

inline constexpr std::size_t kAddressItemsMax = 2 * kLookupBatchMax;

/// An address, ready to be looked at in chunks and whole.
struct AddressV4 {
    std::uint32_t value;
    SLUICE_ISA_TARGET static AddressV4 read(const abi::IpAddr& a) noexcept { return {a.v4().to_host()}; }
    SLUICE_ISA_TARGET std::uint32_t top() const noexcept { return value >> 16; }
    /// Of what a node looks at: there is but one chunk left.
    SLUICE_ISA_TARGET std::uint16_t chunk_for(std::uint32_t) const noexcept {
        return static_cast<std::uint16_t>(value);
    }
};
struct AddressV6 {
    std::uint64_t high, low;
    const std::uint8_t* bytes;
    SLUICE_ISA_TARGET static AddressV6 read(const abi::IpAddr& a) noexcept {
        return {abi::NetOrder<std::uint64_t>::read(a.bytes.data()).to_host(),
                abi::NetOrder<std::uint64_t>::read(a.bytes.data() + 8).to_host(), a.bytes.data()};
    }
    SLUICE_ISA_TARGET std::uint32_t top() const noexcept { return static_cast<std::uint32_t>(high >> 48); }
    SLUICE_ISA_TARGET std::uint16_t chunk_for(std::uint32_t cell) const noexcept {
        return abi::NetOrder<std::uint16_t>::read(bytes + 2 * (cell >> 25 & 7U)).to_host();
    }
};

/// Left uninitialised: each pass writes what the next one reads. The first half of `count` items are sources, the other
/// half destinations.
template <typename Address>
struct AddressItems {
    Address address[kAddressItemsMax];
    std::uint32_t cell[kAddressItemsMax];  ///< in the end, the class
    const std::byte* node[kAddressItemsMax];
    const std::uint32_t* next[kAddressItemsMax];
    std::uint8_t active[kAddressItemsMax];
    std::uint8_t by_kind[8][kAddressItemsMax];
    std::uint32_t count, active_count;

    SLUICE_ISA_TARGET std::uint16_t chunk(std::uint32_t i) const noexcept { return address[i].chunk_for(cell[i]); }
};

/// Looks at the cell just found; where it is a node, asks for the line that is read first and keeps the item active. No
/// branch: where it is a class, some line that is surely there is asked for.
template <typename Address>
SLUICE_ISA_TARGET inline void note(AddressItems<Address>& items, const AddressView& table, std::uint32_t i) noexcept {
    const std::uint32_t cell = items.cell[i];
    const std::uint32_t is_node = cell >> 31;
    const std::uint32_t is_bitmap = (cell >> 28) == (8U | static_cast<std::uint32_t>(abi::AddressNode::bitmap)) ? 1 : 0;
    const std::uint32_t line = cell & (abi::kAddressLinesMax - 1) & (0U - is_node);
    const std::byte* const node = reinterpret_cast<const std::byte*>(table.lines + line);
    items.node[i] = node;
    __builtin_prefetch(node + (sizeof(abi::AddressBits) * (items.chunk(i) >> 6) & (0U - is_bitmap)), 0, 3);
    items.active[items.active_count] = static_cast<std::uint8_t>(i);
    items.active_count += is_node;
}

template <typename Address>
SLUICE_ISA_TARGET inline void visit_small(AddressItems<Address>& items, const std::uint8_t* list,
                                          std::uint32_t n) noexcept {
    for (std::uint32_t j = 0; j < n; ++j) {
        const std::uint32_t i = list[j];
        const auto& node = *reinterpret_cast<const abi::AddressSmall*>(items.node[i]);
        items.cell[i] = node.cells[small_keys(node, items.chunk(i))];
    }
}

template <typename Address>
SLUICE_ISA_TARGET inline void visit_tail(AddressItems<Address>& items, const std::uint8_t* list,
                                         std::uint32_t n) noexcept {
    for (std::uint32_t j = 0; j < n; ++j) {
        const std::uint32_t i = list[j];
        const auto& node = *reinterpret_cast<const abi::AddressTail*>(items.node[i]);
        const std::uint64_t high = items.address[i].high, low = items.address[i].low;
        std::uint32_t k = 0;
        for (const auto& key : node.keys)
            k += static_cast<std::uint32_t>(key[0] < high) |
                 (static_cast<std::uint32_t>(key[0] == high) & static_cast<std::uint32_t>(key[1] <= low));
        items.cell[i] = node.cells[k];
    }
}

template <typename Address>
SLUICE_ISA_TARGET inline void visit_span(AddressItems<Address>& items, const std::uint8_t* list,
                                         std::uint32_t n) noexcept {
    for (std::uint32_t j = 0; j < n; ++j) {
        const std::uint32_t i = list[j];
        const auto& node = *reinterpret_cast<const abi::AddressSpan*>(items.node[i]);
        const std::uint64_t high = items.address[i].high, low = items.address[i].low;
        const bool before = high < node.first[0] || (high == node.first[0] && low < node.first[1]);
        const bool behind = high > node.last[0] || (high == node.last[0] && low > node.last[1]);
        items.cell[i] = before ? node.before : behind ? node.behind : node.inside;
    }
}

template <typename Address>
SLUICE_ISA_TARGET inline void ask_medium(AddressItems<Address>& items, const std::uint8_t* list,
                                         std::uint32_t n) noexcept {
    for (std::uint32_t j = 0; j < n; ++j) {
        const std::uint32_t i = list[j];
        const auto* const cells = reinterpret_cast<const std::uint32_t*>(items.node[i] + sizeof(abi::AddressMedium));
        items.next[i] = cells + line_keys(items.node[i], items.chunk(i));
        __builtin_prefetch(items.next[i], 0, 3);
    }
}

template <typename Address>
SLUICE_ISA_TARGET inline void ask_bitmap(AddressItems<Address>& items, const std::uint8_t* list,
                                         std::uint32_t n) noexcept {
    for (std::uint32_t j = 0; j < n; ++j) {
        const std::uint32_t i = list[j];
        const std::uint32_t value = items.chunk(i);
        const auto* const words = reinterpret_cast<const abi::AddressBits*>(items.node[i]);
        const abi::AddressBits& word = words[value >> 6];
        const std::uint64_t up_to = word.bits << (63 - (value & 63U));
        const auto* const cells = reinterpret_cast<const std::uint32_t*>(words + abi::kAddressBitmapWords);
        items.next[i] = cells + word.before + static_cast<std::uint32_t>(std::popcount(up_to));
        __builtin_prefetch(items.next[i], 0, 3);
    }
}

/// First the separators, which name a line of keys; then, in a pass of its own, that line, which names a cell.
template <typename Address>
SLUICE_ISA_TARGET inline void ask_large(AddressItems<Address>& items, const std::uint8_t* list,
                                        std::uint32_t n) noexcept {
    for (std::uint32_t j = 0; j < n; ++j) {
        const std::uint32_t i = list[j];
        const auto& node = *reinterpret_cast<const abi::AddressLarge*>(items.node[i]);
        const std::uint32_t group = std::min(line_keys(&node, items.chunk(i)), node.group_count - 1);
        const std::byte* const keys = items.node[i] + sizeof node + group * sizeof(abi::AddressLine);
        const auto* const cells =
            reinterpret_cast<const std::uint32_t*>(items.node[i] + (1 + node.group_count) * sizeof(abi::AddressLine));
        items.next[i] = cells + group * abi::kAddressGroupKeys;
        items.node[i] = keys;
        __builtin_prefetch(keys, 0, 3);
    }
}
template <typename Address>
SLUICE_ISA_TARGET inline void ask_group(AddressItems<Address>& items, const std::uint8_t* list,
                                        std::uint32_t n) noexcept {
    for (std::uint32_t j = 0; j < n; ++j) {
        const std::uint32_t i = list[j];
        items.next[i] += group_keys(items.node[i], items.chunk(i));
        __builtin_prefetch(items.next[i], 0, 3);
    }
}

template <typename Address>
SLUICE_ISA_TARGET inline void take(AddressItems<Address>& items, const std::uint8_t* list, std::uint32_t n) noexcept {
    for (std::uint32_t j = 0; j < n; ++j) items.cell[list[j]] = *items.next[list[j]];
}

template <typename Address>
SLUICE_ISA_TARGET inline void visit_nodes(AddressItems<Address>& items, const AddressView& src,
                                          const AddressView& dst) noexcept {
    constexpr auto kSmall = static_cast<std::size_t>(abi::AddressNode::small);
    constexpr auto kMedium = static_cast<std::size_t>(abi::AddressNode::medium);
    constexpr auto kLarge = static_cast<std::size_t>(abi::AddressNode::large);
    constexpr auto kBitmap = static_cast<std::size_t>(abi::AddressNode::bitmap);
    std::uint32_t n[8] = {};
    for (std::uint32_t j = 0; j < items.active_count; ++j) {
        const std::uint8_t i = items.active[j];
        const std::uint32_t kind = items.cell[i] >> 28 & 7U;
        items.by_kind[kind][n[kind]++] = i;
    }
    ask_large(items, items.by_kind[kLarge], n[kLarge]);
    ask_medium(items, items.by_kind[kMedium], n[kMedium]);
    ask_bitmap(items, items.by_kind[kBitmap], n[kBitmap]);
    visit_small(items, items.by_kind[kSmall], n[kSmall]);
    if constexpr (std::is_same_v<Address, AddressV6>) {
        constexpr auto kTail = static_cast<std::size_t>(abi::AddressNode::tail);
        constexpr auto kSpan = static_cast<std::size_t>(abi::AddressNode::span);
        visit_tail(items, items.by_kind[kTail], n[kTail]);
        visit_span(items, items.by_kind[kSpan], n[kSpan]);
    }
    ask_group(items, items.by_kind[kLarge], n[kLarge]);
    take(items, items.by_kind[kMedium], n[kMedium]);
    take(items, items.by_kind[kBitmap], n[kBitmap]);
    take(items, items.by_kind[kLarge], n[kLarge]);

    const std::uint32_t before = items.active_count, half = items.count / 2;
    items.active_count = 0;
    if constexpr (std::is_same_v<Address, AddressV6>) {
        for (std::uint32_t j = 0; j < before; ++j) {
            const std::uint32_t i = items.active[j];
            note(items, i < half ? src : dst, i);
        }
    }
}

/// Precondition: address and count are set. An IPv4 address has one chunk below the root, so one round of nodes.
template <typename Address>
SLUICE_ISA_TARGET inline void find_classes(AddressItems<Address>& items, const AddressView& src,
                                           const AddressView& dst) noexcept {
    const std::uint32_t half = items.count / 2;
    for (std::uint32_t i = 0; i < half; ++i) {
        __builtin_prefetch(src.root + items.address[i].top(), 0, 3);
        __builtin_prefetch(dst.root + items.address[half + i].top(), 0, 3);
    }
    items.active_count = 0;
    for (std::uint32_t i = 0; i < half; ++i) {
        items.cell[i] = src.root[items.address[i].top()];
        note(items, src, i);
    }
    for (std::uint32_t i = half; i < items.count; ++i) {
        items.cell[i] = dst.root[items.address[i].top()];
        note(items, dst, i);
    }
    while (items.active_count != 0) visit_nodes(items, src, dst);
}

}  // namespace sluice::dp::SLUICE_ISA
