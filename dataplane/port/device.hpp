/// DPDK devices as ports: added after the EAL has started (always hot-plugged), one receive and one transmit queue per
/// worker, promiscuous.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <rte_mempool.h>

#include <sluice/abi/telemetry.hpp>
#include <sluice/expected.hpp>

#include "dataplane/manager/config.hpp"

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
    Expected<void, Failure> open_one(const PortConfig& port, std::uint16_t queues);
    std::vector<std::uint16_t> ids_;
    std::vector<Plugged> plugged_;
    rte_mempool* pool_{};
};

}  // namespace sluice::dp
