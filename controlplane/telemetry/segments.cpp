#include "controlplane/telemetry/segments.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <bit>
#include <cerrno>
#include <cstring>
#include <system_error>

#include <sluice/abi/layout.hpp>

namespace sluice::cp {
namespace {

using Fault = Unexpected<std::string>;

constexpr std::uint64_t kSegmentBytesMax = 4ULL << 30;
constexpr std::uint32_t kRuleSlotsMax = 1U << 20;
constexpr std::uint32_t kRingRecordsMax = 1U << 22;
constexpr std::array kNames{"counters", "rules", "events"};

/// Least bytes of one worker's block, and where the first may begin at the earliest. Figures are bounded first, so the
/// products can't overflow.
std::uint64_t block_bytes_min(const abi::TelemetryHeader& h) noexcept {
    switch (h.kind) {
        case abi::TelemetryKind::counters: return sizeof(abi::WorkerCounters);
        case abi::TelemetryKind::rules: return h.rule_slots * sizeof(abi::RuleCounters);
        case abi::TelemetryKind::events: return sizeof(abi::EventRingHeader) + h.ring_records * sizeof(abi::EventSlot);
    }
    return kSegmentBytesMax;
}

Expected<void, std::string> check(const abi::TelemetryHeader& h, std::size_t index, std::uint64_t size) {
    const std::string name = kNames[index];
    if (h.magic != abi::kTelemetryMagic || h.abi_version != abi::kAbiVersion || h.layout_hash != abi::kLayoutHash) {
        return Fault(name + ": not telemetry of this ABI");
    }
    if (h.kind != static_cast<abi::TelemetryKind>(index + 1)) return Fault(name + ": another kind of telemetry");
    if (h.worker_count == 0 || h.worker_count > abi::kWorkersMax || h.port_count > abi::kPortsMax) {
        return Fault(name + ": impossible worker or port count");
    }
    if (h.rule_slots > kRuleSlotsMax || h.ring_records > kRingRecordsMax) return Fault(name + ": impossible sizes");
    if (index == 1 && h.rule_slots == 0) return Fault(name + ": no rule slots");
    if (index == 2 && !std::has_single_bit(h.ring_records)) return Fault(name + ": ring length is no power of two");
    if (h.bytes > size || h.bytes > kSegmentBytesMax || h.block_bytes > h.bytes || h.first_block > h.bytes) {
        return Fault(name + ": blocks lie outside the segment");
    }
    const auto first_min = sizeof h + (index == 0 ? sizeof(abi::ManagerCounters) : 0);
    if (h.first_block < first_min || h.first_block % abi::kCacheLine != 0 || h.block_bytes % abi::kCacheLine != 0 ||
        h.block_bytes < block_bytes_min(h)) {
        return Fault(name + ": blocks overlap or are too short");
    }
    if (h.block_bytes > (h.bytes - h.first_block) / h.worker_count) {
        return Fault(name + ": blocks lie outside the segment");
    }
    return {};
}

}  // namespace

TelemetrySegments::~TelemetrySegments() {
    for (const auto& m : maps_) {
        if (m.data != nullptr) ::munmap(const_cast<std::byte*>(m.data), m.bytes);
    }
}

Expected<void, std::string> TelemetrySegments::map_one(std::size_t index, int fd) {
    const std::string name = kNames[index];
    struct stat st {};
    if (::fstat(fd, &st) != 0) return Fault(name + ": " + std::generic_category().message(errno));
    const int seals = ::fcntl(fd, F_GET_SEALS);
    if (seals < 0 || (seals & F_SEAL_SHRINK) == 0)
        return Fault(name + ": not a memfd that is sealed against shrinking");
    const auto size = static_cast<std::uint64_t>(st.st_size);
    if (size < sizeof(abi::TelemetryHeader) || size > kSegmentBytesMax) return Fault(name + ": impossible size");
    void* at = ::mmap(nullptr, size, PROT_READ, MAP_SHARED, fd, 0);
    if (at == MAP_FAILED) return Fault(name + ": mmap: " + std::generic_category().message(errno));
    maps_[index] = {static_cast<const std::byte*>(at), size};
    // From here on only the copy counts: the original may change under us.
    std::memcpy(&headers_[index], at, sizeof headers_[index]);
    return check(headers_[index], index, size);
}

Expected<std::shared_ptr<const TelemetrySegments>, std::string> TelemetrySegments::map(const TelemetryFds& fds) {
    std::shared_ptr<TelemetrySegments> segments{new TelemetrySegments};
    const std::array all{fds.counters.get(), fds.rules.get(), fds.events.get()};
    for (std::size_t i = 0; i < all.size(); ++i) {
        if (const auto mapped = segments->map_one(i, all[i]); !mapped) return Fault(mapped.error());
    }
    const auto& h = segments->headers_;
    for (std::size_t i = 1; i < all.size(); ++i) {
        if (h[i].boot_id != h[0].boot_id || h[i].worker_count != h[0].worker_count) {
            return Fault("the three telemetry segments are not of one process");
        }
    }
    return std::shared_ptr<const TelemetrySegments>{std::move(segments)};
}

const std::byte* TelemetrySegments::block(std::size_t index, std::uint32_t worker) const noexcept {
    return maps_[index].data + headers_[index].first_block + worker * headers_[index].block_bytes;
}

const abi::ManagerCounters& TelemetrySegments::manager() const noexcept {
    return *reinterpret_cast<const abi::ManagerCounters*>(maps_[0].data + sizeof(abi::TelemetryHeader));
}
const abi::WorkerCounters& TelemetrySegments::worker(std::uint32_t worker) const noexcept {
    return *reinterpret_cast<const abi::WorkerCounters*>(block(0, worker));
}
std::span<const abi::RuleCounters> TelemetrySegments::rules(std::uint32_t worker) const noexcept {
    return {reinterpret_cast<const abi::RuleCounters*>(block(1, worker)), headers_[1].rule_slots};
}
const abi::EventRingHeader& TelemetrySegments::ring(std::uint32_t worker) const noexcept {
    return *reinterpret_cast<const abi::EventRingHeader*>(block(2, worker));
}
std::span<const abi::EventSlot> TelemetrySegments::ring_slots(std::uint32_t worker) const noexcept {
    return {reinterpret_cast<const abi::EventSlot*>(block(2, worker) + sizeof(abi::EventRingHeader)),
            headers_[2].ring_records};
}

}  // namespace sluice::cp
