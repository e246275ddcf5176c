#include "dataplane/pipeline/hand_over.hpp"

#include <algorithm>
#include <bit>

#include "dataplane/pipeline/act.hpp"
#include "dataplane/pipeline/parse.hpp"
#include "dataplane/pipeline/rx.hpp"

namespace sluice::dp {

namespace {

using abi::DropReason;
using abi::L4Proto;

FlowTuple ends_of(const ParsedPacket& p) noexcept { return {p.src, p.dst, p.sport, p.dport, p.proto}; }

/// Of all fragments of a datagram (as in reassemble.cpp, without the number: datagrams between two hosts stay in
/// order).
FlowTuple ends_of_fragment(const ParsedPacket& p) noexcept {
    return {p.src, p.dst, {}, {}, p.family == abi::IpFamily::v4 ? p.proto : L4Proto{0}};
}

/// Devices agree about these: TCP and UDP right behind the fixed IP header, or behind IPv4 options.
bool is_placed_by_device(const ParsedPacket& p) noexcept {
    if (p.proto != L4Proto::tcp && p.proto != L4Proto::udp) return false;
    constexpr unsigned kIpv6Bytes = 40;
    return p.family == abi::IpFamily::v4 || p.l4_offset == p.l3_offset + kIpv6Bytes;
}

/// The slots of a burst, those of one owner together, in order.
class SlotsByOwner {
public:
    SlotsByOwner(std::span<const WorkerIndex> owner, std::uint32_t workers) noexcept {
        for (const WorkerIndex w : owner) ++end_[w];
        for (std::uint32_t w = 1; w < workers; ++w) end_[w] = static_cast<std::uint8_t>(end_[w] + end_[w - 1]);
        std::array<std::uint8_t, abi::kWorkersMax> next{};
        for (std::uint32_t w = 1; w < workers; ++w) next[w] = end_[w - 1];
        for (std::size_t i = 0; i < owner.size(); ++i) slots_[next[owner[i]]++] = static_cast<std::uint8_t>(i);
    }
    std::span<const std::uint8_t> of(WorkerIndex w) const noexcept {
        const std::size_t first = w == 0 ? 0 : end_[w - 1];
        return {slots_.data() + first, end_[w] - first};
    }

private:
    std::array<std::uint8_t, abi::kWorkersMax> end_{};
    std::array<std::uint8_t, kBurstMax> slots_;
};

/// What `parse_burst` has found out about a packet moves with it.
void move_slot(Burst& burst, std::size_t from, std::size_t to) noexcept {
    burst.packet[to] = burst.packet[from];
    burst.fate[to] = burst.fate[from];
    burst.reason[to] = burst.reason[from];
    burst.decided_by_rule[to] = burst.decided_by_rule[from];
    if (burst.usual.has(from)) {
        burst.usual.key[to] = burst.usual.key[from];
        burst.usual.segment[to] = burst.usual.segment[from];
        burst.parsed[to].head_of_usual();
    } else {
        burst.parsed[to] = burst.parsed[from];
    }
}

void close_gaps(Burst& burst, std::uint32_t gone) noexcept {
    std::uint32_t usual = 0;
    std::size_t count = 0;
    for (std::size_t i = 0; i < burst.count; ++i) {
        if ((gone >> i & 1) != 0) continue;
        if (i != count) move_slot(burst, i, count);
        usual |= std::uint32_t{burst.usual.has(i)} << count++;
    }
    burst.usual.mask = usual;
    burst.count = count;
}

}  // namespace

HandOverRings::HandOverRings(std::uint32_t workers, std::uint32_t capacity) : workers_{workers} {
    if (capacity == 0) capacity = capacity_for(workers);
    rings_.resize(std::size_t{workers} * workers);
    for (std::size_t i = 0; i < rings_.size(); ++i) {
        if (i / workers != i % workers) rings_[i] = std::make_unique<SpscRing<Packet>>(capacity);
    }
}

std::uint32_t HandOverRings::capacity_for(std::uint32_t workers) noexcept {
    return std::max(kCapacityMin, std::bit_floor(kPacketsMax / std::max(1U, workers - 1)));
}

std::uint32_t HandOverRings::packets_max(std::uint32_t workers) noexcept {
    return (workers - 1) * capacity_for(workers);
}

std::size_t HandOverRings::waiting() const noexcept {
    std::size_t sum = 0;
    for (const auto& ring : rings_) sum += ring == nullptr ? 0 : ring->size();
    return sum;
}

WorkerIndex HandOver::owner_of(const Burst& burst, std::size_t i, bool trusts) const noexcept {
    const ParsedPacket& p = burst.parsed[i];
    if (p.packet_class != PacketClass::ip || p.family == abi::IpFamily::none) return self_;
    if (p.is_fragment) {
        // One with a fault, too: its datagram shares its fate. (What no zone binds is no fragment of ours.)
        if (p.vlan != 0 || (burst.fate[i] == Fate::drop && burst.reason[i] == DropReason::vlan_deny)) return self_;
        return steering_.owners.owner(p.family, ends_of_fragment(p), burst.passage.domain);
    }
    if (burst.fate[i] != Fate::undecided || (trusts && is_placed_by_device(p))) return self_;
    return owner_by_headers(burst, i);
}

/// Of a packet or a whole datagram that is well-formed.
WorkerIndex HandOver::owner_by_headers(const Burst& burst, std::size_t i) const noexcept {
    const ParsedPacket& p = burst.parsed[i];
    if (!is_icmp_error(p)) return steering_.owners.owner(p.family, ends_of(p), burst.passage.domain);
    InnerTuple inner;
    // What quotes nothing that could be a flow's dies wherever it is (track.cpp, identify).
    if (!parse_inner(burst.packet[i], p, inner) || inner.family != p.family) return self_;
    return steering_.owners.owner(inner.family, {inner.src, inner.dst, inner.sport, inner.dport, inner.proto},
                                  burst.passage.domain);
}

/// Returns the others to whom something belongs, a bit each.
std::uint64_t HandOver::find_owners(const Burst& burst, OwnerOfSlot& owner) noexcept {
    const bool trusts = trusts_[static_cast<std::size_t>(burst.passage.in_port)];
    const UsualPackets& usual = burst.usual;
    if (usual.mask != 0 && !trusts) {
        steering_.owners.owners(std::span<const FlowKeyV4>{usual.key.data(), burst.count}, owner.data());
    }
    std::uint64_t others = 0;
    for (std::size_t i = 0; i < burst.count; ++i) {
        if (!usual.has(i)) {
            owner[i] = owner_of(burst, i, trusts);
        } else if (trusts) {
            owner[i] = self_;
        }
        others |= std::uint64_t{1} << owner[i];
    }
    return others & ~(std::uint64_t{1} << self_);
}

void HandOver::spot_check(const Burst& burst) noexcept {
    const std::size_t i = next_check_++ % burst.count;
    WorkerIndex right = self_;
    if (burst.usual.has(i)) {
        right = steering_.owners.owner(burst.usual.key[i]);
    } else if (!burst.parsed[i].is_fragment && burst.fate[i] == Fate::undecided &&
               burst.parsed[i].packet_class == PacketClass::ip && is_placed_by_device(burst.parsed[i])) {
        right = owner_by_headers(burst, i);
    }
    if (right == self_) return;
    counters_.steering_misplaced.add(1);
    trusts_[static_cast<std::size_t>(burst.passage.in_port)] = false;
}

void HandOver::pass_on(Burst& burst) noexcept {
    OwnerOfSlot owner{};
    if (trusts_[static_cast<std::size_t>(burst.passage.in_port)]) spot_check(burst);
    std::uint64_t others = find_owners(burst, owner);
    if (others == 0) return;
    const SlotsByOwner by_owner{{owner.data(), burst.count}, steering_.rings.workers()};
    std::uint32_t gone = 0;
    for (; others != 0; others &= others - 1) {
        const auto to = static_cast<WorkerIndex>(std::countr_zero(others));
        gone |= pass_on_to(to, burst, by_owner.of(to));
    }
    close_gaps(burst, gone);
}

/// Returns the slots that are not the burst's any more, a bit each.
std::uint32_t HandOver::pass_on_to(WorkerIndex to, Burst& burst, std::span<const std::uint8_t> slots) noexcept {
    const auto make = [&](std::size_t k, Packet& place) {
        place = burst.packet[slots[k]];
        place.in_port = burst.passage.in_port;
        place.received = burst.received;
    };
    // From here on the first `taken` are the owner's, who may have sent them already.
    const std::size_t taken = steering_.rings.between(self_, to).push_made(slots.size(), make);
    std::uint32_t gone = 0;
    for (std::size_t k = 0; k < slots.size(); ++k) {
        const std::size_t i = slots[k];
        gone |= std::uint32_t{k < taken} << i;
        if (burst.usual.has(i) && k < taken) [[likely]]
            continue;
        fill_usual(burst, i);
        ParsedPacket& p = burst.parsed[i];
        if (p.is_fragment) {
            p.is_fragment = false;  // reassembly has nothing to do with it here
            --burst.fragment_count;
        }
        if (k >= taken) {
            burst.drop(i, DropReason::hand_over_full);
        } else if (p.udp_zero_checksum6) {
            counters_.udp_zero_csum6.add(~std::uint64_t{0});  // the owner's
        }
    }
    port_of(burst).handed_out_packets.add(taken);
    return gone;
}

void HandOver::pass_on_datagrams(Burst& burst, Reassembly& fragments, std::uint64_t generation) noexcept {
    for (std::size_t i = 0; i < burst.count; ++i) {
        if (!burst.is_datagram(i) || burst.fate[i] != Fate::undecided) continue;
        const WorkerIndex to = owner_by_headers(burst, i);
        if (to == self_) continue;
        std::array<Packet, kFragmentsMax> all;
        const std::size_t count = fragments.take(burst, i, all);
        for (Packet& p : std::span{all.data(), count}) {
            p.in_port = burst.passage.in_port;
            p.received = 0;  // their owner reassembles them once more, and measures nothing that begins here
        }
        abi::PortCounters& port = port_of(burst);
        if (steering_.rings.between(self_, to).push_all({all.data(), count})) {
            port.handed_out_packets.add(count);
            counters_.frag_reassembled.add(~std::uint64_t{0});  // it will be whole at its owner's
        } else {
            burst.drop(i, DropReason::hand_over_full);
            account_drop(burst, i, port, events_, generation);
            port.drops[static_cast<std::size_t>(DropReason::hand_over_full)].add(count - 1);
            io_.release({all.data(), count});
        }
        burst.fate[i] = Fate::held;  // gone, as far as the burst goes
    }
}

/// One ring has a burst's share of a worker's packets, and the fewer the more workers there are. Bursts are filled from
/// all rings, because what a burst costs is shared by its packets.
std::size_t HandOver::take(Burst& burst) noexcept {
    const std::span<Packet> room{burst.packet};
    const std::uint32_t workers = steering_.rings.workers();
    PortIndex port = kNoPort;
    std::size_t count = 0;
    std::uint32_t from = first_ring_;
    for (std::uint32_t n = 0; n < workers && count < room.size(); ++n, from = from + 1 < workers ? from + 1 : 0) {
        if (from == self_) continue;
        count += steering_.rings.between(from, self_).pop_while(room.subspan(count), [&port](const Packet& p) {
            if (port == kNoPort) port = p.in_port;
            return p.in_port == port;
        });
    }
    first_ring_ = first_ring_ + 1 < workers ? first_ring_ + 1 : 0;
    if (count != 0) counters_.ports[static_cast<std::size_t>(port)].handed_in_packets.add(count);
    return count;
}

}  // namespace sluice::dp
