#include "dataplane/pipeline/flow_book.hpp"

#include <algorithm>
#include <limits>
#include <utility>

#include "dataplane/pipeline/parse.hpp"
#include "dataplane/pipeline/track.hpp"

namespace sluice::dp {

namespace {

abi::ZoneId zone_of(std::uint8_t stored) noexcept { return abi::ZoneId{stored}; }

std::uint64_t ns_of_ticks(std::uint32_t ticks) noexcept { return std::uint64_t{ticks} * kTickMs * 1'000'000U; }

std::uint32_t ms_of_ticks(std::uint32_t ticks) noexcept {
    return static_cast<std::uint32_t>(
        std::min<std::uint64_t>(std::uint64_t{ticks} * kTickMs, std::numeric_limits<std::uint32_t>::max()));
}

/// What is kept must have a counter here.
RecoveryLimits within(RecoveryLimits limits, std::uint32_t rule_slots) noexcept {
    limits.rule_slots = std::min(limits.rule_slots, rule_slots);
    return limits;
}

}  // namespace

FlowBook::FlowBook(const WorkerConfig& config, abi::WorkerCounters& counters, EventWriter& events,
                   std::uint32_t rule_slots) noexcept
    : table{FlowTableConfig{.entries_max = config.flow_entries_max,
                            .v6_entries_max = config.flow_entries_max,
                            .proxies_max = config.proxies_max,
                            .half_open_percent = config.half_open_percent,
                            .hash_secret = config.hash_secret,
                            .slab = config.flow_home.slab,
                            .limits = within(config.flow_home.limits, rule_slots)}},
      syn_proxy{config.hash_secret, table.proxies_max()},
      limits_{{.worker_count = config.worker_count,
               .rule_slots = rule_slots,
               .sources_max = std::max(kSourcesMin, config.flow_entries_max / 2),
               .hash_secret = config.hash_secret}},
      counters_{counters},
      events_{events},
      wire_partner_{config.wire_partner},
      worker_{static_cast<std::uint8_t>(config.index)} {
    count_kept(config.flow_home.limits.now_tick);
}

/// Flows of the process before us stand in the table already. Their sources are counted as they are judged again, when
/// it is known which rules limit by source.
void FlowBook::count_kept(std::uint32_t now_tick) noexcept {
    limits_.forget_states();
    marks_ = 0;
    const std::uint32_t end = table.capacity();
    for (std::uint32_t i = table.next_live(0, end); i < end; i = table.next_live(i + 1, end)) {
        const FlowHandle h{i};
        table.hot(h).set_source_counted(false);
        if (marked(h)) {
            ++marks_;
            continue;
        }
        limits_.kept(counted(h, table.hot(h).slot()));
        if (is_waiting_for_server(table.hot(h))) syn_proxy.timers.start(table.hot(h).extension_number(), now_tick);
    }
    count_levels();
}

void FlowBook::take_over(const FlowSlab& old, const FlowMove& move, const RecoveryLimits& limits) noexcept {
    table.take_over(old, move, within(limits, limits_.rule_slots()));
    count_kept(limits.now_tick);
}

void FlowBook::use(const PolicyStamp& stamp, const TableView& view, bool pickup_open) noexcept {
    pickup_open_ = pickup_open;
    if (stamp.policy_seq == stamp_.policy_seq) return;  // then everything else is the same, too
    const bool other_tables = stamp.tables_sequence != stamp_.tables_sequence;
    stamp_ = stamp;
    if (!other_tables) {  // a set has changed, and nothing else
        known_tables_[newest_tables_].last = stamp.policy_seq;
        return;
    }
    newest_tables_ = (newest_tables_ + 1) % kStampsKept;
    known_tables_[newest_tables_] = {stamp.generation, stamp.tables_sequence, stamp.policy_seq, stamp.policy_seq};
    seq_check_ = view.settings->seq_check;
    table.set_timeouts(TimeoutTable{view.settings->timeouts});
    limits_.use(view);
    syn_proxy.use(view);
}

/// A set that the tables ask about has changed, and one of the flow's addresses may be what came or went.
bool FlowBook::set_changed(FlowHandle h) const noexcept {
    const FlowHot& e = table.hot(h);
    const SetView& sets = *stamp_.members;
    if (static_cast<std::int32_t>(e.policy_seq - sets.since) < 0) return true;
    if (sets.stamps == nullptr) return false;
    const FlowTuple tuple = table.original_tuple(h);
    for (const abi::IpAddr* const addr : {&tuple.src, &tuple.dst}) {
        if (changed_since(sets, e.policy_seq, set_key(*addr, e.family(), 64).high, e.family())) return true;
    }
    return false;
}

std::uint64_t FlowBook::generation_of(std::uint32_t policy_seq) const noexcept {
    const auto known = std::find_if(known_tables_.begin(), known_tables_.end(), [=](const KnownTables& t) {
        return t.generation != 0 && policy_seq - t.first <= t.last - t.first;
    });
    return known == known_tables_.end() ? 0 : known->generation;  // judged long ago: 0 = no longer known
}

void FlowBook::feel(abi::FlowPressure pressure, const Moment& moment) noexcept {
    if (pressure < pressure_) return;
    pressure_ = pressure;
    pressure_tick_ = moment.tick;
}

void FlowBook::evict(FlowHandle h, abi::FlowPressure pressure, const Moment& moment) noexcept {
    const FlowHot& e = table.hot(h);
    feel(pressure, moment);
    if (e.marked()) return forget_mark(h);
    (pressure == abi::FlowPressure::half_open ? counters_.syn_early_drop : counters_.closing_early_drop).add(1);
    if (abi::logs_end(e.log())) {
        say_end(h, abi::FlowEnd::evicted, {e.slot(), abi::Verdict::allow, e.log()}, moment);
    }
    forget(h);
}

/// Room for a flow that starts in `phase`: at most one other flow dies for it. False: all others are assured.
bool FlowBook::make_room(abi::IpFamily family, FlowPhase phase, const Moment& moment) noexcept {
    const bool over_share = standing(phase) == Standing::half_open && table.half_open() >= table.half_open_max();
    if (!over_share && !table.full(family)) return true;
    const FlowHandle half_open = table.oldest(Standing::half_open), closing = table.oldest(Standing::closing);
    // Down to half of their share. Else the closed flows of an ordinary day, minutes old, would leave a handshake no
    // more room than a moment's flood takes.
    const bool half_open_first = over_share || closing == kNoFlow || table.half_open() * 2 > table.half_open_max();
    if (half_open_first && half_open != kNoFlow) {
        evict(half_open, abi::FlowPressure::half_open, moment);
    } else if (closing != kNoFlow) {
        evict(closing, abi::FlowPressure::closing, moment);
    }
    return !table.full(family);
}

/// An extension for one more flow: at most one other flow, which both sides are done with, dies for it.
bool FlowBook::make_room_to_translate(const Moment& moment) noexcept {
    if (table.proxies() < table.proxies_max()) return true;
    const FlowHandle closing = table.oldest_closing_proxy();
    if (closing == kNoFlow) return false;
    evict(closing, abi::FlowPressure::closing, moment);
    return true;
}

/// What limits count it by.
CountedFlow FlowBook::counted(FlowHandle h, abi::RuleSlot slot) const noexcept {
    const FlowHot& e = table.hot(h);
    return {slot, e.family(), table.original_tuple(h).src, static_cast<std::uint8_t>(arrival_port(h)),
            is_opening(e.phase)};
}

/// The flow that packet i would open.
CountedFlow FlowBook::asking(const Burst& burst, std::size_t i, const Ruling& ruling) const noexcept {
    return {ruling.slot, burst.parsed[i].family, burst.parsed[i].src, static_cast<std::uint8_t>(burst.passage.in_port)};
}

bool FlowBook::wants_cookie(const Burst& burst, std::size_t i, const Ruling& ruling, FlowHandle over) noexcept {
    if (ruling.limits.over != abi::HalfOpenOver::syn_cookie) return false;
    const bool many = limits_.half_open_reached(ruling.slot, ruling.limits);
    if (!many && table.half_open() < table.half_open_max()) return false;
    return !refusal(asking(burst, i, ruling), ruling, over, burst.moment.tick);
}

void FlowBook::set_phase(FlowHandle h, FlowPhase phase, std::uint32_t now_tick) noexcept {
    const FlowHot& e = table.hot(h);
    const bool was = is_opening(e.phase), is = is_opening(phase);
    if (was != is && !e.marked()) {
        limits_.half_open_changed(e.slot(), is);
        if (was) (phase == FlowPhase::closed ? counters_.tcp_handshakes_failed : counters_.tcp_handshakes).add(1);
    }
    table.set_phase(h, phase, now_tick);
}

void FlowBook::count_levels() noexcept {
    counters_.flows.set(table.count() - marks_);
    counters_.flows_half_open.set(table.half_open());
    counters_.sources.set(limits_.sources());
}

std::optional<abi::DropReason> FlowBook::refusal(const CountedFlow& who, const Ruling& ruling, FlowHandle over,
                                                 std::uint32_t now_tick) noexcept {
    if (over == kNoFlow) return limits_.refusal(who, ruling.limits, now_tick);
    const FlowHot& e = table.hot(over);
    const ReplacedFlow replaced{counted(over, e.slot()), e.source_counted()};
    return limits_.refusal(who, ruling.limits, now_tick, &replaced);
}

Admission FlowBook::start(const Burst& burst, std::size_t i, const Ruling& ruling, FlowPhase phase,
                          FlowHandle over) noexcept {
    return make(burst, i, ruling, phase, nullptr, over);
}

Admission FlowBook::start_proxied(const Burst& burst, std::size_t i, const Ruling& ruling, const CookieAck& ack,
                                  FlowHandle over) noexcept {
    return make(burst, i, ruling, FlowPhase::syn_sent, &ack, over);
}

Admission FlowBook::make(const Burst& burst, std::size_t i, const Ruling& ruling, FlowPhase phase,
                         const CookieAck* cookie, FlowHandle over) noexcept {
    const Tracked& t = burst.tracked[i];
    const Moment& m = burst.moment;
    const abi::IpFamily family = burst.parsed[i].family;
    CountedFlow who = asking(burst, i, ruling);
    // Who brings a cookie back has waited his turn: half-open flows are not his fault.
    who.half_open = cookie == nullptr && is_opening(phase);
    if (const auto limit = refusal(who, ruling, over, m.tick)) return {kNoFlow, *limit};
    if (over != kNoFlow) {
        counters_.flow_reopen.add(1);
        end(over, abi::FlowEnd::reused, m);
    }
    who.half_open = is_opening(phase);
    if (!make_room(family, phase, m)) {
        feel(abi::FlowPressure::full, m);
        return {kNoFlow, abi::DropReason::flow_table_full};
    }
    if (cookie != nullptr && !make_room_to_translate(m)) return {kNoFlow, abi::DropReason::syn_proxy_full};
    const FlowHandle h =
        family == abi::IpFamily::v6 ? table.insert(t.v6, t.hash, m.tick) : table.insert(t.v4, t.hash, m.tick);
    if (h == kNoFlow) return {h, abi::DropReason::flow_index_full};
    FlowHot& e = table.hot(h);
    if (t.source_is_low) e.set(flow_flag::original_is_low);
    if (burst.passage.in_is_high_port) e.set(flow_flag::original_from_high_port);
    stamp(h, ruling, burst.passage);
    e.set_source_counted(limits_.started(who, ruling.limits, m.tick));
    if (cookie != nullptr) {
        fill_proxied(burst, i, *cookie, syn_proxy, e, *table.extend(h));
        syn_proxy.timers.start(e.extension_number(), m.tick);
    } else {
        fill_flow(burst, i, phase == FlowPhase::established || phase == FlowPhase::sctp_established, e);
    }
    table.set_phase(h, phase, m.tick);  // last: from here on it is a flow, for whoever finds this memory too
    counters_.flows_created.add(1);
    count_levels();
    if (abi::logs_start(ruling.log)) {
        abi::FlowEvent event = event_of(burst, i, abi::EventKind::flow_start, stamp_.generation);
        event.slot = ruling.slot;
        event.verdict = abi::Verdict::allow;
        event.started = m.mono;
        events_.write(event);
    }
    return {h, {}};
}

void FlowBook::restamp(FlowHandle h, const Ruling& ruling, const Passage& passage, const Moment& moment) noexcept {
    FlowHot& e = table.hot(h);
    e.set_source_counted(
        limits_.moved(counted(h, ruling.slot), e.slot(), e.source_counted(), ruling.limits, moment.tick));
    counters_.sources.set(limits_.sources());
    stamp(h, ruling, passage);
}

void FlowBook::stamp(FlowHandle h, const Ruling& ruling, const Passage& passage) noexcept {
    restamp(h);
    table.hot(h).set_rule(ruling.slot, ruling.log);
    set_zones(h, passage);
}

void FlowBook::keep(FlowHandle h, const Ruling& ruling, const Passage& passage, const Moment& moment) noexcept {
    restamp(h);
    set_zones(h, passage);
    counters_.flows_kept_on_change.add(1);
    FlowHot& e = table.hot(h);
    const bool told = e.kept();
    if (!has_rule(e.slot())) {
        const bool by_source =
            limits_.moved(counted(h, ruling.slot), e.slot(), e.source_counted(), ruling.limits, moment.tick);
        e.set_rule(ruling.slot, e.log());
        e.set_source_counted(by_source);
        e.set_kept();
        counters_.sources.set(limits_.sources());
    }
    if (told) return;  // said once
    e.set_kept();
    late_syns.forget(h);  // what is kept is this connection, and no other in its place
    if (e.log() == abi::RuleLog::none && ruling.log == abi::RuleLog::none) return;
    abi::FlowEvent event = event_about(h, abi::EventKind::flow_kept, moment);
    event.slot = ruling.slot;
    event.verdict = ruling.verdict;
    events_.write(event);
}

void FlowBook::set_zones(FlowHandle h, const Passage& passage) noexcept {
    FlowHot& e = table.hot(h);
    // Zone numbers belong to a generation; the port of arrival is what stays. On a wire the reply comes from the
    // partner.
    const bool from_in_port = e.has(flow_flag::original_from_high_port) == passage.in_is_high_port;
    const auto from = static_cast<std::uint8_t>(passage.from), to = static_cast<std::uint8_t>(passage.to);
    e.zone[index(Direction::original)] = from_in_port ? from : to;
    e.zone[index(Direction::reply)] = from_in_port ? to : from;
}

/// The flow's own fields, in the original direction.
abi::FlowEvent FlowBook::event_about(FlowHandle h, abi::EventKind kind, const Moment& moment) const noexcept {
    const FlowHot& e = table.hot(h);
    const FlowTuple tuple = table.original_tuple(h);
    const FlowTotals sum = totals(e, table.cold(h));
    const std::uint64_t age_ns = ns_of_ticks(moment.tick - table.cold(h).started_tick);
    abi::FlowEvent event{};
    event.time = moment.mono;
    event.generation = stamp_.generation;
    event.packets = sum.packets;
    event.bytes = sum.bytes;
    event.started = {moment.mono.ns > age_ns ? moment.mono.ns - age_ns : 1};
    event.src = tuple.src;
    event.dst = tuple.dst;
    event.sport = tuple.sport;
    event.dport = tuple.dport;
    event.slot = e.slot();
    event.from_zone = zone_of(e.zone[index(Direction::original)]);
    event.to_zone = zone_of(e.zone[index(Direction::reply)]);
    event.kind = kind;
    event.verdict = abi::Verdict::allow;
    event.family = e.family();
    event.proto = tuple.proto;
    event.in_port = static_cast<std::uint8_t>(arrival_port(h));
    return event;
}

void FlowBook::say_end(FlowHandle h, abi::FlowEnd why, const Ruling& ruling, const Moment& moment) noexcept {
    abi::FlowEvent event = event_about(h, abi::EventKind::flow_end, moment);
    event.slot = ruling.slot;
    event.verdict = ruling.verdict;
    event.end = why;
    events_.write(event);
}

void FlowBook::renew(FlowHandle h, const TcpSegment& syn, const Moment& moment) noexcept {
    const abi::RuleLog log = table.hot(h).log();
    if (abi::logs_end(log)) say_end(h, abi::FlowEnd::reused, {table.hot(h).slot(), abi::Verdict::allow, log}, moment);
    counters_.flows_closed.add(1);
    counters_.flows_created.add(1);
    forget_segments(h);
    forget_proxy(h);
    FlowHot& e = table.hot(h);
    if (is_opening(e.phase)) {
        counters_.tcp_handshakes_failed.add(1);
    } else {
        limits_.half_open_changed(e.slot(), true);
    }
    table.restart(h, moment.tick);
    tcp_open(e, syn);
    table.set_phase(h, FlowPhase::syn_sent, moment.tick);
    if (abi::logs_start(log)) events_.write(event_about(h, abi::EventKind::flow_start, moment));
    // Its rule was not asked again, and goes on deciding.
    events_.tell_new_flow(moment.mono, [&] { return event_about(h, abi::EventKind::new_flow, moment); });
}

void FlowBook::note_violation(const Burst& burst, std::size_t i, abi::DropReason reason) noexcept {
    counters_.tcp_seq_logged.add(1);
    abi::FlowEvent event = event_of(burst, i, abi::EventKind::seq_check, stamp_.generation);
    event.verdict = abi::Verdict::allow;
    event.drop = reason;
    events_.write_sampled(event);
}

/// A wire's domain is the number of its lower port.
PortIndex FlowBook::low_port(FlowHandle h) const noexcept {
    const FlowHot& e = table.hot(h);
    return PortIndex{static_cast<std::uint8_t>(e.has(flow_flag::v6) ? table.key_v6(h).domain : e.v4.domain)};
}

PortIndex FlowBook::arrival_port(FlowHandle h) const noexcept {
    const PortIndex low = low_port(h);
    return table.hot(h).has(flow_flag::original_from_high_port) ? partner_of(low) : low;
}

Passage FlowBook::original_passage(FlowHandle h, const TableView& view) const noexcept {
    const PortIndex low = low_port(h), high = wire_partner_[static_cast<std::size_t>(low)];
    Passage p{.in_port = low, .out_port = high};
    p.domain = FlowDomain{static_cast<std::uint16_t>(low)};
    p.in_is_high_port = table.hot(h).has(flow_flag::original_from_high_port);
    if (p.in_is_high_port) std::swap(p.in_port, p.out_port);
    if (p.in_port != kNoPort) p.from = view.port_zone[static_cast<std::size_t>(p.in_port)];
    if (p.out_port != kNoPort) p.to = view.port_zone[static_cast<std::size_t>(p.out_port)];
    return p;
}

void FlowBook::forget_segments(FlowHandle h) noexcept {
    late_syns.forget(h);
    first_syn_acks.forget(h);
}

/// Its timer; the extension goes with the entry.
void FlowBook::forget_proxy(FlowHandle h) noexcept {
    const FlowHot& e = table.hot(h);
    if (e.extended()) syn_proxy.timers.stop(e.extension_number());
}

void FlowBook::forget(FlowHandle h) noexcept {
    const FlowHot& e = table.hot(h);
    forget_segments(h);
    forget_proxy(h);
    if (!e.marked()) {
        limits_.ended(counted(h, e.slot()), e.source_counted());
        if (is_opening(e.phase)) counters_.tcp_handshakes_failed.add(1);
    }
    table.erase(h);
    count_levels();
}

void FlowBook::mark(FlowHandle h) noexcept {
    forget_segments(h);
    forget_proxy(h);
    FlowHot& e = table.hot(h);
    limits_.ended(counted(h, e.slot()), e.source_counted());
    if (is_opening(e.phase)) counters_.tcp_handshakes_failed.add(1);
    e.set_source_counted(false);
    table.mark(h);
    e.clear(flow_flag::fin_original | flow_flag::fin_reply);  // from here on: that side has been answered
    ++marks_;
    count_levels();
}

void FlowBook::forget_mark(FlowHandle h) noexcept {
    --marks_;
    forget(h);
}

void FlowBook::end(FlowHandle h, abi::FlowEnd why, const Moment& moment) noexcept {
    const FlowHot& e = table.hot(h);
    if (e.marked()) return forget_mark(h);  // its end has been told
    if (why == abi::FlowEnd::expired && is_over(e.phase)) {
        // Its time ran out after an orderly end, or after a RST: that is what people want to read.
        why = e.phase == FlowPhase::closed ? abi::FlowEnd::reset : abi::FlowEnd::closed;
    }
    (why == abi::FlowEnd::expired ? counters_.flows_expired : counters_.flows_closed).add(1);
    if (abi::logs_end(e.log())) say_end(h, why, {e.slot(), abi::Verdict::allow, e.log()}, moment);
    forget(h);
}

void FlowBook::say_policy_end(FlowHandle h, const Ruling& ruling, const Moment& moment) noexcept {
    counters_.flows_ended_by_policy.add(1);
    if (abi::logs_end(table.hot(h).log()) || ruling.log != abi::RuleLog::none) {
        say_end(h, abi::FlowEnd::policy, ruling, moment);
    }
}

void FlowBook::say_request_end(FlowHandle h, const Moment& moment) noexcept {
    counters_.flows_ended_by_request.add(1);
    const FlowHot& e = table.hot(h);
    if (abi::logs_end(e.log())) say_end(h, abi::FlowEnd::request, {e.slot(), abi::Verdict::allow, e.log()}, moment);
}

void FlowBook::end_by_policy(FlowHandle h, const Ruling& ruling, const Moment& moment) noexcept {
    say_policy_end(h, ruling, moment);
    forget(h);
}

void FlowBook::end_by_request(FlowHandle h, const Moment& moment) noexcept {
    if (marked(h)) return forget_mark(h);
    say_request_end(h, moment);
    forget(h);
}

void FlowBook::mark_by_policy(FlowHandle h, const Ruling& ruling, const Moment& moment) noexcept {
    say_policy_end(h, ruling, moment);
    mark(h);
}

void FlowBook::mark_by_request(FlowHandle h, const Moment& moment) noexcept {
    if (marked(h)) return;
    say_request_end(h, moment);
    mark(h);
}

void FlowBook::age(const Moment& moment) noexcept {
    std::array<FlowHandle, kExpiredPerLoopMax> over;
    const std::size_t count = table.collect_expired(moment.tick, over);
    constexpr std::size_t kAhead = 8;  // an entry is in the cache already; its bucket and its place in a queue are not
    for (std::size_t i = 0; i < count + 2 * kAhead; ++i) {
        if (i < count) table.prefetch_end(over[i]);
        if (i >= kAhead && i - kAhead < count) table.prefetch_leave(over[i - kAhead]);
        if (i >= 2 * kAhead) end(over[i - 2 * kAhead], abi::FlowEnd::expired, moment);
    }
    if (moment.tick - pressure_tick_ >= kTicksPerSecond) pressure_ = abi::FlowPressure::none;
    counters_.flow_pressure.set(static_cast<std::uint64_t>(pressure_));
    counters_.flows_half_open.set(table.half_open());
    counters_.flows_proxied.set(table.proxies());
    counters_.syn_cookies_active.set(syn_proxy.is_active(moment.tick) ? 1 : 0);
}

abi::FlowRecord FlowBook::record(FlowHandle h, const Moment& moment) const noexcept {
    const FlowHot& e = table.hot(h);
    const FlowTuple tuple = table.original_tuple(h);
    const FlowTotals sum = totals(e, table.cold(h));
    abi::FlowRecord r{};
    r.src = tuple.src;
    r.dst = tuple.dst;
    r.packets = sum.packets;
    r.bytes = sum.bytes;
    r.generation = generation_of(e.policy_seq);
    r.age_ms = ms_of_ticks(moment.tick - table.cold(h).started_tick);
    r.idle_ms = ms_of_ticks(moment.tick - e.last_seen_tick);
    r.slot = e.slot();
    r.sport = tuple.sport;
    r.dport = tuple.dport;
    r.from_zone = zone_of(e.zone[index(Direction::original)]);
    r.to_zone = zone_of(e.zone[index(Direction::reply)]);
    r.family = e.family();
    r.proto = tuple.proto;
    r.state = e.marked() ? abi::FlowState::killed : public_state(e.phase);
    r.worker = worker_;
    r.kept = e.kept() ? 1 : 0;
    r.proxied = e.extended() ? 1 : 0;
    return r;
}

abi::FlowEvent event_of(const Burst& burst, std::size_t i, abi::EventKind kind, std::uint64_t generation) noexcept {
    const ParsedPacket& p = burst.parsed[i];
    abi::FlowEvent event{};
    event.time = burst.moment.mono;
    event.generation = generation;
    event.packets[0] = 1;
    event.bytes[0] = burst.packet[i].total_bytes;
    event.src = p.src;
    event.dst = p.dst;
    if (has_ports(p.proto)) {
        event.sport = p.sport;
        event.dport = p.dport;
    } else if (is_icmp(p.proto) && !p.is_fragment) {
        event.sport = abi::L4Port::of_host(p.icmp.id);
        event.dport = abi::L4Port::of_host(static_cast<std::uint16_t>(p.icmp.type << 8 | p.icmp.code));
    }
    event.from_zone = burst.passage.from;
    event.to_zone = burst.passage.to;
    event.kind = kind;
    event.family = p.family;
    event.proto = p.proto;
    event.in_port = static_cast<std::uint8_t>(burst.passage.in_port);
    return event;
}

}  // namespace sluice::dp
