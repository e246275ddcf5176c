/// A bounded queue between two threads: one writes, one reads, nobody waits. Both ends keep a copy of where the other
/// one last was, so that the other's cache line is fetched once per lap and not once per burst.
///
/// What is full or empty is known by numbers that count up for ever (modulo 2^32); a place is the number modulo the
/// capacity, a power of two.
#pragma once

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <type_traits>

namespace sluice::dp {

template <typename T>
class SpscRing {
    static_assert(std::is_trivially_copyable_v<T>);

public:
    /// `capacity` is rounded up to a power of two.
    explicit SpscRing(std::uint32_t capacity)
        : mask_{std::bit_ceil(capacity) - 1}, places_{std::make_unique_for_overwrite<T[]>(mask_ + std::size_t{1})} {}
    SpscRing(const SpscRing&) = delete;
    SpscRing& operator=(const SpscRing&) = delete;

    std::uint32_t capacity() const noexcept { return mask_ + 1; }

    /// Writer: puts in as many as fit, from the front; returns how many.
    std::size_t push(std::span<const T> items) noexcept {
        return push_made(items.size(), [items](std::size_t i, T& place) { place = items[i]; });
    }
    /// Writer: as many of `count` as fit, each made in its place by `make(number, place)`; returns how many.
    template <typename Make>
    std::size_t push_made(std::size_t count, Make&& make) noexcept {
        const std::size_t fitting = std::min(count, room_for(count));
        put(fitting, make);
        return fitting;
    }
    /// Writer: all or nothing.
    bool push_all(std::span<const T> items) noexcept {
        if (room_for(items.size()) < items.size()) return false;
        put(items.size(), [items](std::size_t i, T& place) { place = items[i]; });
        return true;
    }

    /// Reader: takes from the front while `wanted` says so, up to `out.size()`; returns how many.
    template <typename Wanted>
    std::size_t pop_while(std::span<T> out, Wanted&& wanted) noexcept {
        const std::uint32_t at = read_.number.load(std::memory_order_relaxed);
        if (read_.other - at < out.size()) {
            // acquire: pairs with the release in put(); what was written before is seen, the packets' bytes too
            read_.other = written_.number.load(std::memory_order_acquire);
        }
        const std::size_t there = std::min<std::size_t>(read_.other - at, out.size());
        std::size_t count = 0;
        while (count < there) {
            const T& item = places_[(at + count) & mask_];
            if (!wanted(item)) break;
            out[count++] = item;
        }
        // release: pairs with the acquire in room_for(); the places are read before they are written again
        if (count != 0) read_.number.store(at + static_cast<std::uint32_t>(count), std::memory_order_release);
        return count;
    }

    /// Any thread; what it says may be over when it is read. Both ends may move between the two loads, and be seen in
    /// either order: more than fits in means that nothing waits.
    std::size_t size() const noexcept {
        const std::uint32_t read = read_.number.load(std::memory_order_relaxed);
        const std::uint32_t waiting = written_.number.load(std::memory_order_relaxed) - read;
        return waiting <= capacity() ? waiting : 0;
    }

private:
    struct alignas(64) End {
        std::atomic<std::uint32_t> number{};
        std::uint32_t other{};  ///< the other end's number when it was last looked at; this end's thread only
    };

    std::size_t room_for(std::size_t wanted) noexcept {
        const std::uint32_t at = written_.number.load(std::memory_order_relaxed);
        if (capacity() - (at - written_.other) < wanted) {
            written_.other = read_.number.load(std::memory_order_acquire);  // pairs with the release in pop_while()
        }
        return capacity() - (at - written_.other);
    }
    template <typename Make>
    void put(std::size_t count, Make&& make) noexcept {
        const std::uint32_t at = written_.number.load(std::memory_order_relaxed);
        for (std::size_t i = 0; i < count; ++i) make(i, places_[(at + i) & mask_]);
        // release: pairs with the acquire in pop_while()
        written_.number.store(at + static_cast<std::uint32_t>(count), std::memory_order_release);
    }

    std::uint32_t mask_;
    std::unique_ptr<T[]> places_;
    End written_;
    End read_;
};

}  // namespace sluice::dp
