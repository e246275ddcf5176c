#include "dataplane/flow/prefaulted.hpp"

#include <sys/mman.h>

#include <cstdio>
#include <cstdlib>

namespace sluice::dp {

namespace {
constexpr std::size_t kPageBytes = 4096;
}

void* map_prefaulted(std::size_t bytes) noexcept {
    if (bytes == 0) return nullptr;
    void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
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
    if (memory != nullptr) (void)munmap(memory, bytes);
}

}  // namespace sluice::dp
