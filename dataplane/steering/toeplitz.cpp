#include "dataplane/steering/toeplitz.hpp"

namespace sluice::dp {

namespace {

/// 32 bits of the key from bit `at` on, the most significant bit of byte 0 being bit 0.
std::uint32_t window(std::span<const std::uint8_t> key, std::size_t at) noexcept {
    std::uint64_t bits = 0;
    for (std::size_t i = 0; i < 5; ++i) {
        const std::size_t byte = at / 8 + i;
        bits = bits << 8 | (byte < key.size() ? key[byte] : 0);
    }
    return static_cast<std::uint32_t>(bits >> (8 - at % 8));
}

}  // namespace

std::array<std::uint8_t, kRssKeyMax> symmetric_rss_key() noexcept {
    std::array<std::uint8_t, kRssKeyMax> key{};
    for (std::size_t i = 0; i < key.size(); ++i) key[i] = i % 2 == 0 ? 0x6d : 0x5a;
    return key;
}

Toeplitz::Toeplitz(std::span<const std::uint8_t> key) {
    auto windows = std::make_shared<Windows>();
    for (std::size_t at = 0; at < kToeplitzInputMax; ++at) {
        for (std::size_t value = 0; value < 256; ++value) {
            std::uint32_t sum = 0;
            for (std::size_t bit = 0; bit < 8; ++bit) {
                if ((value >> (7 - bit) & 1) != 0) sum ^= window(key, at * 8 + bit);
            }
            (*windows)[at][value] = sum;
        }
    }
    windows_ = std::move(windows);
}

}  // namespace sluice::dp
