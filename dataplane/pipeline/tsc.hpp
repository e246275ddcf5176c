/// The fast path's clock: cycles. TscRate, calibrated at start, is the only bridge to seconds; policies and APIs use
/// std::chrono, other processes abi::MonoTime. The harness makes up its own TscTime.
#pragma once

#include <compare>
#include <cstdint>

#include <sluice/abi/clock.hpp>

namespace sluice::dp {

struct TscSpan {
    std::uint64_t cycles{};
    constexpr auto operator<=>(const TscSpan&) const = default;
};

struct TscTime {
    std::uint64_t cycles{};
    constexpr auto operator<=>(const TscTime&) const = default;
    constexpr TscTime operator+(TscSpan s) const noexcept { return {cycles + s.cycles}; }
    /// Zero if `earlier` is later: counters of two cores may differ by a few cycles.
    constexpr TscSpan since(TscTime earlier) const noexcept {
        return {cycles > earlier.cycles ? cycles - earlier.cycles : 0};
    }
};

/// Cycles per second, and a moment at which both clocks were read.
struct TscRate {
    std::uint64_t hz{1'000'000'000};
    TscTime origin{};
    abi::MonoTime origin_mono{};

    constexpr std::uint64_t to_ns(TscSpan s) const noexcept {
        __extension__ using Wide = unsigned __int128;
        return static_cast<std::uint64_t>(static_cast<Wide>(s.cycles) * 1'000'000'000U / hz);
    }
    constexpr std::uint64_t to_ms(TscSpan s) const noexcept { return s.cycles / (hz / 1000); }
    constexpr TscSpan of_ms(std::uint64_t ms) const noexcept { return {ms * (hz / 1000)}; }
    constexpr abi::MonoTime to_mono(TscTime t) const noexcept { return {origin_mono.ns + to_ns(t.since(origin))}; }
};

}  // namespace sluice::dp
