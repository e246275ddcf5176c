#include "dataplane/pipeline/rx.hpp"

#include "dataplane/pipeline/parse.hpp"

namespace sluice::dp {

std::size_t receive(PacketIo& io, const Passage& passage, const Moment& moment, Burst& burst,
                    abi::PortCounters& port) noexcept {
    burst.count = io.receive(passage.in_port, burst.packet);
    burst.answer_count = burst.fragment_count = burst.datagram_count = 0;
    if (burst.count == 0) return 0;
    burst.passage = passage;
    burst.moment = moment;
    std::uint64_t bytes = 0;
    for (std::size_t i = 0; i < burst.count; ++i) {
        __builtin_prefetch(burst.packet[i].data);
        bytes += burst.packet[i].total_bytes;
        burst.fate[i] = Fate::undecided;
        burst.decided_by_rule[i] = false;
    }
    port.rx_packets.add(burst.count);
    port.rx_bytes.add(bytes);
    return burst.count;
}

void parse_burst(Burst& burst, abi::WorkerCounters& counters) noexcept {
    std::uint64_t zero_checksums = 0;
    for (std::size_t i = 0; i < burst.count; ++i) {
        ParsedPacket& p = burst.parsed[i];
        if (const auto fault = parse(burst.packet[i], p)) {
            burst.drop(i, *fault);
        } else if (p.vlan != 0 || burst.passage.from == abi::kNoZone || burst.passage.to == abi::kNoZone) {
            burst.drop(i, abi::DropReason::vlan_deny);
        } else {
            zero_checksums += p.udp_zero_checksum6 ? 1 : 0;
        }
        burst.fragment_count += p.is_fragment ? 1 : 0;
    }
    if (zero_checksums != 0) counters.udp_zero_csum6.add(zero_checksums);
}

}  // namespace sluice::dp
