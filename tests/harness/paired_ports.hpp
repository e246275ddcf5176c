/// What every worker of the harness has: ports wired in pairs (0-1, 2-3, ...) and a clock that counts nanoseconds.
#pragma once

#include <cstdint>

#include "dataplane/pipeline/worker.hpp"

namespace sluice::test {

inline dp::WorkerConfig over_paired_ports(std::uint32_t ports, dp::TscTime origin) {
    dp::WorkerConfig c{};
    c.port_count = ports;
    c.wire_partner.fill(dp::kNoPort);
    for (std::uint8_t p = 0; p + 1U < ports; p = static_cast<std::uint8_t>(p + 2)) {
        c.wire_partner[p] = dp::PortIndex{static_cast<std::uint8_t>(p + 1)};
        c.wire_partner[p + 1U] = dp::PortIndex{p};
    }
    c.tsc = {.hz = 1'000'000'000, .origin = origin, .origin_mono = {5'000'000'000}};
    return c;
}

}  // namespace sluice::test
