/// What devices are told so that they place both directions of a flow on its owner's queue, and whether what they say
/// afterwards is that. Free of DPDK: port/rss_device.hpp carries it to the device and back.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "dataplane/steering/owner.hpp"

namespace sluice::dp {

/// What a device can, and after programming: what it has.
struct RssDevice {
    std::uint32_t key_bytes{};    ///< 0: it has no key that can be set
    std::uint32_t table_count{};  ///< 0: it has no table of queues
    bool hashes_tcp_and_udp{};    ///< over IPv4 and IPv6, by addresses and ports
    RssProgram program;           ///< as read back
};

/// For devices with these tables: entry i of each is i % smallest % workers, so that they all agree. Nothing: one of
/// them can't, `why` says which rule is broken, or the smallest has fewer entries than there are workers.
std::optional<RssProgram> program_for(const std::vector<RssDevice>& devices, std::uint32_t workers, std::string& why);

/// The same for one device: the key in the device's length, its table in full.
RssProgram stretched(const RssProgram& program, const RssDevice& device);

/// Empty: packets of a few thousand random flows, both directions, would arrive where `owners` says. Else why not.
std::string rss_mismatch(const RssDevice& device, const Owners& owners);

}  // namespace sluice::dp
