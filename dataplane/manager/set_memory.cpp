#include "dataplane/manager/set_memory.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include <sluice/abi/layout_hash.hpp>

namespace sluice::dp {

namespace {

constexpr int kSeals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;
constexpr std::size_t kRecordsOffset = 4096;
constexpr std::uint64_t kMagic = 0x3153544553554c53ULL;  // "SLUSETS1"

/// First bytes of the memfd.
struct Head {
    std::uint64_t magic{};
    std::uint64_t records{};
    SetMemoryHeader header;
};
static_assert(sizeof(Head) <= kRecordsOffset);

constexpr std::uint64_t kLayout =
    abi::fnv1a({kRecordsOffset, SLUICE_LAYOUT(MemberRecord, high, low, expires_ns, next, kind, slot, used),
                SLUICE_LAYOUT(SetMemoryHeader::Slot, id, state, synced, must_be_zero),
                SLUICE_LAYOUT(SetMemoryHeader, epoch, number, records_used_max, must_be_zero, slots)});

bool is_ours(int fd, std::size_t bytes) noexcept {
    struct stat st {};
    const int seals = fcntl(fd, F_GET_SEALS);
    return seals >= 0 && (seals & kSeals) == kSeals && fstat(fd, &st) == 0 && (st.st_mode & 0777) == 0600 &&
           st.st_uid == geteuid() && static_cast<std::size_t>(st.st_size) >= bytes;
}

}  // namespace

std::size_t SetMemory::bytes(std::uint32_t records) noexcept {
    return kRecordsOffset + std::size_t{records} * (sizeof(MemberRecord) + sizeof(std::atomic<std::uint32_t>));
}

std::string SetMemory::name() { return fmt::format("sets.{:016x}", kLayout); }

/// Not populated: most tables are nearly empty.
std::optional<Mapping> SetMemory::map(int fd, std::size_t bytes) noexcept {
    void* const at = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (at == MAP_FAILED) return std::nullopt;
    return Mapping{static_cast<std::byte*>(at), bytes};
}

Expected<SetMemory, std::string> SetMemory::open(const StoredFds& stored, std::uint32_t records) {
    SetMemory memory;
    memory.records_ = records;
    if (const auto kept = stored.find(name()); kept != stored.end() && is_ours(kept->second.get(), bytes(records))) {
        auto mapping = map(kept->second.get(), bytes(records));
        const auto* const head = mapping ? reinterpret_cast<const Head*>(mapping->data()) : nullptr;
        if (head != nullptr && head->magic == kMagic && head->records == records) {
            memory.fd_ = kept->second.duplicate();
            memory.mapping_ = std::move(*mapping);
            memory.had_predecessor_ = true;
            return memory;
        }
    }
    auto fd = create_memfd("sluice-sets", bytes(records), PageSize::normal);
    if (!fd) return Unexpected<std::string>{std::move(fd.error())};
    memory.fd_ = std::move(*fd);
    auto mapping = map(memory.fd_.get(), bytes(records));
    if (!mapping || fcntl(memory.fd_.get(), F_ADD_SEALS, kSeals) != 0) {
        return Unexpected<std::string>{fmt::format("memory of sets: {}", std::strerror(errno))};
    }
    memory.mapping_ = std::move(*mapping);
    auto* const head = reinterpret_cast<Head*>(memory.mapping_.data());
    head->records = records;
    head->magic = kMagic;
    return memory;
}

SetTable::Memory SetMemory::memory() const noexcept {
    std::byte* const at = mapping_.data();
    auto* const records = reinterpret_cast<MemberRecord*>(at + kRecordsOffset);
    auto* const hits = reinterpret_cast<std::atomic<std::uint32_t>*>(at + kRecordsOffset +
                                                                     std::size_t{records_} * sizeof(MemberRecord));
    return {.header = &reinterpret_cast<Head*>(at)->header, .records = {records, records_}, .hits = {hits, records_}};
}

}  // namespace sluice::dp
