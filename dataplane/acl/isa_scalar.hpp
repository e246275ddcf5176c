/// What differs between instruction sets, without any: counting keys, matching records, intersecting rows.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

#include <sluice/abi/tables.hpp>

#define SLUICE_ISA scalar
#define SLUICE_ISA_TARGET

namespace sluice::dp::scalar {

/// How many of `Count` ascending keys are not above `value`.
template <std::size_t Count>
inline std::uint32_t keys_up_to(const std::uint16_t* keys, std::uint16_t value) noexcept {
    std::uint32_t count = 0;
    for (std::size_t i = 0; i < Count; ++i) count += keys[i] <= value ? 1 : 0;
    return count;
}
inline std::uint32_t small_keys(const abi::AddressSmall& node, std::uint16_t value) noexcept {
    return keys_up_to<9>(node.keys.data(), value);
}
/// `line` is an AddressMedium or AddressLarge: 28 keys behind 8 bytes.
inline std::uint32_t line_keys(const void* line, std::uint16_t value) noexcept {
    return keys_up_to<28>(static_cast<const std::uint16_t*>(line) + 4, value);
}
inline std::uint32_t group_keys(const void* line, std::uint16_t value) noexcept {
    return keys_up_to<abi::kAddressGroupKeys>(static_cast<const std::uint16_t*>(line), value);
}

/// Whether the record's ranges hold the point; its condition is not looked at.
inline bool is_within(const abi::LeafRecord& record, const abi::ClassPoint& point) noexcept {
    unsigned inside = 1;
    for (std::size_t d = 0; d < 2; ++d) {
        inside &=
            static_cast<unsigned>(record.first[d] <= point[d]) & static_cast<unsigned>(point[d] <= record.last[d]);
        const std::uint32_t narrow = point[2 + d];
        inside &= static_cast<unsigned>(record.narrow_first[d] <= narrow) &
                  static_cast<unsigned>(narrow <= record.narrow_last[d]);
    }
    return inside != 0;
}

/// Rows of a block, one per dimension; `see(word, first_rule)` gets every word of matches that is not 0 and returns
/// true to end.
using RowSet = std::array<const std::uint64_t*, abi::kDimensionCount>;
template <typename See>
inline void intersect_rows(const RowSet& rows, std::uint32_t word_count, See& see) noexcept {
    for (std::uint32_t w = 0; w < word_count; ++w) {
        const std::uint64_t match = rows[0][w] & rows[1][w] & rows[2][w] & rows[3][w];
        if (match != 0 && see(match, w)) return;
    }
}

}  // namespace sluice::dp::scalar
