/// Receive-side scaling of DPDK devices: what rss.hpp wants of them, told to them and asked back.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include <rte_ethdev.h>

#include "dataplane/steering/rss.hpp"

namespace sluice::dp {

/// For rte_eth_dev_configure of a device with several queues: all kinds of packets that it can hash, our key.
void spread_over_queues(rte_eth_conf& conf, const rte_eth_dev_info& info, std::span<std::uint8_t> key) noexcept;

/// Programs key and table of all these started devices, reads both back and verifies that flows would arrive where the
/// owners in software say. Nothing: one of them can't or did not; `which` is its place in `ids`, `why` the reason.
std::optional<Owners> owners_by_rss(std::span<const std::uint16_t> ids, std::uint32_t workers, std::size_t& which,
                                    std::string& why);

}  // namespace sluice::dp
