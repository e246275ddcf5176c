#include "dataplane/manager/telemetry_segments.hpp"

#include <fcntl.h>

#include <cerrno>
#include <cstring>
#include <new>

#include <sluice/abi/layout.hpp>

namespace sluice::dp {

namespace {

constexpr std::uint64_t align(std::uint64_t bytes) {
    return (bytes + abi::kCacheLine - 1) / abi::kCacheLine * abi::kCacheLine;
}

std::uint64_t first_block(abi::TelemetryKind kind) {
    const std::uint64_t manager = kind == abi::TelemetryKind::counters ? sizeof(abi::ManagerCounters) : 0;
    return align(sizeof(abi::TelemetryHeader) + manager);
}

std::uint64_t block_bytes(abi::TelemetryKind kind, const TelemetrySegments::Shape& shape) {
    switch (kind) {
        case abi::TelemetryKind::counters: return sizeof(abi::WorkerCounters);
        case abi::TelemetryKind::rules: return std::uint64_t{shape.rule_slots} * sizeof(abi::RuleCounters);
        case abi::TelemetryKind::events: break;
    }
    return sizeof(abi::EventRingHeader) + std::uint64_t{shape.ring_records} * sizeof(abi::EventSlot);
}

}  // namespace

Expected<TelemetrySegments::Segment, std::string> TelemetrySegments::create_segment(const Shape& shape,
                                                                                    abi::TelemetryKind kind) {
    static constexpr const char* kNames[] = {"sluice-counters", "sluice-rules", "sluice-events"};
    abi::TelemetryHeader header;
    header.kind = kind;
    header.layout_hash = abi::kLayoutHash;
    header.boot_id = shape.boot_id;
    header.worker_count = shape.worker_count;
    header.port_count = shape.port_count;
    header.rule_slots = shape.rule_slots;
    header.ring_records = shape.ring_records;
    header.first_block = first_block(kind);
    header.block_bytes = block_bytes(kind, shape);
    header.bytes = header.first_block + header.block_bytes * shape.worker_count;

    Segment segment;
    // Plain pages: a reader may well read these through its descriptor, and start-up must not depend on free huge
    // pages.
    auto fd = create_memfd(kNames[static_cast<std::size_t>(kind) - 1], header.bytes, PageSize::normal);
    if (!fd) return Unexpected<std::string>{fd.error()};
    segment.fd = std::move(*fd);
    auto mapping = map_writable(segment.fd.get());
    if (!mapping) return Unexpected<std::string>{mapping.error()};
    segment.mapping = std::move(*mapping);
    std::memcpy(segment.mapping.data(), &header, sizeof header);
    // Without SHRINK a reader could cut the file under the writer and end it with SIGBUS. FUTURE_WRITE keeps our own
    // mapping and refuses every later one.
    if (fcntl(segment.fd.get(), F_ADD_SEALS, F_SEAL_FUTURE_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0) {
        return Unexpected<std::string>{std::string{"sealing telemetry: "} + std::strerror(errno)};
    }
    return segment;
}

Expected<std::unique_ptr<TelemetrySegments>, std::string> TelemetrySegments::create(const Shape& shape) {
    std::unique_ptr<TelemetrySegments> all{new TelemetrySegments{shape}};
    for (std::size_t i = 0; i < all->segments_.size(); ++i) {
        auto segment = create_segment(shape, static_cast<abi::TelemetryKind>(i + 1));
        if (!segment) return Unexpected<std::string>{segment.error()};
        all->segments_[i] = std::move(*segment);
    }
    // The memory is zero, which is the initial value of every counter; these begin the objects' lives.
    new (all->segments_[0].mapping.data() + sizeof(abi::TelemetryHeader)) abi::ManagerCounters{};
    for (std::uint32_t w = 0; w < shape.worker_count; ++w) {
        new (all->block(abi::TelemetryKind::counters, w)) abi::WorkerCounters{.worker = w};
    }
    return all;
}

std::byte* TelemetrySegments::block(abi::TelemetryKind kind, std::uint32_t worker) const noexcept {
    return segments_[static_cast<std::size_t>(kind) - 1].mapping.data() + first_block(kind) +
           block_bytes(kind, shape_) * worker;
}

WorkerTelemetry TelemetrySegments::worker(std::uint32_t index) const noexcept {
    auto* const ring = block(abi::TelemetryKind::events, index);
    return {
        .counters = reinterpret_cast<abi::WorkerCounters*>(block(abi::TelemetryKind::counters, index)),
        .rules = {reinterpret_cast<abi::RuleCounters*>(block(abi::TelemetryKind::rules, index)), shape_.rule_slots},
        .ring = reinterpret_cast<abi::EventRingHeader*>(ring),
        .ring_slots = {reinterpret_cast<abi::EventSlot*>(ring + sizeof(abi::EventRingHeader)), shape_.ring_records},
    };
}

abi::ManagerCounters& TelemetrySegments::manager() const noexcept {
    return *reinterpret_cast<abi::ManagerCounters*>(segments_[0].mapping.data() + sizeof(abi::TelemetryHeader));
}

std::array<int, 3> TelemetrySegments::fds() const noexcept {
    return {segments_[0].fd.get(), segments_[1].fd.get(), segments_[2].fd.get()};
}

}  // namespace sluice::dp
