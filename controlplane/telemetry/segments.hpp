/// The dataplane's three telemetry memfds, mapped read-only and checked. The writer is another process under another
/// user: the header is copied once and checked, offsets come from that copy alone, and what stands in the counters is
/// taken as numbers and nothing else. A memfd that could still shrink is refused: reading it could become a SIGBUS.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include <sluice/abi/telemetry.hpp>
#include <sluice/expected.hpp>

#include "controlplane/publish/tables_client.hpp"

namespace sluice::cp {

class TelemetrySegments {
public:
    static Expected<std::shared_ptr<const TelemetrySegments>, std::string> map(const TelemetryFds& fds);
    ~TelemetrySegments();
    TelemetrySegments(const TelemetrySegments&) = delete;
    TelemetrySegments& operator=(const TelemetrySegments&) = delete;

    std::uint64_t boot_id() const noexcept { return headers_[0].boot_id; }
    std::uint32_t worker_count() const noexcept { return headers_[0].worker_count; }
    std::uint32_t port_count() const noexcept { return headers_[0].port_count; }
    std::uint32_t rule_slots() const noexcept { return headers_[1].rule_slots; }
    std::uint32_t ring_records() const noexcept { return headers_[2].ring_records; }

    const abi::ManagerCounters& manager() const noexcept;
    const abi::WorkerCounters& worker(std::uint32_t worker) const noexcept;
    std::span<const abi::RuleCounters> rules(std::uint32_t worker) const noexcept;
    const abi::EventRingHeader& ring(std::uint32_t worker) const noexcept;
    std::span<const abi::EventSlot> ring_slots(std::uint32_t worker) const noexcept;

private:
    struct Mapping {
        const std::byte* data{};
        std::size_t bytes{};
    };
    TelemetrySegments() = default;
    Expected<void, std::string> map_one(std::size_t index, int fd);
    const std::byte* block(std::size_t index, std::uint32_t worker) const noexcept;

    std::array<abi::TelemetryHeader, 3> headers_{};
    std::array<Mapping, 3> maps_{};
};

}  // namespace sluice::cp
