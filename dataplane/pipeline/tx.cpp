#include "dataplane/pipeline/tx.hpp"

#include "dataplane/pipeline/act.hpp"

namespace sluice::dp {

namespace {

using abi::DropReason;

/// Sends from the front as far as the device takes; returns how many.
std::size_t send_through(PacketIo& io, PortIndex out, std::span<const Packet> packets,
                         abi::PortCounters& out_counters) noexcept {
    std::uint64_t sizes[kBurstMax];  // a sent packet is no longer ours to read
    for (std::size_t i = 0; i < packets.size(); ++i) sizes[i] = packets[i].total_bytes;
    std::size_t sent = 0;
    while (sent < packets.size()) {
        const std::size_t taken = io.send(out, packets.subspan(sent));
        if (taken == 0) break;
        sent += taken;
    }
    std::uint64_t bytes = 0;
    for (std::size_t i = 0; i < sent; ++i) bytes += sizes[i];
    out_counters.tx_packets.add(sent);
    out_counters.tx_bytes.add(bytes);
    return sent;
}

struct SendResult {
    std::size_t taken{};
    DropReason reason{};  ///< of those behind `taken`
};

SendResult send_or_say_why(PacketIo& io, PortIndex out, std::span<const Packet> packets,
                           std::span<abi::PortCounters, abi::kPortsMax> ports) noexcept {
    if (out == kNoPort || !io.link_up(out)) return {0, DropReason::port_down};
    return {send_through(io, out, packets, ports[static_cast<std::size_t>(out)]), DropReason::tx_full};
}

void send_forwarded(Burst& burst, PacketIo& io, std::span<abi::PortCounters, abi::kPortsMax> ports, EventWriter& events,
                    std::uint64_t generation) noexcept {
    std::array<Packet, kBurstMax> out;
    std::array<std::uint8_t, kBurstMax> whose;
    std::size_t count = 0;
    for (std::size_t i = 0; i < burst.count; ++i) {
        if (burst.fate[i] != Fate::forward) continue;
        out[count] = burst.packet[i];
        whose[count++] = static_cast<std::uint8_t>(i);
    }
    if (count == 0) return;
    abi::PortCounters& arrival = ports[static_cast<std::size_t>(burst.passage.in_port)];
    const std::span<const Packet> packets{out.data(), count};
    const SendResult result = send_or_say_why(io, burst.passage.out_port, packets, ports);
    arrival.forwarded_packets.add(result.taken);
    for (std::size_t k = result.taken; k < count; ++k) {
        burst.drop(whose[k], result.reason);
        account_drop(burst, whose[k], arrival, events, generation);
    }
    if (result.taken < count) io.release(packets.subspan(result.taken));
}

void send_answers(Burst& burst, PacketIo& io, std::span<abi::PortCounters, abi::kPortsMax> ports) noexcept {
    if (burst.answer_count == 0) return;
    abi::PortCounters& arrival = ports[static_cast<std::size_t>(burst.passage.in_port)];
    const std::span<const Packet> packets{burst.answer.data(), burst.answer_count};
    const SendResult result = send_or_say_why(io, burst.passage.in_port, packets, ports);
    arrival.forwarded_packets.add(result.taken);
    const std::size_t left = packets.size() - result.taken;
    if (left == 0) return;
    arrival.drops[static_cast<std::size_t>(result.reason)].add(left);
    io.release(packets.subspan(result.taken));
}

}  // namespace

void transmit(Burst& burst, PacketIo& io, std::span<abi::PortCounters, abi::kPortsMax> ports, EventWriter& events,
              std::uint64_t generation) noexcept {
    send_forwarded(burst, io, ports, events, generation);
    send_answers(burst, io, ports);
    burst.count = burst.answer_count = 0;
}

}  // namespace sluice::dp
