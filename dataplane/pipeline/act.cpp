#include "dataplane/pipeline/act.hpp"

#include <algorithm>

#include "dataplane/pipeline/answer.hpp"
#include "dataplane/pipeline/flow_book.hpp"

namespace sluice::dp {

bool AnswerBudget::take(TscTime now) noexcept {
    if (!started_) {
        started_ = true;
        filled_ = now;
        tokens_ = per_second_;
    }
    if (per_second_ == 0) return false;
    const std::uint64_t cycles_per_token = std::max<std::uint64_t>(1, hz_ / per_second_);
    const std::uint64_t grown = now.since(filled_).cycles / cycles_per_token;
    if (grown != 0) {
        tokens_ = static_cast<std::uint32_t>(std::min<std::uint64_t>(per_second_, tokens_ + grown));
        filled_ = filled_ + TscSpan{grown * cycles_per_token};
    }
    if (tokens_ == 0) return false;
    --tokens_;
    return true;
}

void account_drop(const Burst& burst, std::size_t i, abi::PortCounters& port, EventWriter& events,
                  std::uint64_t generation) noexcept {
    const abi::DropReason reason = burst.reason[i];
    port.drops[static_cast<std::size_t>(reason)].add(1);
    const bool logged = abi::kDropReasons[static_cast<std::size_t>(reason)].log_class != abi::LogClass::L0;
    if (burst.decided_by_rule[i] || !logged) return;
    abi::FlowEvent event = event_of(burst, i, abi::EventKind::drop, generation);
    event.drop = reason;
    events.write_sampled(event);
}

namespace {

/// A buffer for a packet of our own about packet i. None left: that it never existed is said in the log only.
bool allocate(const Burst& burst, std::size_t i, std::uint32_t bytes, PacketIo& io, EventWriter& events,
              std::uint64_t generation, Packet& out) noexcept {
    if (io.allocate(bytes, out)) return true;
    abi::FlowEvent event = event_of(burst, i, abi::EventKind::drop, generation);
    event.drop = abi::DropReason::no_mbuf;
    events.write_sampled(event);
    return false;
}

/// The sender of a rejected packet learns it at once, if it may be answered, the limit allows and a buffer is left.
void answer(Burst& burst, std::size_t i, PacketIo& io, AnswerBudget& answers, abi::PortCounters& port,
            EventWriter& events, abi::WorkerCounters& counters, std::uint64_t generation) noexcept {
    if (!may_answer(burst.packet[i], burst.parsed[i])) return;
    if (!answers.take(burst.moment.now)) return counters.rejects_limited.add(1);
    const std::uint32_t bytes = answer_bytes(burst.packet[i], burst.parsed[i]);
    Packet& out = burst.answer[burst.answer_count];
    if (!allocate(burst, i, bytes, io, events, generation, out)) return;
    build_answer(burst.packet[i], burst.parsed[i], out);
    ++burst.answer_count;
    port.originated_packets.add(1);
    if (burst.fate[i] != Fate::drop_reset || burst.parsed[i].proto != abi::L4Proto::tcp) return;
    Packet& onward = burst.onward[burst.onward_count];
    if (!allocate(burst, i, bytes, io, events, generation, onward)) return;
    build_onward_reset(burst.packet[i], burst.parsed[i], onward);
    ++burst.onward_count;
    port.originated_packets.add(1);
}

/// Before the packets that they are about are gone.
void build_own_segments(Burst& burst, PacketIo& io, AnswerBudget& answers, abi::PortCounters& port, EventWriter& events,
                        abi::WorkerCounters& counters, std::uint64_t generation) noexcept {
    for (std::size_t k = 0; k < burst.own_count; ++k) {
        const OwnSegment& s = burst.own[k];
        const ParsedPacket& p = burst.parsed[s.about];
        if (s.limited && !answers.take(burst.moment.now)) {
            counters.rejects_limited.add(1);
            continue;
        }
        Packet& out = s.onward ? burst.onward[burst.onward_count] : burst.answer[burst.answer_count];
        const std::uint32_t bytes = own_frame_bytes(s, p.family, p.l3_offset);
        if (!allocate(burst, s.about, bytes, io, events, generation, out)) continue;
        build_own_segment(s, burst.packet[s.about], p, out);
        ++(s.onward ? burst.onward_count : burst.answer_count);
        port.originated_packets.add(1);
    }
}

/// Slot i has been accounted for as one packet; its datagram came in several.
void release_fragments(Burst& burst, std::size_t i, PacketIo& io, Reassembly& fragments, abi::Counter& end) noexcept {
    std::array<Packet, kFragmentsMax> all;
    const std::size_t count = fragments.take(burst, i, all);
    end.add(count - 1);
    io.release(std::span<const Packet>{all.data(), count});
}

}  // namespace

void act(Burst& burst, PacketIo& io, AnswerBudget& answers, abi::PortCounters& port, EventWriter& events,
         abi::WorkerCounters& counters, Reassembly& fragments, std::uint64_t generation) noexcept {
    if (burst.all_forward()) return;
    build_own_segments(burst, io, answers, port, events, counters, generation);
    std::array<Packet, kBurstMax> gone;
    std::size_t count = 0;
    for (std::size_t i = 0; i < burst.count; ++i) {
        if (burst.fate[i] == Fate::forward || burst.fate[i] == Fate::held) continue;
        const bool consumed = burst.fate[i] == Fate::consumed;
        if (consumed) {
            port.consumed_packets.add(1);
        } else {
            account_drop(burst, i, port, events, generation);
        }
        if (burst.fate[i] == Fate::drop_answered || burst.fate[i] == Fate::drop_reset) {
            answer(burst, i, io, answers, port, events, counters, generation);
        }
        if (burst.is_datagram(i)) {
            release_fragments(burst, i, io, fragments,
                              consumed ? port.consumed_packets : port.drops[static_cast<std::size_t>(burst.reason[i])]);
        } else {
            gone[count++] = burst.packet[i];
        }
    }
    if (count != 0) io.release(std::span<const Packet>{gone.data(), count});
}

}  // namespace sluice::dp
