/// What differs between instruction sets: AVX-512, a cache line at a time.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

#include <immintrin.h>

#include <sluice/abi/tables.hpp>

#define SLUICE_ISA avx512
#define SLUICE_ISA_TARGET [[gnu::target("avx2,avx512f,avx512bw,avx512vl,bmi,bmi2,lzcnt,popcnt")]]

namespace sluice::dp::avx512 {

SLUICE_ISA_TARGET inline std::uint32_t not_above(const void* line, std::uint16_t value, __mmask32 lanes) noexcept {
    const __m512i keys = _mm512_loadu_si512(line);
    const __m512i wanted = _mm512_set1_epi16(static_cast<std::int16_t>(value));
    return static_cast<std::uint32_t>(std::popcount(_mm512_mask_cmple_epu16_mask(lanes, keys, wanted)));
}
SLUICE_ISA_TARGET inline std::uint32_t small_keys(const abi::AddressSmall& node, std::uint16_t value) noexcept {
    return not_above(&node, value, 0x7fcU);  // nine keys behind 4 bytes
}
/// `line` is an AddressMedium or AddressLarge: 28 keys behind 8 bytes.
SLUICE_ISA_TARGET inline std::uint32_t line_keys(const void* line, std::uint16_t value) noexcept {
    return not_above(line, value, 0xfffffff0U);
}
SLUICE_ISA_TARGET inline std::uint32_t group_keys(const void* line, std::uint16_t value) noexcept {
    return not_above(line, value, 0xffffffffU);
}

/// Whether the record's ranges hold the point; its condition is not looked at. A record begins with four 32-bit bounds
/// (two first, two last), then four of 16 bits.
SLUICE_ISA_TARGET inline bool is_within(const abi::LeafRecord& record, const abi::ClassPoint& point) noexcept {
    const auto* const bounds = reinterpret_cast<const __m128i*>(&record);
    const __m128i wide = _mm_set1_epi64x(static_cast<std::int64_t>(point[0] | std::uint64_t{point[1]} << 32));
    const __m128i wide_bounds = _mm_loadu_si128(bounds);
    const __m128i narrow = _mm_set1_epi32(static_cast<std::int32_t>(point[2] | point[3] << 16));
    const __m128i narrow_bounds = _mm_loadl_epi64(bounds + 1);
    const unsigned inside = _mm_mask_cmple_epu32_mask(0x3, wide_bounds, wide) |
                            _mm_mask_cmpge_epu32_mask(0xc, wide_bounds, wide) |
                            static_cast<unsigned>(_mm_mask_cmple_epu16_mask(0x3, narrow_bounds, narrow) |
                                                  _mm_mask_cmpge_epu16_mask(0xc, narrow_bounds, narrow))
                                << 4;
    return inside == 0xff;
}

/// Rows of a block, one per dimension; `see(word, first_rule)` gets every word of matches that is not 0 and returns
/// true to end.
using RowSet = std::array<const std::uint64_t*, abi::kDimensionCount>;
template <typename See>
SLUICE_ISA_TARGET inline void intersect_rows(const RowSet& rows, std::uint32_t word_count, See& see) noexcept {
    for (std::uint32_t w = 0; w < word_count; w += 8) {
        // Rows lie back to back: the last words of a row are loaded under a mask, never past its end.
        const std::uint32_t left = word_count - w;
        const auto lanes = static_cast<__mmask8>(left >= 8 ? 0xffU : (1U << left) - 1);
        __m512i match = _mm512_maskz_loadu_epi64(lanes, rows[0] + w);
        for (std::size_t d = 1; d < abi::kDimensionCount; ++d)
            match = _mm512_and_si512(match, _mm512_maskz_loadu_epi64(lanes, rows[d] + w));
        unsigned nonzero = _mm512_test_epi64_mask(match, match);
        if (nonzero == 0) continue;
        alignas(64) std::uint64_t words[8];
        _mm512_store_si512(words, match);
        for (; nonzero != 0; nonzero &= nonzero - 1) {
            const auto i = static_cast<std::uint32_t>(std::countr_zero(nonzero));
            if (see(words[i], w + i)) return;
        }
    }
}

}  // namespace sluice::dp::avx512
