#include "dataplane/pipeline/rx.hpp"

#include "dataplane/pipeline/parse.hpp"

namespace sluice::dp {

namespace {

void reset(Burst& burst) noexcept {
    burst.answer_count = burst.own_count = burst.fragment_count = burst.datagram_count = 0;
    burst.waiting_count = burst.wire_frame_count = 0;
    burst.received = 0;
    burst.usual.mask = 0;
}

}  // namespace

void begin_burst(Burst& burst, std::size_t count, const Passage& passage, const Moment& moment) noexcept {
    reset(burst);
    burst.count = count;
    burst.passage = passage;
    burst.moment = moment;
    for (std::size_t i = 0; i < count; ++i) {
        __builtin_prefetch(burst.packet[i].data);
        burst.fate[i] = Fate::undecided;
        burst.decided_by_rule[i] = false;
    }
}

std::size_t receive(PacketIo& io, const Passage& passage, const Moment& moment, Burst& burst,
                    abi::PortCounters& port) noexcept {
    burst.count = io.receive(passage.in_port, burst.packet);
    reset(burst);
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

namespace {

bool read_as_usual(Burst& burst, std::size_t i) noexcept {
    UsualPackets& usual = burst.usual;
    if (!read_usual(burst.packet[i], burst.passage.domain, usual.key[i], usual.segment[i])) return false;
    usual.add(i);
    burst.parsed[i].head_of_usual();
    return true;
}

/// False: dropped.
bool read_headers(Burst& burst, std::size_t i) noexcept {
    if (parse_if_plain(burst.packet[i], burst.parsed[i])) [[likely]]
        return true;
    const auto fault = parse(burst.packet[i], burst.parsed[i]);
    if (fault) burst.drop(i, *fault);
    return !fault;
}

}  // namespace

void parse_burst(Burst& burst, abi::WorkerCounters& counters) noexcept {
    std::uint64_t zero_checksums = 0;
    const bool no_zone = burst.passage.from == abi::kNoZone || burst.passage.to == abi::kNoZone;
    for (std::size_t i = 0; i < burst.count; ++i) {
        if (!no_zone && read_as_usual(burst, i)) [[likely]]
            continue;
        const ParsedPacket& p = burst.parsed[i];
        const bool passes = read_headers(burst, i);
        if (passes && (p.vlan != 0 || no_zone)) {
            burst.drop(i, abi::DropReason::vlan_deny);
        } else if (passes) {
            zero_checksums += p.udp_zero_checksum6 ? 1 : 0;
            burst.wire_frame_count += p.packet_class != PacketClass::ip ? 1 : 0;
        }
        burst.fragment_count += p.is_fragment ? 1 : 0;
    }
    if (zero_checksums != 0) counters.udp_zero_csum6.add(zero_checksums);
}

}  // namespace sluice::dp
