#include "dataplane/flow/flow_hash.hpp"

#include <bit>
#include <cstring>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace sluice::dp {

namespace {

struct SipState {
    std::uint64_t v0, v1, v2, v3;

    void round() noexcept {
        v0 += v1;
        v1 = std::rotl(v1, 13) ^ v0;
        v0 = std::rotl(v0, 32);
        v2 += v3;
        v3 = std::rotl(v3, 16) ^ v2;
        v0 += v3;
        v3 = std::rotl(v3, 21) ^ v0;
        v2 += v1;
        v1 = std::rotl(v1, 17) ^ v2;
        v2 = std::rotl(v2, 32);
    }
    void absorb(std::uint64_t word) noexcept {
        v3 ^= word;
        round();
        v0 ^= word;
    }
};

#if defined(__x86_64__)

constexpr std::size_t kBlockBytes = 16;

/// Absorbs a key block by block, four rounds each; the last block is padded with zeros (key lengths are fixed, so the
/// padding is no ambiguity).
template <typename Key>
__attribute__((target("aes,sse2"))) void aes_hash(const std::uint64_t* round_keys, std::span<const Key> keys,
                                                  std::uint64_t* out) noexcept {
    const auto* rk = reinterpret_cast<const __m128i*>(round_keys);
    const __m128i k0 = _mm_load_si128(rk), k1 = _mm_load_si128(rk + 1), k2 = _mm_load_si128(rk + 2),
                  k3 = _mm_load_si128(rk + 3), k4 = _mm_load_si128(rk + 4);
    constexpr std::size_t kBlocks = (sizeof(Key) + kBlockBytes - 1) / kBlockBytes;
    for (std::size_t i = 0; i < keys.size(); ++i) {
        alignas(16) std::array<std::uint8_t, kBlocks * kBlockBytes> bytes{};
        std::memcpy(bytes.data(), &keys[i], sizeof(Key));
        __m128i x = k0;
        for (std::size_t b = 0; b < kBlocks; ++b) {
            x = _mm_xor_si128(x, _mm_load_si128(reinterpret_cast<const __m128i*>(bytes.data() + b * kBlockBytes)));
            x = _mm_aesenc_si128(x, k1);
            x = _mm_aesenc_si128(x, k2);
            x = _mm_aesenc_si128(x, k3);
            x = _mm_aesenc_si128(x, k4);
        }
        // Both halves: the bucket and the tag are cut from different bits, and each bit depends on all 128.
        out[i] = static_cast<std::uint64_t>(_mm_cvtsi128_si64(_mm_xor_si128(x, _mm_unpackhi_epi64(x, x))));
    }
}

#endif

}  // namespace

std::uint64_t siphash13(const HashSecret& secret, std::span<const std::byte> bytes) noexcept {
    SipState s{secret[0] ^ 0x736f6d6570736575ULL, secret[1] ^ 0x646f72616e646f6dULL, secret[0] ^ 0x6c7967656e657261ULL,
               secret[1] ^ 0x7465646279746573ULL};
    std::size_t at = 0;
    for (; at + 8 <= bytes.size(); at += 8) {
        std::uint64_t word;
        std::memcpy(&word, bytes.data() + at, 8);
        s.absorb(word);
    }
    std::uint64_t last = static_cast<std::uint64_t>(bytes.size()) << 56;
    for (std::size_t i = 0; at + i < bytes.size(); ++i) {
        last |= static_cast<std::uint64_t>(bytes[at + i]) << (8 * i);
    }
    s.absorb(last);
    s.v2 ^= 0xff;
    s.round();
    s.round();
    s.round();
    return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}

bool cpu_has_aes() noexcept {
#if defined(__x86_64__)
    return __builtin_cpu_supports("aes") != 0;
#else
    return false;
#endif
}

FlowHasher::FlowHasher(const HashSecret& secret, HashKind kind) noexcept
    : secret_{secret}, kind_{kind == HashKind::aes && cpu_has_aes() ? HashKind::aes : HashKind::siphash} {
    for (std::uint64_t i = 0; i < round_keys_.size(); ++i) {
        round_keys_[i] = siphash13(secret, std::as_bytes(std::span{&i, 1}));
    }
}

void FlowHasher::hash(std::span<const FlowKeyV4> keys, std::uint64_t* out) const noexcept {
#if defined(__x86_64__)
    if (kind_ == HashKind::aes) return aes_hash(round_keys_.data(), keys, out);
#endif
    for (const FlowKeyV4& key : keys) *out++ = siphash13(secret_, std::as_bytes(std::span{&key, 1}));
}

void FlowHasher::hash(std::span<const FlowKeyV6> keys, std::uint64_t* out) const noexcept {
#if defined(__x86_64__)
    if (kind_ == HashKind::aes) return aes_hash(round_keys_.data(), keys, out);
#endif
    for (const FlowKeyV6& key : keys) *out++ = siphash13(secret_, std::as_bytes(std::span{&key, 1}));
}

}  // namespace sluice::dp
