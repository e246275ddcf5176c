// The part of FlowTable that deals with time: timeouts per phase and the clock hand.
#include <algorithm>

#include "dataplane/flow/flow_table.hpp"

namespace sluice::dp {

namespace {

constexpr std::uint32_t ticks_of(std::uint32_t ms) noexcept { return ms / kTickMs + (ms % kTickMs != 0 ? 1 : 0); }

constexpr bool is_due(std::uint32_t deadline, std::uint32_t now_tick) noexcept {
    return static_cast<std::int32_t>(now_tick - deadline) >= 0;
}

/// How many deadlines are looked at together: a cache line of them, and no branch until one is due.
constexpr std::uint32_t kDeadlinesTogether = 16;

/// How many entries are asked for before the first of them is looked at.
constexpr std::size_t kDueTogether = 32;

/// Free entries are not due, although their 0 looks like a deadline that has passed.
bool any_due(const std::uint32_t* deadlines, std::uint32_t now_tick) noexcept {
    std::uint32_t due = 0;
    for (std::uint32_t i = 0; i < kDeadlinesTogether; ++i) {
        due |=
            static_cast<std::uint32_t>(is_due(deadlines[i], now_tick)) & static_cast<std::uint32_t>(deadlines[i] != 0);
    }
    return due != 0;
}

}  // namespace

TimeoutTable::TimeoutTable(const abi::FlowTimeouts& t) noexcept {
    const auto set = [this](FlowPhase phase, std::uint32_t ms) {
        ticks_[static_cast<std::size_t>(phase)] = ticks_of(ms);
    };
    for (const FlowPhase p :
         {FlowPhase::syn_sent, FlowPhase::syn_crossed, FlowPhase::syn_acked_ahead, FlowPhase::syn_received}) {
        set(p, t.tcp_opening_ms);
    }
    set(FlowPhase::established, t.tcp_established_ms);
    for (const FlowPhase p :
         {FlowPhase::fin_wait_original, FlowPhase::fin_wait_reply, FlowPhase::closing, FlowPhase::time_wait}) {
        set(p, t.tcp_closing_ms);
    }
    set(FlowPhase::closed, t.tcp_closed_ms);
    set(FlowPhase::udp_oneway, t.udp_oneway_ms);
    set(FlowPhase::udp_stream, t.udp_stream_ms);
    set(FlowPhase::icmp_oneway, t.icmp_ms);
    set(FlowPhase::icmp_answered, t.icmp_ms);
    set(FlowPhase::other_oneway, t.other_ms);
    set(FlowPhase::other_stream, t.other_ms);
    for (const FlowPhase p : {FlowPhase::sctp_init, FlowPhase::sctp_init_acked, FlowPhase::sctp_cookie_echoed}) {
        set(p, t.tcp_opening_ms);
    }
    set(FlowPhase::sctp_established, t.other_ms);  // an idle association sends a HEARTBEAT every 30 s (RFC 9260 8.3)
    set(FlowPhase::sctp_shutdown, t.tcp_closing_ms);
    set(FlowPhase::sctp_closed, t.tcp_closed_ms);
    in_flight_ = ticks_;
    const std::uint32_t unacknowledged = ticks_of(t.tcp_unacknowledged_ms);
    for (const FlowPhase p :
         {FlowPhase::established, FlowPhase::fin_wait_original, FlowPhase::fin_wait_reply, FlowPhase::closing}) {
        std::uint32_t& ticks = in_flight_[static_cast<std::size_t>(p)];
        ticks = std::min(ticks, unacknowledged);
    }
}

void FlowTable::set_timeouts(const TimeoutTable& timeouts) noexcept {
    if (timeouts == timeouts_) return;
    timeouts_ = timeouts;
    // Deadlines were packed under the old timeouts; shorter ones count at once, so look at every entry one time.
    recheck_left_ = capacity();
}

void FlowTable::set_phase(FlowHandle h, FlowPhase phase, std::uint32_t now_tick) noexcept {
    FlowHot& e = hot_[at(h)];
    const Standing then = e.marked() ? Standing::closing : standing(phase);
    stand(static_cast<std::uint32_t>(h), standing(e), then);
    // A deadline that would be later is left to the hand: most turns of a flow's life touch no other line than its own.
    const bool sooner = timeouts_.shortest(phase) < timeouts_.shortest(e.phase);
    if (sooner || e.phase == FlowPhase::free || recheck_left_ != 0) {
        expiry_[at(h)] = deadline(now_tick + timeouts_.shortest(phase));
    }
    // release: whoever reads this memory later and sees a phase sees the whole entry.
    std::atomic_ref<FlowPhase>{e.phase}.store(phase, std::memory_order_release);
}

std::size_t FlowTable::collect_expired(std::uint32_t now_tick, std::span<FlowHandle> out) noexcept {
    if (!hand_started_) {
        hand_started_ = true;
        hand_tick_ = now_tick;
    }
    const std::uint32_t elapsed = now_tick - hand_tick_;
    hand_tick_ = now_tick;
    // As far as the time that has passed asks for, so that a lap takes kLapTicks however often we are called. What does
    // not fit into one step is owed and walked by the next calls: else no more flows than `out` holds would end per
    // tick, and under a flood the table would stay full of flows whose time is over.
    const std::uint64_t share = (std::uint64_t{capacity()} * elapsed + kLapTicks - 1) / kLapTicks;
    hand_owed_ = static_cast<std::uint32_t>(std::min(hand_owed_ + share, std::uint64_t{capacity()}));

    std::size_t found = 0;
    std::uint32_t left = std::min(hand_owed_, kAgeingStepMax);
    while (left != 0 && found != out.size()) {
        // Collected first and looked at then, so that their cache misses overlap.
        const std::span<FlowHandle> due = out.subspan(found, std::min(kDueTogether, out.size() - found));
        const std::size_t count = collect_due(now_tick, left, due);
        for (const FlowHandle h : due.first(count)) {
            if (expired(h, now_tick)) {
                out[found++] = h;
            } else {
                const FlowHot& e = hot_[at(h)];
                const std::uint32_t remaining = timeouts_.of(e) - (now_tick - e.last_seen_tick);
                expiry_[at(h)] = deadline(now_tick + std::min(remaining, timeouts_.shortest(e.phase)));
            }
        }
    }
    return found;
}

/// Moves the hand by `left` entries, or until `due` is full, and asks for the entries whose deadlines have come.
std::size_t FlowTable::collect_due(std::uint32_t now_tick, std::uint32_t& left, std::span<FlowHandle> due) noexcept {
    std::size_t count = 0;
    for (; left != 0 && count != due.size(); --left) {
        while (left > kDeadlinesTogether && recheck_left_ == 0 && hand_ + kDeadlinesTogether < capacity() &&
               !any_due(&expiry_[hand_], now_tick)) {
            hand_ += kDeadlinesTogether;
            hand_owed_ -= kDeadlinesTogether;
            left -= kDeadlinesTogether;
        }
        --hand_owed_;
        const std::uint32_t i = hand_;
        hand_ = hand_ + 1 == capacity() ? 0 : hand_ + 1;
        const bool recheck = recheck_left_ != 0;
        if (recheck) --recheck_left_;
        if (expiry_[i] == kNever) continue;
        if (!recheck && !is_due(expiry_[i], now_tick)) continue;
        due[count++] = FlowHandle{i};
        __builtin_prefetch(&hot_[i], 1);
    }
    return count;
}

}  // namespace sluice::dp
