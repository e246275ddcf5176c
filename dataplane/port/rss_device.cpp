#include "dataplane/port/rss_device.hpp"

#include <algorithm>
#include <array>
#include <vector>

namespace sluice::dp {

namespace {

/// By addresses and ports: where a plain TCP or UDP packet goes must be known exactly (pipeline/hand_over.hpp).
constexpr std::uint64_t kNeeded = RTE_ETH_RSS_NONFRAG_IPV4_TCP | RTE_ETH_RSS_NONFRAG_IPV4_UDP |
                                  RTE_ETH_RSS_NONFRAG_IPV6_TCP | RTE_ETH_RSS_NONFRAG_IPV6_UDP;
/// Where the rest goes is corrected; that it is spread at all keeps one worker from getting all of it.
constexpr std::uint64_t kWanted =
    kNeeded | RTE_ETH_RSS_IP | RTE_ETH_RSS_NONFRAG_IPV4_SCTP | RTE_ETH_RSS_NONFRAG_IPV6_SCTP;

using Groups = std::vector<rte_eth_rss_reta_entry64>;
Groups groups_of(std::size_t entries) {
    constexpr std::size_t kGroup = RTE_ETH_RETA_GROUP_SIZE;
    Groups groups((entries + kGroup - 1) / kGroup);
    for (std::size_t i = 0; i < entries; ++i) groups[i / kGroup].mask |= std::uint64_t{1} << i % kGroup;
    return groups;
}

/// Drivers that hash and do not say how long their key is take one of the usual length.
std::uint8_t key_bytes_of(const rte_eth_dev_info& info) noexcept {
    constexpr std::uint8_t kUsual = 40;
    return info.hash_key_size == 0 && info.flow_type_rss_offloads != 0 ? kUsual : info.hash_key_size;
}

RssDevice capabilities(std::uint16_t id) {
    rte_eth_dev_info info{};
    if (rte_eth_dev_info_get(id, &info) != 0) return {};
    return {.key_bytes = key_bytes_of(info),
            .table_count = info.reta_size,
            .hashes_tcp_and_udp = (info.flow_type_rss_offloads & kNeeded) == kNeeded,
            .program = {}};
}

bool tell(std::uint16_t id, RssProgram program) {
    rte_eth_dev_info info{};
    if (rte_eth_dev_info_get(id, &info) != 0) return false;
    rte_eth_rss_conf conf{};
    conf.rss_key = program.key.data();
    conf.rss_key_len = static_cast<std::uint8_t>(program.key.size());
    conf.rss_hf = kWanted & info.flow_type_rss_offloads;
    // Some drivers take the key with the configuration only: what counts is what they say afterwards.
    (void)rte_eth_dev_rss_hash_update(id, &conf);
    Groups groups = groups_of(program.table.size());
    for (std::size_t i = 0; i < program.table.size(); ++i) {
        groups[i / RTE_ETH_RETA_GROUP_SIZE].reta[i % RTE_ETH_RETA_GROUP_SIZE] = program.table[i];
    }
    return rte_eth_dev_rss_reta_update(id, groups.data(), static_cast<std::uint16_t>(program.table.size())) == 0;
}

RssDevice ask(std::uint16_t id) {
    RssDevice device = capabilities(id);
    device.hashes_tcp_and_udp = false;
    std::array<std::uint8_t, kRssKeyMax> key{};
    rte_eth_rss_conf conf{};
    conf.rss_key = key.data();
    conf.rss_key_len = static_cast<std::uint8_t>(std::min<std::size_t>(device.key_bytes, key.size()));
    if (rte_eth_dev_rss_hash_conf_get(id, &conf) == 0) {
        device.hashes_tcp_and_udp = (conf.rss_hf & kNeeded) == kNeeded;
        device.program.key.assign(key.begin(), key.begin() + conf.rss_key_len);
    }
    Groups groups = groups_of(device.table_count);
    if (device.table_count != 0 &&
        rte_eth_dev_rss_reta_query(id, groups.data(), static_cast<std::uint16_t>(device.table_count)) == 0) {
        for (std::size_t i = 0; i < device.table_count; ++i) {
            // A queue that no worker could have stays one: it is a mismatch.
            const std::uint16_t queue = groups[i / RTE_ETH_RETA_GROUP_SIZE].reta[i % RTE_ETH_RETA_GROUP_SIZE];
            device.program.table.push_back(static_cast<WorkerIndex>(std::min<std::uint16_t>(queue, 0xff)));
        }
    }
    return device;
}

}  // namespace

void spread_over_queues(rte_eth_conf& conf, const rte_eth_dev_info& info, std::span<std::uint8_t> key) noexcept {
    if (info.flow_type_rss_offloads == 0) return;
    conf.rxmode.mq_mode = RTE_ETH_MQ_RX_RSS;
    conf.rx_adv_conf.rss_conf.rss_hf = info.flow_type_rss_offloads & kWanted;
    if (key_bytes_of(info) > key.size()) return;  // the driver's own key
    conf.rx_adv_conf.rss_conf.rss_key = key.data();
    conf.rx_adv_conf.rss_conf.rss_key_len = key_bytes_of(info);
}

std::optional<Owners> owners_by_rss(std::span<const std::uint16_t> ids, std::uint32_t workers, std::size_t& which,
                                    std::string& why) {
    std::vector<RssDevice> devices;
    for (which = 0; which < ids.size(); ++which) {
        devices.push_back(capabilities(ids[which]));
        if (!program_for({devices.back()}, workers, why)) return std::nullopt;
    }
    const auto program = program_for(devices, workers, why);
    if (!program) return std::nullopt;
    Owners owners = Owners::rss(*program, workers);
    for (which = 0; which < ids.size(); ++which) {
        if (!tell(ids[which], stretched(*program, devices[which]))) {
            why = "it did not take the table of queues";
            return std::nullopt;
        }
        why = rss_mismatch(ask(ids[which]), owners);
        if (!why.empty()) return std::nullopt;
    }
    return owners;
}

}  // namespace sluice::dp
