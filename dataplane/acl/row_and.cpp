#include "dataplane/acl/row_and.hpp"

#include <bit>
#include <cstddef>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace sluice::dp {

namespace {

/// Looks at one word of matches, from the lowest term on. True when the enforced term is found and the scan is over.
[[gnu::always_inline]] inline bool scan_word(std::uint64_t match, std::uint64_t observe, std::uint32_t first_term,
                                             TermHit& hit) noexcept {
    const std::uint64_t enforced = match & ~observe;
    std::uint64_t observed = match & observe;
    // Observe terms behind the enforced one in this word don't count: an observe rule must stand before the decision.
    if (enforced != 0) observed &= (enforced & (~enforced + 1)) - 1;
    if (observed != 0 && hit.observed == kNoTerm)
        hit.observed = first_term + static_cast<std::uint32_t>(std::countr_zero(observed));
    if (enforced == 0) return false;
    hit.enforced = first_term + static_cast<std::uint32_t>(std::countr_zero(enforced));
    return true;
}

TermHit and_scalar(const RowSet& rows, const std::uint64_t* observe_mask, std::uint32_t word_count) noexcept {
    TermHit hit;
    for (std::uint32_t w = 0; w < word_count; ++w) {
        const std::uint64_t match = rows[0][w] & rows[1][w] & rows[2][w] & rows[3][w] & rows[4][w];
        if (match != 0 && scan_word(match, observe_mask[w], w * 64, hit)) break;
    }
    return hit;
}

#if defined(__x86_64__)

[[gnu::target("avx2")]] TermHit and_avx2(const RowSet& rows, const std::uint64_t* observe_mask,
                                         std::uint32_t word_count) noexcept {
    TermHit hit;
    const auto load = [&](std::size_t row, std::uint32_t w) __attribute__((target("avx2"))) {
        return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(rows[row] + w));
    };
    std::uint32_t w = 0;
    for (; w + 4 <= word_count; w += 4) {
        const __m256i match = _mm256_and_si256(
            _mm256_and_si256(_mm256_and_si256(load(0, w), load(1, w)), _mm256_and_si256(load(2, w), load(3, w))),
            load(4, w));
        if (_mm256_testz_si256(match, match)) continue;
        alignas(32) std::uint64_t words[4];
        _mm256_store_si256(reinterpret_cast<__m256i*>(words), match);
        for (std::uint32_t i = 0; i < 4; ++i) {
            if (words[i] != 0 && scan_word(words[i], observe_mask[w + i], (w + i) * 64, hit)) return hit;
        }
    }
    for (; w < word_count; ++w) {
        const std::uint64_t match = rows[0][w] & rows[1][w] & rows[2][w] & rows[3][w] & rows[4][w];
        if (match != 0 && scan_word(match, observe_mask[w], w * 64, hit)) break;
    }
    return hit;
}

[[gnu::target("avx512f")]] TermHit and_avx512(const RowSet& rows, const std::uint64_t* observe_mask,
                                              std::uint32_t word_count) noexcept {
    TermHit hit;
    for (std::uint32_t w = 0; w < word_count; w += 8) {
        // Rows lie back to back: the last words of a row are loaded under a mask, never past its end.
        const std::uint32_t left = word_count - w;
        const auto lanes = static_cast<__mmask8>(left >= 8 ? 0xffU : (1U << left) - 1);
        const auto load = [&](std::size_t row) __attribute__((target("avx512f"))) {
            return _mm512_maskz_loadu_epi64(lanes, rows[row] + w);
        };
        // 0x80: the ternary-logic table of a three-way AND.
        const __m512i three = _mm512_ternarylogic_epi64(load(0), load(1), load(2), 0x80);
        const __m512i match = _mm512_ternarylogic_epi64(three, load(3), load(4), 0x80);
        unsigned nonzero = _mm512_test_epi64_mask(match, match);
        if (nonzero == 0) continue;
        alignas(64) std::uint64_t words[8];
        _mm512_store_si512(words, match);
        for (; nonzero != 0; nonzero &= nonzero - 1) {
            const auto i = static_cast<std::uint32_t>(std::countr_zero(nonzero));
            if (scan_word(words[i], observe_mask[w + i], (w + i) * 64, hit)) return hit;
        }
    }
    return hit;
}

#endif

}  // namespace

bool supported(RowAnd variant) noexcept {
    if (variant == RowAnd::scalar) return true;
#if defined(__x86_64__)
    __builtin_cpu_init();  // callers may run before constructors of libgcc did
    return variant == RowAnd::avx2 ? __builtin_cpu_supports("avx2") != 0 : __builtin_cpu_supports("avx512f") != 0;
#else
    return false;
#endif
}

RowAnd chosen_row_and() noexcept {
    if (supported(RowAnd::avx512)) return RowAnd::avx512;
    if (supported(RowAnd::avx2)) return RowAnd::avx2;
    return RowAnd::scalar;
}

RowAndFn row_and_body(RowAnd variant) noexcept {
#if defined(__x86_64__)
    if (variant == RowAnd::avx512) return &and_avx512;
    if (variant == RowAnd::avx2) return &and_avx2;
#endif
    static_cast<void>(variant);
    return &and_scalar;
}

}  // namespace sluice::dp
