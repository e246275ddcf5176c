#include "dataplane/pipeline/reassemble.hpp"

#include <algorithm>

#include "dataplane/pipeline/parse.hpp"

namespace sluice::dp {

namespace {

using abi::DropReason;

FragmentKey key_of(const ParsedPacket& p, PortIndex in_port) noexcept {
    return {.src = p.src,
            .dst = p.dst,
            .id = p.fragment.id,
            .in_port = in_port,
            .family = p.family,
            .proto = p.family == abi::IpFamily::v4 ? p.proto : abi::L4Proto{0}};
}

Fragment fragment_of(const Packet& packet, const ParsedPacket& p) noexcept {
    const unsigned fixed_header_bytes = p.family == abi::IpFamily::v4 ? 20 : 40;
    return {.packet = packet,
            .offset_bytes = p.fragment.offset_bytes,
            .data_offset = p.fragment.data_offset,
            .data_bytes = p.fragment.data_bytes,
            .body_offset = static_cast<std::uint16_t>(p.l3_offset + fixed_header_bytes),
            .more = p.fragment.more};
}

/// The data of the fragments, as far as `count` says; none if not all of it can be read.
std::span<std::span<const std::uint8_t>> data_of(std::span<const Fragment* const> fragments,
                                                 std::span<std::span<const std::uint8_t>, kFragmentsMax> out) noexcept {
    std::size_t count = 0;
    for (const Fragment* f : fragments) {
        if (f->data_offset + f->data_bytes > f->packet.contiguous_bytes) return {};
        out[count++] = {f->packet.data + f->data_offset, f->data_bytes};
    }
    return out.first(count);
}

void lower(abi::Counter& level, std::size_t by) noexcept { level.set(level.read() - by); }

}  // namespace

Reassembly::Reassembly(const WorkerConfig& config, PacketIo& io, abi::WorkerCounters& counters,
                       EventWriter& events) noexcept
    : store_{config.fragments, config.tsc, config.hash_secret}, io_{io}, counters_{counters}, events_{events} {}

void Reassembly::at(const Moment& moment, std::uint64_t generation) noexcept {
    now_ = moment;
    generation_ = generation;
}

void Reassembly::collect(Burst& burst, std::uint64_t generation) noexcept {
    at(burst.moment, generation);
    burst.datagram.fill(kNoDatagram);
    for (std::size_t i = 0; i < burst.count; ++i) {
        const ParsedPacket& p = burst.parsed[i];
        if (!p.is_fragment) continue;
        if (burst.fate[i] == Fate::undecided) {
            add(burst, i);
        } else if (burst.reason[i] != DropReason::vlan_deny && p.vlan == 0) {
            // Faulty by itself, whatever the others are. (What no zone binds is no fragment of ours.)
            store_.condemn(key_of(p, burst.passage.in_port), burst.reason[i], burst.moment.now, *this);
        }
    }
    counters_.frag_held_bytes.set(store_.bytes());
}

void Reassembly::add(Burst& burst, std::size_t i) noexcept {
    const ParsedPacket& p = burst.parsed[i];
    const PortIndex in_port = burst.passage.in_port;
    const auto added = store_.add(key_of(p, in_port), fragment_of(burst.packet[i], p), burst.moment.now, *this);
    abi::PortCounters& port = counters_.ports[static_cast<std::size_t>(in_port)];
    switch (added.outcome) {
        case FragmentStore::Outcome::refused: return burst.drop(i, added.reason);
        case FragmentStore::Outcome::duplicate:
            io_.release(std::span<const Packet>{&burst.packet[i], 1});
            port.consumed_packets.add(1);
            counters_.frag_duplicates.add(1);
            burst.fate[i] = Fate::held;  // gone, as far as the burst goes
            return;
        case FragmentStore::Outcome::held: burst.fate[i] = Fate::held; break;
        case FragmentStore::Outcome::whole: make_whole(burst, i, added.datagram); break;
    }
    port.held_packets.add(1);
}

void Reassembly::make_whole(Burst& burst, std::size_t i, std::uint32_t datagram) noexcept {
    std::array<const Fragment*, kFragmentsMax> fragments;
    std::array<std::span<const std::uint8_t>, kFragmentsMax> data;
    const std::size_t count = store_.by_offset(datagram, fragments);
    std::uint32_t frame_bytes = 0;
    for (std::size_t k = 0; k < count; ++k) frame_bytes += fragments[k]->packet.total_bytes;

    const Fragment& first = *fragments[0];
    Packet& view = burst.packet[i];
    view = first.packet;
    const auto fault = parse_reassembled(view, data_of({fragments.data(), count}, data),
                                         fragments[count - 1]->end_bytes(), burst.parsed[i]);
    // Nobody shall take Ethernet padding behind the first fragment for data of the datagram.
    view.contiguous_bytes = std::min<std::uint32_t>(view.contiguous_bytes, first.data_offset + first.data_bytes);
    view.total_bytes = frame_bytes;
    view.handle = nullptr;
    burst.datagram[i] = datagram;
    ++burst.datagram_count;
    counters_.frag_reassembled.add(1);
    if (fault) return burst.drop(i, *fault);
    if (burst.parsed[i].udp_zero_checksum6) counters_.udp_zero_csum6.add(1);
}

std::size_t Reassembly::take(Burst& burst, std::size_t i, std::span<Packet, kFragmentsMax> out) noexcept {
    const std::size_t count = store_.take(burst.datagram[i], out);
    burst.datagram[i] = kNoDatagram;
    lower(counters_.ports[static_cast<std::size_t>(burst.passage.in_port)].held_packets, count);
    counters_.frag_held_bytes.set(store_.bytes());
    return count;
}

void Reassembly::expire(const Moment& moment, std::uint64_t generation) noexcept {
    if (store_.empty()) return;
    at(moment, generation);
    store_.expire(moment.now, *this);
    counters_.frag_held_bytes.set(store_.bytes());
}

void Reassembly::drop_all() noexcept {
    store_.drop_all(DropReason::frag_timeout, *this);
    counters_.frag_held_bytes.set(store_.bytes());
}

/// One event per datagram; what stands in it is what all its fragments have in common.
void Reassembly::dropped(const FragmentKey& key, std::span<const Packet> packets, DropReason why) noexcept {
    abi::PortCounters& port = counters_.ports[static_cast<std::size_t>(key.in_port)];
    lower(port.held_packets, packets.size());
    port.drops[static_cast<std::size_t>(why)].add(packets.size());
    abi::FlowEvent event{};
    event.time = now_.mono;
    event.generation = generation_;
    event.packets[0] = packets.size();
    for (const Packet& p : packets) event.bytes[0] += p.total_bytes;
    event.src = key.src;
    event.dst = key.dst;
    event.kind = abi::EventKind::drop;
    event.drop = why;
    event.family = key.family;
    event.proto = key.proto;
    event.in_port = static_cast<std::uint8_t>(key.in_port);
    events_.write_sampled(event);
    io_.release(packets);
}

}  // namespace sluice::dp
