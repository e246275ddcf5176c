#include "dataplane/steering/queue_plan.hpp"

#include <algorithm>

namespace sluice::dp {

std::vector<PortQueues> plan_queues(std::span<const std::uint16_t> pairs, std::uint32_t workers) {
    std::vector<PortQueues> ports;
    std::uint32_t next_reader = 0;
    for (const std::uint16_t device : pairs) {
        const auto queues = static_cast<std::uint16_t>(std::min<std::uint32_t>(device, workers));
        PortQueues port{.receive = std::vector<std::uint16_t>(workers, kNoQueue),
                        .transmit = std::vector<std::uint16_t>(workers),
                        .transmit_is_shared = queues < workers};
        for (std::uint16_t q = 0; q < queues; ++q) {
            // With a queue for each, number = worker: what a device places by the table of owners arrives there.
            const std::uint32_t reader = queues == workers ? q : next_reader++ % workers;
            port.receive[reader] = q;
        }
        for (std::uint32_t w = 0; w < workers; ++w) port.transmit[w] = static_cast<std::uint16_t>(w % queues);
        ports.push_back(std::move(port));
    }
    return ports;
}

}  // namespace sluice::dp
