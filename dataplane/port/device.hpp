/// DPDK devices as ports: added after the EAL has started (always hot-plugged), with a receive and a transmit queue for
/// each worker as far as the device has them, promiscuous. Which worker owns a flow follows from what they can: if all
/// of them place flows as they are told, they do (rss_device.hpp), else workers hand packets over.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <rte_mempool.h>

#include <sluice/abi/telemetry.hpp>
#include <sluice/expected.hpp>

#include "dataplane/manager/config.hpp"
#include "dataplane/port/dpdk_io.hpp"
#include "dataplane/steering/owner.hpp"

namespace sluice::dp {

/// Buffers for packets of our own, so that answers do not die of a full receive side.
Expected<rte_mempool*, std::string> create_own_pool();

/// The open devices; index = port. Closed in the destructor, which also takes XDP programs off their interfaces.
class Devices {
public:
    /// With one pool of receive buffers for all of them: a packet leaves through another AF_XDP port without a copy.
    static Expected<Devices, std::string> open(const Config& config);
    Devices() = default;
    Devices(Devices&& other) noexcept { *this = std::move(other); }
    Devices& operator=(Devices&& other) noexcept;
    ~Devices() { close(); }

    std::span<const std::uint16_t> ids() const noexcept { return ids_; }
    WorkerQueues queues_of(std::uint32_t worker) const;
    /// Owners by what the devices do; nullptr: there is one worker, or software has to decide.
    const Owners* rss_owners() const noexcept { return rss_owners_.get(); }
    /// What only the device knows: packets it dropped before we saw them, and the link. Any thread.
    void read(abi::ManagerCounters& counters) const;
    void close() noexcept;

private:
    struct Failure {
        std::string what;
        bool is_busy{};  ///< another process may be about to let go of it: worth another try
    };
    struct Plugged {
        std::string name;
        bool is_virtual{};
    };

    Expected<void, Failure> open_all(const Config& config);
    Expected<void, Failure> open_one(const PortConfig& port, std::uint32_t workers);
    void steer(const Config& config);
    std::vector<std::uint16_t> ids_;
    std::vector<Plugged> plugged_;
    std::vector<std::uint16_t> pairs_;  ///< of queues, by port
    std::vector<PortQueues> plan_;
    std::vector<std::unique_ptr<std::array<QueueLock, abi::kWorkersMax>>> locks_;  ///< by port and queue
    std::unique_ptr<const Owners> rss_owners_;
    rte_mempool* pool_{};
};

}  // namespace sluice::dp
