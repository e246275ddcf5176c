/// A fuzzer's bytes taken off from the front. What is not there any more reads as zero or as nothing, so that every
/// input means something and a shorter one means the beginning of the longer.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <span>
#include <string_view>
#include <type_traits>

namespace sluice::test {

class Input {
public:
    Input(const std::uint8_t* data, std::size_t size) : left_{data, size} {}

    bool empty() const noexcept { return left_.empty(); }

    template <typename T>
    T take() noexcept {
        static_assert(std::is_trivially_copyable_v<T>);
        T value{};
        const auto taken = bytes(sizeof value);
        if (!taken.empty()) std::memcpy(&value, taken.data(), taken.size());
        return value;
    }
    std::uint8_t byte() noexcept { return take<std::uint8_t>(); }
    /// At most `count`.
    std::span<const std::uint8_t> bytes(std::size_t count) noexcept {
        const auto taken = left_.first(std::min(count, left_.size()));
        left_ = left_.subspan(taken.size());
        return taken;
    }
    std::span<const std::uint8_t> rest() noexcept { return bytes(left_.size()); }
    std::string_view text() noexcept {
        const auto taken = rest();
        return {reinterpret_cast<const char*>(taken.data()), taken.size()};
    }

private:
    std::span<const std::uint8_t> left_;
};

/// Ends the run with a sentence if something does not hold that must hold for every input.
inline void must(bool holds, const char* sentence) {
    if (holds) return;
    std::fprintf(stderr, "must hold: %s\n", sentence);
    std::abort();
}

/// The number at `at`, of 1, 2, 4 or 8 bytes, as `how` says: more, less, more by cache lines, or shifted. 2 bytes.
inline void nudge(std::span<std::uint8_t> object, std::size_t at, std::uint8_t how, Input& in) {
    const std::size_t width = std::size_t{1} << (how & 3U);
    at = at / width * width;
    const std::uint64_t drawn = in.take<std::uint16_t>();
    constexpr std::uint64_t kMasks[] = {0xffff, 0x3f, 0x3, 0x3};  // mostly by little: bounds are missed by one
    const std::uint64_t by = drawn >> 2U & kMasks[drawn & 3U];
    if (at + width > object.size()) return;
    std::uint64_t number = 0;
    std::memcpy(&number, object.data() + at, width);
    switch (how >> 2U & 3U) {
        case 0: number += by; break;
        case 1: number -= by; break;
        case 2: number += by * 64; break;
        case 3: number = (by | 1U) << (by % 64); break;
    }
    std::memcpy(object.data() + at, &number, width);
}

/// Changes `object` in pieces: offset (2 bytes), then how (1): below 128 so many bytes stand there instead, which
/// follow; else a number there is nudged. `pieces` bounds how often.
inline void patch(std::span<std::uint8_t> object, Input& in, std::size_t pieces) {
    for (; pieces != 0 && !object.empty(); --pieces) {
        const std::size_t at = in.take<std::uint16_t>() % object.size();
        const std::uint8_t how = in.byte();
        if (how >= 128) {
            nudge(object, at, how, in);
            continue;
        }
        const auto bytes = in.bytes(std::min<std::size_t>(how, object.size() - at));
        std::copy(bytes.begin(), bytes.end(), object.begin() + static_cast<std::ptrdiff_t>(at));
    }
}
template <typename T>
void patch(T& object, Input& in, std::size_t pieces) {
    patch(std::span{reinterpret_cast<std::uint8_t*>(&object), sizeof object}, in, pieces);
}

}  // namespace sluice::test
