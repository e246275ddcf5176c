/// What differs between instruction sets: AVX2, 32 bytes at a time.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

#include <immintrin.h>

#include <sluice/abi/tables.hpp>

#define SLUICE_ISA avx2
#define SLUICE_ISA_TARGET [[gnu::target("avx2,bmi,bmi2,lzcnt,popcnt")]]

namespace sluice::dp::avx2 {

/// Two bits a key that is not above `value` (unsigned: `key - value`, saturating, is 0).
SLUICE_ISA_TARGET inline std::uint32_t not_above(const void* sixteen_keys, __m256i value) noexcept {
    const __m256i keys = _mm256_loadu_si256(static_cast<const __m256i*>(sixteen_keys));
    const __m256i zero = _mm256_cmpeq_epi16(_mm256_subs_epu16(keys, value), _mm256_setzero_si256());
    return static_cast<std::uint32_t>(_mm256_movemask_epi8(zero));
}
SLUICE_ISA_TARGET inline std::uint32_t small_keys(const abi::AddressSmall& node, std::uint16_t value) noexcept {
    const __m128i keys = _mm_loadu_si128(reinterpret_cast<const __m128i*>(node.keys.data()));
    const __m128i zero =
        _mm_cmpeq_epi16(_mm_subs_epu16(keys, _mm_set1_epi16(static_cast<std::int16_t>(value))), _mm_setzero_si128());
    return static_cast<std::uint32_t>(std::popcount(static_cast<unsigned>(_mm_movemask_epi8(zero)))) / 2 +
           (node.keys[8] <= value ? 1U : 0U);
}
/// `line` is an AddressMedium or AddressLarge: 28 keys behind 8 bytes.
SLUICE_ISA_TARGET inline std::uint32_t line_keys(const void* line, std::uint16_t value) noexcept {
    const __m256i wanted = _mm256_set1_epi16(static_cast<std::int16_t>(value));
    const std::uint32_t low = not_above(line, wanted) & ~0xffU;  // the first 8 bytes are no keys
    const std::uint32_t high = not_above(static_cast<const std::byte*>(line) + 32, wanted);
    return static_cast<std::uint32_t>(std::popcount(low) + std::popcount(high)) / 2;
}
SLUICE_ISA_TARGET inline std::uint32_t group_keys(const void* line, std::uint16_t value) noexcept {
    const __m256i wanted = _mm256_set1_epi16(static_cast<std::int16_t>(value));
    const std::uint32_t low = not_above(line, wanted);
    const std::uint32_t high = not_above(static_cast<const std::byte*>(line) + 32, wanted);
    return static_cast<std::uint32_t>(std::popcount(low) + std::popcount(high)) / 2;
}

/// Whether the record's ranges hold the point; its condition is not looked at. A record begins with four 32-bit bounds
/// (two first, two last), then four of 16 bits: max(point, first) and min(point, last) must be the point.
SLUICE_ISA_TARGET inline bool is_within(const abi::LeafRecord& record, const abi::ClassPoint& point) noexcept {
    const auto* const bounds = reinterpret_cast<const __m128i*>(&record);
    const __m128i wide = _mm_set1_epi64x(static_cast<std::int64_t>(point[0] | std::uint64_t{point[1]} << 32));
    const __m128i wide_bounds = _mm_loadu_si128(bounds);
    const __m128i wide_kept = _mm_blend_epi16(_mm_max_epu32(wide, wide_bounds), _mm_min_epu32(wide, wide_bounds), 0xf0);
    const __m128i narrow = _mm_cvtsi64_si128(
        static_cast<std::int64_t>((point[2] | std::uint64_t{point[3]} << 16) * std::uint64_t{0x100000001}));
    const __m128i narrow_bounds = _mm_loadl_epi64(bounds + 1);
    const __m128i narrow_kept =
        _mm_blend_epi16(_mm_max_epu16(narrow, narrow_bounds), _mm_min_epu16(narrow, narrow_bounds), 0xfc);
    const __m128i differ = _mm_or_si128(_mm_xor_si128(wide, wide_kept), _mm_xor_si128(narrow, narrow_kept));
    return _mm_testz_si128(differ, differ) != 0;
}

/// Rows of a block, one per dimension; `see(word, first_rule)` gets every word of matches that is not 0 and returns
/// true to end.
using RowSet = std::array<const std::uint64_t*, abi::kDimensionCount>;
template <typename See>
SLUICE_ISA_TARGET inline void intersect_rows(const RowSet& rows, std::uint32_t word_count, See& see) noexcept {
    std::uint32_t w = 0;
    for (; w + 4 <= word_count; w += 4) {
        __m256i match = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(rows[0] + w));
        for (std::size_t d = 1; d < abi::kDimensionCount; ++d)
            match = _mm256_and_si256(match, _mm256_loadu_si256(reinterpret_cast<const __m256i*>(rows[d] + w)));
        if (_mm256_testz_si256(match, match)) continue;
        alignas(32) std::uint64_t words[4];
        _mm256_store_si256(reinterpret_cast<__m256i*>(words), match);
        for (std::uint32_t i = 0; i < 4; ++i) {
            if (words[i] != 0 && see(words[i], w + i)) return;
        }
    }
    for (; w < word_count; ++w) {
        const std::uint64_t match = rows[0][w] & rows[1][w] & rows[2][w] & rows[3][w];
        if (match != 0 && see(match, w)) return;
    }
}

}  // namespace sluice::dp::avx2
