/// DPDK devices as ports: added after the EAL has started (always hot-plugged), one receive and one transmit queue per
/// worker, promiscuous.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include <rte_mempool.h>

#include <sluice/abi/telemetry.hpp>
#include <sluice/expected.hpp>

#include "dataplane/manager/config.hpp"

namespace sluice::dp {

/// Buffers of the devices, and of packets of our own (so that answers do not die of a full receive side).
struct BufferPools {
    rte_mempool* receive{};
    rte_mempool* own{};
};
Expected<BufferPools, std::string> create_pools(std::size_t port_count, std::size_t worker_count);

/// The open devices; index = port. Closed in the destructor, which also takes XDP programs off their interfaces.
class Devices {
public:
    static Expected<Devices, std::string> open(const Config& config, rte_mempool* receive_pool);
    Devices() = default;
    Devices(Devices&&) noexcept = default;
    Devices& operator=(Devices&& other) noexcept;
    ~Devices() { close(); }

    std::span<const std::uint16_t> ids() const noexcept { return ids_; }
    /// What only the device knows: packets it dropped before we saw them, and the link. Any thread.
    void read(abi::ManagerCounters& counters) const;
    void close() noexcept;

private:
    Expected<void, std::string> open_one(const PortConfig& port, std::uint16_t queues, rte_mempool* pool);
    std::vector<std::uint16_t> ids_;
};

}  // namespace sluice::dp
