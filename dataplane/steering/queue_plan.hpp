/// Which worker reads and writes which queue of a port. A device has as many pairs of queues as workers, or fewer:
/// then each queue is read by one worker, in turns over all ports, so that the work of reading is spread; and sent
/// through by several, under a lock.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "dataplane/steering/owner.hpp"

namespace sluice::dp {

inline constexpr std::uint16_t kNoQueue = 0xffff;

struct PortQueues {
    std::vector<std::uint16_t> receive;   ///< by worker; kNoQueue = it reads nothing of this port
    std::vector<std::uint16_t> transmit;  ///< by worker
    bool transmit_is_shared{};
};

/// `pairs`: queues of each port, at least 1; more than `workers` are not used.
std::vector<PortQueues> plan_queues(std::span<const std::uint16_t> pairs, std::uint32_t workers);

}  // namespace sluice::dp
