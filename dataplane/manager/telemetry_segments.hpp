/// The three memfds in which this process tells what it does (layout: abi/telemetry.hpp). Written by workers and the
/// manager; everybody else gets descriptors that can only be mapped read-only.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>

#include <sluice/abi/telemetry.hpp>
#include <sluice/expected.hpp>

#include "dataplane/manager/memfd.hpp"
#include "dataplane/pipeline/worker.hpp"

namespace sluice::dp {

class TelemetrySegments {
public:
    struct Shape {
        std::uint64_t boot_id{};
        std::uint32_t worker_count{};
        std::uint32_t port_count{};
        std::uint32_t rule_slots{};
        /// 250 ms of 130,000 events a second and worker: more than one core can admit with start and end logged.
        std::uint32_t ring_records{32'768};
    };

    static Expected<std::unique_ptr<TelemetrySegments>, std::string> create(const Shape& shape);

    WorkerTelemetry worker(std::uint32_t index) const noexcept;
    abi::ManagerCounters& manager() const noexcept;
    /// counters, rules, events
    std::array<int, 3> fds() const noexcept;

private:
    struct Segment {
        UniqueFd fd;
        Mapping mapping;
    };
    explicit TelemetrySegments(const Shape& shape) noexcept : shape_{shape} {}
    static Expected<Segment, std::string> create_segment(const Shape& shape, abi::TelemetryKind kind);
    std::byte* block(abi::TelemetryKind kind, std::uint32_t worker) const noexcept;

    Shape shape_;
    std::array<Segment, 3> segments_;  // by kind - 1
};

}  // namespace sluice::dp
