#include "dataplane/flow/prefaulted.hpp"

#include <sys/mman.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>

namespace sluice::dp {

namespace {
constexpr std::size_t kPageBytes = 4096;
constexpr std::size_t kHugePageBytes = 2U << 20;

/// Whole huge pages, unless that would be mostly waste: what is left of a table outside of them costs a walk of the
/// page tables for nearly every packet.
constexpr std::size_t mapped_bytes(std::size_t bytes) noexcept {
    const std::size_t page = bytes < kHugePageBytes / 2 ? kPageBytes : kHugePageBytes;
    return (bytes + page - 1) / page * page;
}

/// At a multiple of a huge page, since the kernel itself aligns to 4 KiB only.
void* map_aligned(std::size_t bytes) noexcept {
    const std::size_t reserved = bytes + kHugePageBytes;
    void* const memory = mmap(nullptr, reserved, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) return MAP_FAILED;
    auto* const first = static_cast<unsigned char*>(memory);
    const std::size_t before = -reinterpret_cast<std::uintptr_t>(memory) % kHugePageBytes;
    if (before != 0) (void)munmap(first, before);
    (void)munmap(first + before + bytes, kHugePageBytes - before);
    return first + before;
}

}  // namespace

void* map_prefaulted(std::size_t wanted) noexcept {
    if (wanted == 0) return nullptr;
    const std::size_t bytes = mapped_bytes(wanted);
    void* const memory = map_aligned(bytes);
    if (memory == MAP_FAILED) {
        std::fprintf(stderr, "no memory for tables of %zu bytes\n", bytes);
        std::abort();
    }
    // Advice before the first touch: transparent huge pages only help memory that is not there yet. Refused is fine.
    (void)madvise(memory, bytes, MADV_HUGEPAGE);
    volatile auto* byte = static_cast<unsigned char*>(memory);
    for (std::size_t at = 0; at < bytes; at += kPageBytes) byte[at] = 0;
    return memory;
}

void unmap_prefaulted(void* memory, std::size_t bytes) noexcept {
    if (memory != nullptr) (void)munmap(memory, mapped_bytes(bytes));
}

}  // namespace sluice::dp
