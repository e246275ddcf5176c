/// A number in shared memory with one writing thread: 64 bit, written with relaxed atomic stores and read with relaxed
/// atomic loads. What telemetry.hpp and times.hpp are made of.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace sluice::abi {

inline constexpr std::size_t kCacheLine = 64;

/// A counter with one writer. `add` is a plain load and store (no locked instruction): only the owner may call it.
struct Counter {
    std::atomic<std::uint64_t> value{};

    void add(std::uint64_t n) noexcept {
        value.store(value.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
    }
    void set(std::uint64_t n) noexcept { value.store(n, std::memory_order_relaxed); }
    std::uint64_t read() const noexcept { return value.load(std::memory_order_relaxed); }
};
static_assert(sizeof(Counter) == 8 && std::atomic<std::uint64_t>::is_always_lock_free);

}  // namespace sluice::abi
