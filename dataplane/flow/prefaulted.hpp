/// Memory for tables that live as long as the process: mapped, in huge pages where the kernel gives them, and touched
/// once at start, so that no packet pays for a page fault (inserting into untouched memory fell to a tenth of the
/// rate).
#pragma once

#include <cstddef>
#include <span>
#include <type_traits>

namespace sluice::dp {

/// Zero-filled. Ends the process with a sentence if the memory is not there: this happens at start only.
void* map_prefaulted(std::size_t bytes) noexcept;
void unmap_prefaulted(void* memory, std::size_t bytes) noexcept;

template <typename T>
class PrefaultedArray {
    static_assert(std::is_trivially_destructible_v<T> && std::is_trivially_copyable_v<T>);

public:
    /// `borrowed`: memory for `count` of them, which somebody else has touched and keeps; empty: memory of its own.
    explicit PrefaultedArray(std::size_t count, std::span<T> borrowed = {}) noexcept
        : items_{borrowed.empty() ? static_cast<T*>(map_prefaulted(count * sizeof(T))) : borrowed.data()},
          count_{count},
          is_own_{borrowed.empty()} {}
    PrefaultedArray(const PrefaultedArray&) = delete;
    PrefaultedArray& operator=(const PrefaultedArray&) = delete;
    ~PrefaultedArray() {
        if (is_own_) unmap_prefaulted(items_, count_ * sizeof(T));
    }

    T& operator[](std::size_t i) noexcept { return items_[i]; }
    const T& operator[](std::size_t i) const noexcept { return items_[i]; }
    std::span<T> all() noexcept { return {items_, count_}; }
    std::size_t size() const noexcept { return count_; }
    std::size_t bytes() const noexcept { return count_ * sizeof(T); }

private:
    T* items_;
    std::size_t count_;
    bool is_own_;
};

}  // namespace sluice::dp
