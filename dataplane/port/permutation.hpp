/// Numbers below `count` in an order without locality, each exactly once, from no memory but a counter: what the
/// bench's memory source walks its flows by. A bijection on the next power of two; what lies beyond `count` is skipped
/// (at most half of the steps), without a branch that could be mispredicted.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>

namespace sluice::dp {

class Permutation {
public:
    Permutation() noexcept = default;
    /// Another `key`, another order. `count` up to 2^31.
    Permutation(std::uint32_t count, std::uint64_t key) noexcept
        : count_{count},
          mask_{std::bit_ceil(std::uint64_t{count}) - 1},
          shift_{mask_ == 0 ? 1U : static_cast<unsigned>(std::bit_width(mask_) + 1) / 2},
          key_{key},
          left_{count} {}

    std::uint32_t left() const noexcept { return left_; }

    /// The next numbers; returns how many, fewer than asked for only at the end.
    std::size_t next(std::span<std::uint32_t> out) noexcept {
        const std::size_t wanted = out.size() < left_ ? out.size() : left_;
        std::size_t n = 0;
        while (n < wanted) {
            const std::uint64_t value = scatter(at_++);
            out[n] = static_cast<std::uint32_t>(value);
            n += value < count_ ? 1 : 0;
        }
        left_ -= static_cast<std::uint32_t>(wanted);
        return wanted;
    }

private:
    /// Each step can be undone on the low bits that `mask_` keeps: adding, an odd factor, and folding high bits onto
    /// low ones.
    std::uint64_t scatter(std::uint64_t x) const noexcept {
        constexpr std::uint64_t kOdd1 = 0x9e3779b97f4a7c15, kOdd2 = 0xbf58476d1ce4e5b9, kOdd3 = 0x94d049bb133111eb;
        x = ((x + key_) * kOdd1) & mask_;
        x ^= x >> shift_;
        x = ((x ^ (key_ >> 32)) * kOdd2) & mask_;
        x ^= x >> shift_;
        x = (x * kOdd3) & mask_;
        return x ^ (x >> shift_);
    }

    std::uint64_t count_{};
    std::uint64_t mask_{};
    unsigned shift_{1};
    std::uint64_t key_{};
    std::uint64_t at_{};
    std::uint32_t left_{};
};

}  // namespace sluice::dp
