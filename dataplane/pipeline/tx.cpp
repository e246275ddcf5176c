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

/// Forwarded packets on their way out, a burst's worth at a time. Each remembers its slot, for the case that the device
/// does not take it.
class Outbox {
public:
    Outbox(Burst& burst, PacketIo& io, std::span<abi::PortCounters, abi::kPortsMax> ports, EventWriter& events,
           std::uint64_t generation) noexcept
        : burst_{burst}, io_{io}, ports_{ports}, events_{events}, generation_{generation} {}

    void add(const Packet& packet, std::size_t slot) noexcept {
        packets_[count_] = packet;
        slots_[count_++] = static_cast<std::uint8_t>(slot);
    }
    void add_or_flush(const Packet& packet, std::size_t slot) noexcept {
        if (count_ == kBurstMax) flush();
        add(packet, slot);
    }
    void flush() noexcept {
        if (count_ == 0) return;
        abi::PortCounters& arrival = ports_[static_cast<std::size_t>(burst_.passage.in_port)];
        const std::span<const Packet> packets{packets_.data(), count_};
        const SendResult result = send_or_say_why(io_, burst_.passage.out_port, packets, ports_);
        arrival.forwarded_packets.add(result.taken);
        for (std::size_t k = result.taken; k < count_; ++k) {
            burst_.drop(slots_[k], result.reason);
            account_drop(burst_, slots_[k], arrival, events_, generation_);
        }
        if (result.taken < count_) io_.release(packets.subspan(result.taken));
        count_ = 0;
    }

private:
    Burst& burst_;
    PacketIo& io_;
    std::span<abi::PortCounters, abi::kPortsMax> ports_;
    EventWriter& events_;
    std::uint64_t generation_;
    std::size_t count_{};
    std::array<Packet, kBurstMax> packets_;
    std::array<std::uint8_t, kBurstMax> slots_;
};

void send_forwarded(Burst& burst, Outbox& out) noexcept {
    for (std::size_t i = 0; i < burst.count; ++i) {
        if (burst.fate[i] == Fate::forward) out.add(burst.packet[i], i);
    }
    out.flush();
}

/// As above, with datagrams among the packets: all their fragments leave, in order of arrival.
void send_with_fragments(Burst& burst, Reassembly& fragments, Outbox& out) noexcept {
    for (std::size_t i = 0; i < burst.count; ++i) {
        if (burst.fate[i] != Fate::forward) continue;
        if (!burst.is_datagram(i)) {
            out.add_or_flush(burst.packet[i], i);
            continue;
        }
        std::array<Packet, kFragmentsMax> all;
        const std::size_t count = fragments.take(burst, i, all);
        for (std::size_t k = 0; k < count; ++k) out.add_or_flush(all[k], i);
    }
    out.flush();
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
              Reassembly& fragments, std::uint64_t generation) noexcept {
    Outbox out{burst, io, ports, events, generation};
    if (burst.datagram_count == 0) {
        send_forwarded(burst, out);
    } else {
        send_with_fragments(burst, fragments, out);
    }
    send_answers(burst, io, ports);
    burst.count = burst.answer_count = 0;
}

}  // namespace sluice::dp
