#include "dataplane/pipeline/tx.hpp"

#include <algorithm>

#include "dataplane/pipeline/act.hpp"
#include "dataplane/pipeline/rx.hpp"

namespace sluice::dp {

namespace {

using abi::DropReason;

/// Sends from the front as far as the device takes; returns how many.
std::size_t send_through(PacketIo& io, PortIndex out, std::span<const Packet> packets,
                         abi::PortCounters& out_counters) noexcept {
    std::size_t sent = 0;
    while (sent < packets.size()) {
        const std::size_t taken = io.send(out, packets.subspan(sent));
        if (taken == 0) break;
        sent += taken;
    }
    std::uint64_t bytes = 0;
    for (const Packet& p : packets.first(sent)) bytes += p.total_bytes;  // what we know of it, its bytes are gone
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

/// Where a burst's packets leave, and how those end that the device does not take.
struct Exit {
    Burst& burst;
    PacketIo& io;
    std::span<abi::PortCounters, abi::kPortsMax> ports;
    EventWriter& events;
    std::uint64_t generation;

    /// `slot_of(k)`: the slot whose packet `packets[k]` is, or is a part of.
    template <typename SlotOf>
    void send(std::span<const Packet> packets, SlotOf slot_of) const noexcept {
        abi::PortCounters& arrival = ports[static_cast<std::size_t>(burst.passage.in_port)];
        const SendResult result = send_or_say_why(io, burst.passage.out_port, packets, ports);
        arrival.forwarded_packets.add(result.taken);
        for (std::size_t k = result.taken; k < packets.size(); ++k) {
            fill_usual(burst, slot_of(k));
            burst.drop(slot_of(k), result.reason);
            account_drop(burst, slot_of(k), arrival, events, generation);
        }
        if (result.taken < packets.size()) io.release(packets.subspan(result.taken));
    }
};

/// Forwarded packets on their way out, a burst's worth at a time. Each remembers its slot.
class Outbox {
public:
    explicit Outbox(const Exit& exit) noexcept : exit_{exit} {}

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
        exit_.send({packets_.data(), count_}, [this](std::size_t k) { return slots_[k]; });
        count_ = 0;
    }

private:
    const Exit& exit_;
    std::size_t count_{};
    std::array<Packet, kBurstMax> packets_;
    std::array<std::uint8_t, kBurstMax> slots_;
};

void send_forwarded(const Exit& exit) noexcept {
    const Burst& burst = exit.burst;
    if (burst.all_forward()) {
        // The usual burst leaves as it came, and nothing is copied.
        return exit.send({burst.packet.data(), burst.count}, [](std::size_t k) { return k; });
    }
    Outbox out{exit};
    for (std::size_t i = 0; i < burst.count; ++i) {
        if (burst.fate[i] == Fate::forward) out.add(burst.packet[i], i);
    }
    out.flush();
}

/// As above, with datagrams among the packets: all their fragments leave, in order of arrival.
void send_with_fragments(const Exit& exit, Reassembly& fragments) noexcept {
    Burst& burst = exit.burst;
    Outbox out{exit};
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

/// `on_behalf_of`: the port whose arrivals they are about.
void send_own(PortIndex on_behalf_of, PortIndex out, std::span<const Packet> packets, PacketIo& io,
              std::span<abi::PortCounters, abi::kPortsMax> ports) noexcept {
    if (packets.empty()) return;
    abi::PortCounters& arrival = ports[static_cast<std::size_t>(on_behalf_of)];
    const SendResult result = send_or_say_why(io, out, packets, ports);
    arrival.forwarded_packets.add(result.taken);
    const std::size_t left = packets.size() - result.taken;
    if (left == 0) return;
    arrival.drops[static_cast<std::size_t>(result.reason)].add(left);
    io.release(packets.subspan(result.taken));
}

}  // namespace

void transmit(Burst& burst, PacketIo& io, std::span<abi::PortCounters, abi::kPortsMax> ports, EventWriter& events,
              Reassembly& fragments, std::uint64_t generation) noexcept {
    const Exit exit{burst, io, ports, events, generation};
    if (burst.datagram_count == 0) {
        send_forwarded(exit);
    } else {
        send_with_fragments(exit, fragments);
    }
    send_own(burst.passage.in_port, burst.passage.in_port, {burst.answer.data(), burst.answer_count}, io, ports);
    send_own(burst.passage.in_port, burst.passage.out_port, {burst.onward.data(), burst.onward_count}, io, ports);
    burst.count = burst.answer_count = burst.onward_count = burst.own_count = 0;
}

void transmit_own(const Packet& packet, PortIndex out, PortIndex arrival, PacketIo& io,
                  std::span<abi::PortCounters, abi::kPortsMax> ports) noexcept {
    ports[static_cast<std::size_t>(arrival)].originated_packets.add(1);
    send_own(arrival, out, {&packet, 1}, io, ports);
}

}  // namespace sluice::dp
