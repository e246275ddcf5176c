/// One number for the layout of everything in this folder. Both processes put it into what they exchange and refuse
/// another's. FNV-1a over every size, alignment and offset at compile time: a field moved or resized without raising
/// kAbiVersion is still noticed. tools/dev/check sees to it that no struct and no field is left out here, and that a
/// new hash comes with a new version (dataplane/abi/layout.history).
#pragma once

#include <cstddef>
#include <cstdint>

#include <sluice/abi/flow_filter.hpp>
#include <sluice/abi/last_good.hpp>
#include <sluice/abi/layout_hash.hpp>
#include <sluice/abi/messages.hpp>
#include <sluice/abi/set_messages.hpp>
#include <sluice/abi/tables.hpp>
#include <sluice/abi/telemetry.hpp>
#include <sluice/abi/times.hpp>

namespace sluice::abi {

/// Reasons are numbered by their place, so their names in order are part of the layout.
constexpr std::uint64_t drop_reason_hash() noexcept {
    std::uint64_t h = kDropReasonCount;
    for (const DropReasonInfo& reason : kDropReasons) {
        for (const char c : reason.name) h = fnv1a({h, static_cast<std::uint64_t>(c)});
        h = fnv1a({h, 0});
    }
    return h;
}

constexpr std::uint64_t flow_loss_hash() noexcept {
    std::uint64_t h = kFlowLossCount;
    for (const FlowLossInfo& loss : kFlowLosses) {
        for (const char c : loss.name) h = fnv1a({h, static_cast<std::uint64_t>(c)});
        h = fnv1a({h, 0});
    }
    return h;
}

// clang-format off
inline constexpr std::uint64_t kLayoutHash = fnv1a({
    kAbiVersion,
    drop_reason_hash(),
    flow_loss_hash(),
    SLUICE_LAYOUT(Ipv6Addr, bytes),
    SLUICE_LAYOUT(IpAddr, bytes),
    SLUICE_LAYOUT(MonoTime, ns),
    SLUICE_LAYOUT(Digest128, low, high),
    SLUICE_LAYOUT(Digest256, bytes),
    SLUICE_LAYOUT(ArrayRef, offset, count),
    SLUICE_LAYOUT(TextRef, offset, bytes),
    SLUICE_LAYOUT(SectionHeader, magic, abi_version, kind, layout_hash, bytes, digest, must_be_zero),
    SLUICE_LAYOUT(SectionRef, kind, must_be_zero, bytes, digest),
    SLUICE_LAYOUT(Manifest, magic, abi_version, section_count, layout_hash, bytes, digest, generation,
        generation_digest, policy_version, created_unix_ns, compiler_version, rule_slots, set_epoch, set_delta, policy_name, sections),
    SLUICE_LAYOUT(FlowTimeouts, tcp_opening_ms, tcp_established_ms, tcp_closing_ms, tcp_closed_ms, udp_oneway_ms,
        udp_stream_ms, icmp_ms, other_ms, tcp_unacknowledged_ms),
    SLUICE_LAYOUT(SynProxySettings, mss, wscale, sack, timestamps, must_be_zero),
    SLUICE_LAYOUT(SettingsSection, header, wire_arp, wire_nd, wire_other, on_change, seq_check, must_be_zero, timeouts,
        must_be_zero_behind, syn_proxy, base_generation, base_rules, untouched),
    SLUICE_LAYOUT(ZoneLimits, states_max, new_per_second_max),
    SLUICE_LAYOUT(ZoneRecord, name, limits),
    SLUICE_LAYOUT(ZoneBinding, port, zone, vlan, vni),
    SLUICE_LAYOUT(SetRecord, name, id),
    SLUICE_LAYOUT(ZonesSection, header, zones, bindings, sets, text),
    SLUICE_LAYOUT(RuleLimits, states_max, states_per_source_max, new_per_second_max, new_per_second_per_source_max,
        half_open_max, over, must_be_zero),
    SLUICE_LAYOUT(RuleRecord, slot, verdict, mode, log, is_pass, id, limits, on_change, turns_to_observe, must_be_zero),
    SLUICE_LAYOUT(RulesSection, header, rules, text),
    SLUICE_LAYOUT(AddressSection, header, class_count, node_visits_max, root, lines),
    SLUICE_LAYOUT(AddressLine, words),
    SLUICE_LAYOUT(AddressSmall, must_be_zero, key_count, keys, must_be_zero_too, cells),
    SLUICE_LAYOUT(AddressMedium, key_count, must_be_zero, keys),
    SLUICE_LAYOUT(AddressLarge, group_count, key_count, separators),
    SLUICE_LAYOUT(AddressBits, bits, before, must_be_zero),
    SLUICE_LAYOUT(AddressTail, keys, cells),
    SLUICE_LAYOUT(AddressSpan, first, last, before, behind, inside, must_be_zero),
    SLUICE_LAYOUT(TransportSection, header, class_count, must_be_zero, proto_class, tcp_dport, udp_dport, icmp, icmp6),
    SLUICE_LAYOUT(TreeNode, base, first, count, shift, must_be_zero, best, kind),
    SLUICE_LAYOUT(LeafRecord, first, last, narrow_first, narrow_last, rule, condition),
    SLUICE_LAYOUT(Condition, first, count),
    SLUICE_LAYOUT(ClassRange, first, last),
    SLUICE_LAYOUT(BlockSide, first, width, start_count, map, row_count, rows),
    SLUICE_LAYOUT(Block, kind, rule_count, word_count, rules, observe, pairs, pair_count, finals, sides),
    SLUICE_LAYOUT(BlockAnswer, rule, observe),
    SLUICE_LAYOUT(SetUse, set, side, must_be_zero),
    SLUICE_LAYOUT(Transition, at_unix_s, period, must_be_zero),
    SLUICE_LAYOUT(OverlayPlace, before, rule),
    SLUICE_LAYOUT(OverlaySection, header, hidden, rules, places, tables, text),
    SLUICE_LAYOUT(TreesSection, header, class_count, zone_count, rule_count, node_visits_max, block_words_max,
        period_count, must_be_zero, transitions, set_uses, zone_pairs, roots, nodes, records, conditions, ranges,
        blocks, words),
    SLUICE_LAYOUT(Counter, value),
    SLUICE_LAYOUT(LatencyHistogram, packets, sum_ns),
    SLUICE_LAYOUT(StageHistogram, packets, sum_cycles),
    SLUICE_LAYOUT(SampledTimes, bursts, latency, stages),
    SLUICE_LAYOUT(PortName, text),
    SLUICE_LAYOUT(TelemetryHeader, magic, abi_version, kind, layout_hash, bytes, boot_id, worker_count, port_count,
        rule_slots, ring_records, first_block, block_bytes, must_be_zero),
    SLUICE_LAYOUT(PortCounters, rx_packets, rx_bytes, tx_packets, tx_bytes, originated_packets, forwarded_packets,
        consumed_packets, held_packets, handed_out_packets, handed_in_packets, drops),
    SLUICE_LAYOUT(WorkerCounters, worker, lcore, heartbeat_ns, generation, bursts, idle_sleeps, busy_ns, flows,
        flows_created, flows_expired, flows_closed, flows_ended_by_policy, flows_ended_by_request, flows_rejudged,
        flows_kept_on_change, rejudge_left, flows_half_open, syn_early_drop,
        closing_early_drop, flow_pressure, sources, lookups, set_hits, events_written, events_suppressed, tcp_inexact_rst,
        udp_zero_csum6, flow_reopen, tcp_overshoot, tcp_handshakes, tcp_handshakes_failed, flow_pickup, tcp_window_unknown, tcp_seq_logged, rejects_limited,
        frag_reassembled, frag_duplicates, frag_held_bytes, syn_cookies_sent, syn_cookies_accepted,
        syn_cookies_active, syn_proxy_repeats, syn_proxy_unanswered, syn_proxy_refused, syn_proxy_data, flows_proxied,
        icmp_related, steering_misplaced,
        ports, times),
    SLUICE_LAYOUT(ManagerCounters, generation, publishes_adopted, publishes_refused, publishes_stalled, reverts,
        transitions, confirm_deadline_ns, fail_open, flow_capacity, flow_half_open_max, flows_kept, steering, tsc_hz,
        set_members, set_members_max, set_changes, set_expired, flows_lost,
        port_rx_missed, port_link_up),
    SLUICE_LAYOUT(RuleCounters, hits, packets, bytes, first_hit_ns, last_hit_ns, must_be_zero),
    SLUICE_LAYOUT(FlowEvent, time, generation, packets, bytes, started, src, dst, sport, dport, slot, suppressed,
        from_zone, to_zone, drop, kind, verdict, family, proto, end, in_port, must_be_zero),
    SLUICE_LAYOUT(EventSlot, sequence, event),
    SLUICE_LAYOUT(EventRingHeader, written),
    SLUICE_LAYOUT(MessageHeader, magic, type, bytes, sequence),
    SLUICE_LAYOUT(ProcessState, boot_id, running_generation, running_digest, running_policy_version, started,
        confirm_deadline, previous_generation, set_epoch, last_delta, stalled_workers, worker_count, port_count, pid, fail_open,
        source, must_be_zero),
    SLUICE_LAYOUT(WirePair, a, b),
    SLUICE_LAYOUT(Hello, header, abi_version, rule_slots_max, layout_hash, state, ports, wires, wire_count,
        must_be_zero),
    SLUICE_LAYOUT(Claim, header),
    SLUICE_LAYOUT(Claimed, header, granted, holder_pid),
    SLUICE_LAYOUT(Offer, header, generation, digest, confirm_within_ms, adopt_within_ms, section_fd),
    SLUICE_LAYOUT(Answer, header, kind, reason, generation, digest, stalled_workers, confirm_deadline, adopt_ns, where),
    SLUICE_LAYOUT(Confirm, header, generation),
    SLUICE_LAYOUT(Revert, header, generation),
    SLUICE_LAYOUT(GetRunning, header),
    SLUICE_LAYOUT(Running, header, generation),
    SLUICE_LAYOUT(GetStatus, header),
    SLUICE_LAYOUT(Status, header, state),
    SLUICE_LAYOUT(Notice, header, kind, worker, state),
    SLUICE_LAYOUT(FlowRange, first, last, family, must_be_zero),
    SLUICE_LAYOUT(FlowTerm, field, negated, first_range, range_count),
    SLUICE_LAYOUT(FlowFilter, term_count, range_count, terms, ranges),
    SLUICE_LAYOUT(DumpFlows, header, cursor, count_max, must_be_zero, filter),
    SLUICE_LAYOUT(EndFlows, header, cursor, answered, must_be_zero, filter),
    SLUICE_LAYOUT(FlowsEnded, header, next, count, last, granted, must_be_zero),
    SLUICE_LAYOUT(WatchFlows, header, per_second, must_be_zero),
    SLUICE_LAYOUT(FlowsWatched, header, granted, must_be_zero),
    SLUICE_LAYOUT(FlowRecord, src, dst, packets, bytes, generation, age_ms, idle_ms, slot, sport, dport, from_zone,
        to_zone, family, proto, state, worker, kept, proxied, must_be_zero),
    SLUICE_LAYOUT(FlowDump, header, next, count, last, flows),
    SLUICE_LAYOUT(SetMember, addr, family, bits, must_be_zero),
    SLUICE_LAYOUT(SetChange, set, expires_unix_ns, member, op, must_be_zero),
    SLUICE_LAYOUT(ChangeSets, header, epoch, number, adopt_within_ms, count, is_first, must_be_zero, changes),
    SLUICE_LAYOUT(SetsChanged, header, kind, reason, epoch, number, members, stalled_workers, enforced_ns, where),
    SLUICE_LAYOUT(GetMembers, header, set, count, must_be_zero, members),
    SLUICE_LAYOUT(MemberState, hits, found),
    SLUICE_LAYOUT(Members, header, count, must_be_zero, states),
    SLUICE_LAYOUT(LastGoodHeader, magic, layout_hash, bytes, xxh3, must_be_zero),
});
// clang-format on

}  // namespace sluice::abi
