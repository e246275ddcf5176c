#include "dataplane/port/device.hpp"

#include <fmt/format.h>
#include <rte_bus.h>
#include <rte_cycles.h>
#include <rte_dev.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <string_view>
#include <utility>

#include "dataplane/manager/log.hpp"
#include "dataplane/pipeline/hand_over.hpp"
#include "dataplane/port/rss_device.hpp"

namespace sluice::dp {

namespace {

constexpr std::uint16_t kDescriptors = 1024;
/// Per queue: descriptors of both rings, bursts in flight, and what an AF_XDP socket keeps in its fill ring (2,048).
constexpr unsigned kBuffersPerQueue = 2 * kDescriptors + 2048 + 64;
/// Of one worker, missing from the receive side for as long as their datagrams are not whole. Frames of more than one
/// buffer are counted by their bytes: each is at most one buffer more than its bytes fill.
constexpr unsigned held_fragments_max(const FragmentLimits& limits) {
    constexpr unsigned kBufferDataBytes = RTE_MBUF_DEFAULT_DATAROOM;
    return limits.packets_max + limits.memory_bytes_max / kBufferDataBytes;
}
constexpr unsigned kOwnBuffers = 4095;
constexpr unsigned kPoolCache = 256;
/// The kernel unbinds an AF_XDP socket from its queue on a work queue, some milliseconds after the process that had it
/// has ended; until then the queue refuses the next one. A planned restart comes that soon.
constexpr int kSetUpTries = 200;
constexpr unsigned kSetUpPauseUs = 2'000;

/// "0000:00:05.0" or "00:05.0", as lspci writes it.
bool is_pci_address(std::string_view device) {
    const auto name = device.substr(0, device.find(','));
    return name.size() >= 7 && name[name.size() - 2] == '.' && name.find(':') != std::string_view::npos &&
           std::isxdigit(static_cast<unsigned char>(name.front())) != 0;
}

Expected<void, std::string> plug(const PortConfig& port, std::string& device_name) {
    const auto comma = port.device.find(',');
    device_name = port.device.substr(0, comma);
    const std::string arguments = comma == std::string::npos ? "" : port.device.substr(comma + 1);
    const int failed = is_pci_address(port.device)
                           ? rte_dev_probe(port.device.c_str())
                           : rte_eal_hotplug_add("vdev", device_name.c_str(), arguments.c_str());
    if (failed == 0) return {};
    return Unexpected<std::string>{fmt::format(
        "port {}: device \"{}\" cannot be opened: {}; is the interface there, and is the driver in this build?",
        port.name, port.device, rte_strerror(-failed))};
}

/// How many pairs of queues to use. A device that can't be told how to spread is read through those that its arguments
/// name; some drivers have any number, and then one is enough: all the rest comes from there by hand.
std::uint16_t pairs_of(const rte_eth_dev_info& info, std::uint32_t workers) {
    const std::string_view driver = info.driver_name;
    if (driver == "net_tap" || driver == "net_memif") return 1;
    const std::uint32_t most = std::min<std::uint32_t>(info.max_rx_queues, info.max_tx_queues);
    return static_cast<std::uint16_t>(std::clamp<std::uint32_t>(most, 1, workers));
}

rte_eth_conf configuration(const rte_eth_dev_info& info, std::uint16_t queues, std::span<std::uint8_t> key) {
    rte_eth_conf conf{};
    conf.rxmode.offloads = info.rx_offload_capa & (RTE_ETH_RX_OFFLOAD_IPV4_CKSUM | RTE_ETH_RX_OFFLOAD_TCP_CKSUM |
                                                   RTE_ETH_RX_OFFLOAD_UDP_CKSUM | RTE_ETH_RX_OFFLOAD_SCATTER);
    conf.txmode.offloads = info.tx_offload_capa & RTE_ETH_TX_OFFLOAD_MULTI_SEGS;
    if (queues > 1) spread_over_queues(conf, info, key);
    return conf;
}

/// The first step that fails, by name.
const char* set_up(std::uint16_t id, const rte_eth_dev_info& info, std::uint16_t queues, rte_mempool* pool,
                   int& error) {
    auto key = symmetric_rss_key();
    const rte_eth_conf conf = configuration(info, queues, key);
    if ((error = rte_eth_dev_configure(id, queues, queues, &conf)) < 0) return "configure";
    std::uint16_t rx = kDescriptors, tx = kDescriptors;
    if ((error = rte_eth_dev_adjust_nb_rx_tx_desc(id, &rx, &tx)) < 0) return "descriptors";
    const int socket = rte_eth_dev_socket_id(id);
    const auto node = static_cast<unsigned>(socket < 0 ? 0 : socket);
    for (std::uint16_t q = 0; q < queues; ++q) {
        if ((error = rte_eth_rx_queue_setup(id, q, rx, node, nullptr, pool)) < 0) return "receive queue";
        if ((error = rte_eth_tx_queue_setup(id, q, tx, node, nullptr)) < 0) return "transmit queue";
    }
    if ((error = rte_eth_dev_start(id)) < 0) return "start";
    // Frames are wanted whatever their destination MAC: we stand in the middle of a wire.
    if ((error = rte_eth_promiscuous_enable(id)) < 0 && error != -ENOTSUP) return "promiscuous mode";
    return nullptr;
}

}  // namespace

Expected<rte_mempool*, std::string> create_own_pool() {
    rte_mempool* const pool =
        rte_pktmbuf_pool_create("sluice_own", kOwnBuffers, kPoolCache, 0, RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY);
    if (pool != nullptr) return pool;
    return Unexpected<std::string>{
        fmt::format("no memory for {} packet buffers: {}; raise -m in eal:", kOwnBuffers, rte_strerror(rte_errno))};
}

Expected<Devices, std::string> Devices::open(const Config& config) {
    for (int tries = 1;; ++tries) {
        Devices devices;
        const auto opened = devices.open_all(config);
        if (opened) return devices;
        if (!opened.error().is_busy || tries == kSetUpTries) return Unexpected<std::string>{opened.error().what};
        // Everything afresh, the buffers too: an AF_XDP device that fails keeps the 2,048 that it had taken, so that a
        // few more tries would find the pool empty.
        devices.close();
        rte_delay_us_sleep(kSetUpPauseUs);
    }
}

Expected<void, Devices::Failure> Devices::open_all(const Config& config) {
    const auto workers = static_cast<std::uint32_t>(config.worker_lcores.size());
    const auto buffers = static_cast<unsigned>(config.ports.size()) * workers * kBuffersPerQueue +
                         workers * (held_fragments_max(config.fragments) + HandOverRings::packets_max(workers));
    pool_ = rte_pktmbuf_pool_create("sluice_receive", buffers, kPoolCache, 0, RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY);
    if (pool_ == nullptr) {
        return Unexpected<Failure>{
            {fmt::format("no memory for {} packet buffers: {}; raise -m in eal:", buffers, rte_strerror(rte_errno))}};
    }
    for (const PortConfig& port : config.ports) {
        if (auto ok = open_one(port, workers); !ok) return ok;
    }
    plan_ = plan_queues(pairs_, workers);
    for (std::size_t p = 0; p < plan_.size(); ++p) {
        locks_.push_back(std::make_unique<std::array<QueueLock, abi::kWorkersMax>>());
    }
    if (workers > 1) steer(config);
    return {};
}

Expected<void, Devices::Failure> Devices::open_one(const PortConfig& port, std::uint32_t workers) {
    const auto fail = [](std::string what) { return Unexpected<Failure>{{std::move(what)}}; };
    std::string device_name;
    if (auto ok = plug(port, device_name); !ok) return fail(std::move(ok.error()));
    std::uint16_t id{};
    if (rte_eth_dev_get_port_by_name(device_name.c_str(), &id) != 0) {
        return fail(fmt::format("port {}: device \"{}\" is no network device", port.name, port.device));
    }
    ids_.push_back(id);
    plugged_.push_back({device_name, !is_pci_address(port.device)});
    rte_eth_dev_info info{};
    if (const int failed = rte_eth_dev_info_get(id, &info); failed != 0) {
        return fail(fmt::format("port {}: {}", port.name, rte_strerror(-failed)));
    }
    pairs_.push_back(pairs_of(info, workers));
    int error{};
    if (const char* const step = set_up(id, info, pairs_.back(), pool_, error)) {
        return Unexpected<Failure>{
            {fmt::format("port {}: device \"{}\" refused its {}: {}; is it in use by another process?", port.name,
                         port.device, step, rte_strerror(-error)),
             true}};
    }
    return {};
}

/// Only real devices are asked: virtual ones that take a key and a table (net_null does) spread nothing by them.
void Devices::steer(const Config& config) {
    const auto workers = static_cast<std::uint32_t>(config.worker_lcores.size());
    std::size_t which = 0;
    std::string why;
    for (; which < plugged_.size(); ++which) {
        if (plugged_[which].is_virtual) why = "it is virtual";
        if (pairs_[which] < workers) why = fmt::format("it has {} queue(s)", pairs_[which]);
        if (!why.empty()) break;
    }
    if (why.empty()) {
        if (const auto owners = owners_by_rss(ids_, workers, which, why)) {
            rss_owners_ = std::make_unique<const Owners>(*owners);
        }
    }
    if (rss_owners_) {
        log_info("steering=rss: key and table of every port read back and verified; workers={}", workers);
    } else {
        log_info("steering=software: workers={} hand packets over, since port {} can't place flows: {}", workers,
                 config.ports[std::min(which, config.ports.size() - 1)].name, why);
    }
}

WorkerQueues Devices::queues_of(std::uint32_t worker) const {
    WorkerQueues queues;
    for (std::size_t p = 0; p < ids_.size(); ++p) {
        const std::uint16_t transmit = plan_[p].transmit[worker];
        queues.ports[p] = {.device = ids_[p],
                           .receive = plan_[p].receive[worker],
                           .transmit = transmit,
                           .lock = plan_[p].transmit_is_shared ? &(*locks_[p])[transmit] : nullptr};
    }
    return queues;
}

Devices& Devices::operator=(Devices&& other) noexcept {
    std::swap(ids_, other.ids_);
    std::swap(plugged_, other.plugged_);
    std::swap(pairs_, other.pairs_);
    std::swap(plan_, other.plan_);
    std::swap(locks_, other.locks_);
    std::swap(rss_owners_, other.rss_owners_);
    std::swap(pool_, other.pool_);
    return *this;
}

void Devices::read(abi::ManagerCounters& counters) const {
    for (std::size_t i = 0; i < ids_.size(); ++i) {
        rte_eth_stats stats{};
        if (rte_eth_stats_get(ids_[i], &stats) == 0) counters.port_rx_missed[i].set(stats.imissed + stats.rx_nombuf);
        rte_eth_link link{};
        const bool up = rte_eth_link_get_nowait(ids_[i], &link) == 0 && link.link_status == RTE_ETH_LINK_UP;
        counters.port_link_up[i].set(up ? 1 : 0);
    }
}

void Devices::close() noexcept {
    for (const std::uint16_t id : std::exchange(ids_, {})) {
        rte_eth_dev_stop(id);
        rte_eth_dev_close(id);
    }
    for (const Plugged& device : std::exchange(plugged_, {})) {
        if (device.is_virtual) rte_eal_hotplug_remove("vdev", device.name.c_str());
    }
    rte_mempool_free(std::exchange(pool_, nullptr));
}

}  // namespace sluice::dp
