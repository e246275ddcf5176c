#include "tests/simulation/model.hpp"

#include <algorithm>
#include <utility>

#include "controlplane/compiler/reference.hpp"

namespace sluice::sim {

using abi::DropReason;
using abi::FlowState;
using abi::L4Proto;

namespace {

/// A query's two types, told by the request's.
std::uint8_t request_type(std::uint8_t type) { return type == 0 ? 8 : type == 129 ? 128 : type; }

void append(std::string& key, const abi::IpAddr& addr, std::uint16_t port) {
    key.append(addr.bytes.begin(), addr.bytes.end());
    key.push_back(static_cast<char>(port >> 8));
    key.push_back(static_cast<char>(port & 0xff));
}

}  // namespace

Worth worth(FlowState state) {
    switch (state) {
        case FlowState::syn_sent:
        case FlowState::syn_received:
        case FlowState::oneway:
        case FlowState::opening: return Worth::half_open;
        case FlowState::closing:
        case FlowState::time_wait:
        case FlowState::closed: return Worth::closing;
        default: return Worth::assured;
    }
}

std::string flow_key(std::uint8_t port, const Tuple& t, Role role) {
    std::string key{static_cast<char>(port / 2), static_cast<char>(t.family), static_cast<char>(t.proto)};
    std::string a, b;
    append(a, t.src, t.sport);
    append(b, t.dst, t.dport);
    if (is_icmp(t.proto)) {
        // Who asks matters: two hosts that ping each other with the same identifier are two flows.
        if (role == Role::icmp_reply) std::swap(a, b);
        append(key, {}, t.icmp_id);
        key.push_back(static_cast<char>(request_type(t.icmp_type)));
        return key + a + b;
    }
    return a < b ? key + a + b : key + b + a;
}

std::string flow_key(const Letter& letter) {
    if (letter.role == Role::icmp_error) return flow_key(letter.port, letter.quoted, Role::plain);
    return flow_key(letter.port, letter.tuple, letter.role);
}

bool goes_original(const ModelFlow& flow, const Tuple& t, Role role) {
    if (is_icmp(t.proto)) return role != Role::icmp_reply;
    return flow.original.src == t.src && flow.original.sport == t.sport;
}

bool WorkerModel::arrive(Letter letter) {
    if (waiting() == options_.buffers) return false;
    queue_[letter.port].push_back(std::move(letter));
    return true;
}

std::size_t WorkerModel::waiting() const {
    std::size_t n = 0;
    for (const auto& queue : queue_) n += queue.size();
    return n;
}

// ----------------------------------------------------------------------------------------------------------- time

std::uint64_t WorkerModel::timeout_ticks(const ModelFlow& flow) const {
    // Flows may have come over from another process before there is a policy: then those of no policy.
    const abi::FlowTimeouts t = edition_ ? edition_->policy.timeouts : abi::FlowTimeouts{};
    std::uint64_t ms = t.other_ms;
    if (flow.original.proto == L4Proto::udp) ms = flow.state == FlowState::stream ? t.udp_stream_ms : t.udp_oneway_ms;
    if (is_icmp(flow.original.proto)) ms = t.icmp_ms;
    if (flow.original.proto == L4Proto::sctp) {
        switch (flow.state) {
            case FlowState::opening: ms = t.tcp_opening_ms; break;
            case FlowState::closing: ms = t.tcp_closing_ms; break;
            case FlowState::closed: ms = t.tcp_closed_ms; break;
            default: ms = t.other_ms; break;  // heartbeats keep it alive
        }
    }
    if (flow.original.proto == L4Proto::tcp) {
        switch (flow.state) {
            case FlowState::syn_sent:
            case FlowState::syn_received: ms = t.tcp_opening_ms; break;
            case FlowState::established: ms = t.tcp_established_ms; break;
            case FlowState::closed: ms = t.tcp_closed_ms; break;
            default: ms = t.tcp_closing_ms; break;
        }
        const bool open = flow.state == FlowState::established || flow.state == FlowState::fin_wait ||
                          flow.state == FlowState::closing;
        const auto waits = [&](int side) { return flow.tcp->side(side).next != flow.tcp->side(side).unacked; };
        if (open && (waits(0) || waits(1))) ms = std::min<std::uint64_t>(ms, t.tcp_unacknowledged_ms);
    }
    return (ms + 9) / 10;
}

bool WorkerModel::over(const ModelFlow& flow) const { return at_.tick() >= flow.seen_tick + timeout_ticks(flow); }

// ------------------------------------------------------------------------------------------------- rules and flows

void WorkerModel::hit(abi::RuleSlot slot) {
    Rule& r = rules[static_cast<std::size_t>(slot)];
    ++r.hits;
    if (r.first_ns == 0) r.first_ns = at_.mono_ns;
    r.last_ns = at_.mono_ns;
}

void WorkerModel::meter(abi::RuleSlot slot, const Letter& letter) {
    Rule& r = rules[static_cast<std::size_t>(slot)];
    ++r.packets;
    r.bytes += letter.frame.size();
}

WorkerModel::Ruling WorkerModel::ask(const Tuple& t, std::uint8_t port, abi::RuleIndex* observed) {
    const cp::Policy& policy = edition_->policy;
    const dp::LookupResult r = cp::reference_lookup(policy, {.src = t.src,
                                                             .dst = t.dst,
                                                             .from = edition_->zone_of_port[port],
                                                             .to = edition_->zone_of_port[partner(port)],
                                                             .dport_or_icmp = service_of(t),
                                                             .family = t.family,
                                                             .proto = t.proto});
    if (observed != nullptr) *observed = r.observe;
    return {
        edition_->slots[r.rule], cp::reference_verdict(policy, r.rule),
        r.rule < policy.rules.size() ? policy.rules[r.rule].log : policy.default_log,
        r.rule < policy.rules.size() ? policy.rules[r.rule].limits : policy.default_limits,
        r.rule < policy.rules.size() ? policy.rules[r.rule].on_change.value_or(policy.on_change) : policy.on_change};
}

ModelFlow* WorkerModel::find(const Letter& letter) {
    const auto it = flows.find(flow_key(letter));
    return it == flows.end() ? nullptr : &it->second;
}

/// Whether they may pass is asked again, and what only the process that is gone could know is forgotten.
void WorkerModel::adopt(std::vector<Kept> kept, std::uint64_t now_tick) {
    for (auto& [key, flow] : kept) {
        flow.judged_at = flow.judged_generation = 0;
        flow.source_counted = false;
        flow.late_syn.reset();
        flow.other_start.reset();
        flow.queued = ++queue_clock_;
        // The clocks of two processes agree to a tick.
        flow.seen_tick = std::min(flow.seen_tick, now_tick);
        flow.started_tick = std::min(flow.started_tick, now_tick);
        flows.emplace(key, flow);
    }
}

/// The flow goes on, or begins, under this rule and this policy's zones.
void WorkerModel::judge(ModelFlow& flow, const Ruling& ruling) {
    flow.slot = ruling.slot;
    flow.log = ruling.log;
    flow.source_counted = ruling.limits.by_source();
    flow.kept = false;
    see_judged(flow);
}

void WorkerModel::see_judged(ModelFlow& flow) const {
    flow.judged_at = switch_number_;
    flow.judged_generation = edition_->generation;
    flow.zone = {edition_->zone_of_port[flow.port], edition_->zone_of_port[partner(flow.port)]};
}

/// No longer allowed, and it goes on: under its old rule, or, if no rule has that slot any more, under the one that
/// keeps it. It is told once. A SYN that came before it was kept is no beginning of another one.
void WorkerModel::keep(ModelFlow& flow, const Ruling& ruling) {
    ++kept_on_change;
    see_judged(flow);
    if (std::find(edition_->slots.begin(), edition_->slots.end(), flow.slot) == edition_->slots.end()) {
        flow.slot = ruling.slot;
        flow.source_counted = ruling.limits.by_source();
    }
    if (std::exchange(flow.kept, true)) return;
    flow.late_syn.reset();
    if (flow.log == abi::RuleLog::none && ruling.log == abi::RuleLog::none) return;
    abi::FlowEvent e = flow_event(flow, abi::EventKind::flow_kept);
    e.slot = ruling.slot;
    e.verdict = ruling.verdict;
    events.push_back(e);
}

// ------------------------------------------------------------------------------------------------------------ ends

/// As the flow itself would tell it, in the original direction.
abi::FlowEvent WorkerModel::flow_event(const ModelFlow& flow, abi::EventKind kind) const {
    const std::uint64_t age_ns = (at_.tick() - flow.started_tick) * 10'000'000;
    abi::FlowEvent e{};
    e.time = {at_.mono_ns};
    e.generation = edition_ ? edition_->generation : 0;
    e.packets = flow.packets;
    e.bytes = flow.bytes;
    e.started = {at_.mono_ns > age_ns ? at_.mono_ns - age_ns : 1};
    e.src = flow.original.src;
    e.dst = flow.original.dst;
    e.sport = abi::L4Port::of_host(is_icmp(flow.original.proto) ? flow.original.icmp_id : flow.original.sport);
    e.dport = abi::L4Port::of_host(is_icmp(flow.original.proto) ? service_of(flow.original) : flow.original.dport);
    e.slot = flow.slot;
    e.from_zone = flow.zone[0];
    e.to_zone = flow.zone[1];
    e.kind = kind;
    e.verdict = abi::Verdict::allow;
    e.family = flow.original.family;
    e.proto = flow.original.proto;
    e.in_port = flow.port;
    return e;
}

void WorkerModel::end_flow(const std::string& key, abi::FlowEnd why, const Ruling& ruling, bool wanted) {
    const ModelFlow flow = flows.at(key);
    flows.erase(key);
    if (!wanted) return;
    abi::FlowEvent e = flow_event(flow, abi::EventKind::flow_end);
    e.slot = ruling.slot;
    e.verdict = ruling.verdict;
    e.end = why;
    events.push_back(e);
}

/// `expired` after an orderly close or a reset is told as that.
void WorkerModel::end_naturally(const std::string& key, abi::FlowEnd why) {
    const ModelFlow& flow = flows.at(key);
    if (why == abi::FlowEnd::expired && flow.state == FlowState::time_wait) why = abi::FlowEnd::closed;
    if (why == abi::FlowEnd::expired && flow.state == FlowState::closed)
        why = flow.sctp ? abi::FlowEnd::closed : abi::FlowEnd::reset;
    ++(why == abi::FlowEnd::expired ? expired : closed);
    end_flow(key, why, {flow.slot, abi::Verdict::allow, flow.log}, abi::logs_end(flow.log));
}

// ------------------------------------------------------------------------------------------------------- decisions

WorkerModel::Decision WorkerModel::refuse(const Ruling& ruling) {
    if (ruling.verdict == abi::Verdict::reject) return {End::reject, DropReason::policy_reject, true};
    return {End::drop, DropReason::policy_deny, true};
}

WorkerModel::Decision WorkerModel::wire_frame(const Letter& letter) {
    const bool arp = letter.role == Role::arp;
    const abi::RuleSlot slot = arp ? abi::kSlotBuiltinArp : abi::kSlotBuiltinOther;
    hit(slot);
    meter(slot, letter);
    const abi::WireAction action = arp ? edition_->policy.wire_arp : edition_->policy.wire_other;
    if (action == abi::WireAction::allow) return {End::pass, {}, false};
    return {End::drop, arp ? DropReason::policy_deny : DropReason::l2_deny, false};
}

/// A packet of a live flow that this policy has judged.
WorkerModel::Decision WorkerModel::follow(const Letter& letter, ModelFlow& flow) {
    if (letter.role == Role::icmp_error) {
        // It comes from where the quoted packet went, and is no sign of life: anybody on the way may send it.
        const std::size_t quoted_way = goes_original(flow, letter.quoted, Role::plain) ? 0 : 1;
        if (flow.zone[1 - quoted_way] != edition_->zone_of_port[letter.port])
            return {End::drop, DropReason::flow_zone_mismatch, false};
        if (!may_be_in_flight(flow, quoted_way, letter)) return {End::drop, DropReason::icmp_bad_inner, false};
        Bucket& errors = error_budgets_[flow_key(letter.port, letter.quoted, Role::plain)];
        if (!errors.allows(80, 20, at_.tick())) return {End::drop, DropReason::icmp_ratelimit, false};
        errors.spend(80, 20, at_.tick());
        meter(flow.slot, letter);
        return {End::pass, {}, false};
    }
    const std::size_t way = goes_original(flow, letter.tuple, letter.role) ? 0 : 1;
    if (flow.zone[way] != edition_->zone_of_port[letter.port])
        return {End::drop, DropReason::flow_zone_mismatch, false};
    if (flow.tcp) return follow_tcp(letter, flow, way);
    if (flow.sctp) return follow_sctp(letter, flow, way);
    return go_on(letter, flow, way, way == 1 ? FlowState::stream : flow.state, true);
}

WorkerModel::Decision WorkerModel::go_on(const Letter& letter, ModelFlow& flow, std::size_t way, FlowState next,
                                         bool sign_of_life) {
    set_state(flow, next);
    if (sign_of_life) flow.seen_tick = at_.tick();
    ++flow.packets[way];
    flow.bytes[way] += letter.frame.size();
    meter(flow.slot, letter);
    return {End::pass, {}, false};
}

/// Packets of live flows are decided before those of the same burst that need the policy's word. `waiting`: flows that
/// such packets before this one are about. If the flow is over, one of them may open it anew.
WorkerModel::Decision WorkerModel::at_once(const Letter& letter, const std::set<std::string>& waiting) {
    if (letter.role == Role::broken) return {End::drop, letter.fault, false};
    if (letter.role == Role::arp || letter.role == Role::other_ethertype) return wire_frame(letter);
    ModelFlow* flow = find(letter);
    if (flow == nullptr) return {};
    if (over(*flow)) {
        end_naturally(flow_key(letter), abi::FlowEnd::expired);
        return {};
    }
    if (stale(*flow)) return {};
    const bool ended = flow->state == FlowState::time_wait || flow->state == FlowState::closed;
    if (ended && waiting.contains(flow_key(letter))) return {};
    return follow(letter, *flow);
}

WorkerModel::Decision WorkerModel::in_turn(const Letter& letter) {
    ModelFlow* flow = find(letter);
    if (flow == nullptr) return open(letter);
    if (stale(*flow)) {
        // The first packet's question again, with the zones of the two ports as they are now.
        const Ruling ruling = ask(flow->original, flow->port, nullptr);
        const bool allowed = ruling.verdict == abi::Verdict::allow, kept = ruling.on_change == abi::OnChange::keep;
        if (!allowed && !kept) {
            hit(ruling.slot);
            meter(ruling.slot, letter);
            ++ended_by_policy;
            const bool wanted = abi::logs_end(flow->log) || ruling.log != abi::RuleLog::none;
            end_flow(flow_key(letter), abi::FlowEnd::policy, ruling, wanted);
            return refuse(ruling);
        }
        if (allowed && flow->slot != ruling.slot)
            hit(ruling.slot);  // hits are flows: the same rule has counted this one
        allowed ? judge(*flow, ruling) : keep(*flow, ruling);
    }
    const Decision decision = follow(letter, *flow);
    return decision.end == End::undecided ? open(letter) : decision;
}

WorkerModel::Decision WorkerModel::open(const Letter& letter) {
    switch (letter.role) {
        case Role::icmp_error: return {End::drop, DropReason::icmp_unrelated, false};
        case Role::icmp_reply: return {End::drop, DropReason::icmp_no_flow, false};
        case Role::syn:
        case Role::plain: break;
        default:
            if (picks_up(letter)) break;
            // While flows are picked up, what is refused is the kind of segment and not that its flow is unknown.
            if (letter.role == Role::association)
                return {End::drop, picking_up() ? DropReason::sctp_bad_chunk : DropReason::sctp_no_flow, false};
            return {End::drop, picking_up() ? DropReason::tcp_bad_flags : DropReason::tcp_no_flow, false};
    }
    const bool pickup = picks_up(letter);
    abi::RuleIndex observed = abi::kNoRule;
    const Ruling ruling = ask(letter.tuple, letter.port, &observed);
    if (observed != abi::kNoRule) {
        hit(edition_->slots[observed]);
        abi::FlowEvent e = event_about(letter, abi::EventKind::observed);
        e.slot = edition_->slots[observed];
        e.verdict = cp::reference_verdict(edition_->policy, observed);
        write_sampled(e);
    }
    hit(ruling.slot);
    write_new_flow(event_about(letter, abi::EventKind::new_flow), ruling);
    meter(ruling.slot, letter);
    if (ruling.verdict != abi::Verdict::allow) {
        Decision decision = refuse(ruling);
        const bool rejected = decision.end == End::reject;
        // In mid-stream nobody is told: the other side may be about to bring the flow back.
        if (pickup) decision = {End::drop, DropReason::policy_deny, true};
        if (ruling.log != abi::RuleLog::none) {
            abi::FlowEvent e =
                event_about(letter, rejected ? abi::EventKind::flow_rejected : abi::EventKind::flow_denied);
            e.slot = ruling.slot;
            e.verdict = ruling.verdict;
            e.drop = decision.reason;
            write_sampled(e);
        }
        return decision;
    }
    const ModelFlow* const over = find(letter);
    if (const auto reason = limit(letter, ruling, over)) {
        abi::FlowEvent e = event_about(letter, abi::EventKind::limited);
        e.slot = ruling.slot;
        e.verdict = ruling.verdict;
        e.drop = *reason;
        write_sampled(e);
        return {End::drop, *reason, true};
    }
    if (over != nullptr) {
        // In the place of one that is over: that one ends only now, when the policy and its limits have allowed it.
        ++reopened;
        end_naturally(flow_key(letter), abi::FlowEnd::reused);
    }
    if (!make_room(!pickup)) return {End::drop, DropReason::flow_table_full, false};
    spend(letter, ruling);
    ModelFlow flow{.original = letter.tuple, .port = letter.port};
    if (letter.tuple.proto == L4Proto::tcp) {
        flow.tcp.emplace(test::TcpModel::Mode::strict);
        pickup ? flow.tcp->pick_up(letter.segment) : flow.tcp->open(letter.segment);
    }
    if (letter.tuple.proto == L4Proto::sctp) {
        flow.sctp.emplace();
        pickup ? flow.sctp->pick_up(letter.sctp) : flow.sctp->open(letter.sctp);
    }
    set_state(flow, pickup      ? FlowState::established
                    : flow.tcp  ? FlowState::syn_sent
                    : flow.sctp ? FlowState::opening
                                : FlowState::oneway);
    picked_up += pickup ? 1 : 0;
    flow.started_tick = flow.seen_tick = at_.tick();
    flow.packets[0] = 1;
    flow.bytes[0] = letter.frame.size();
    judge(flow, ruling);
    flows.emplace(flow_key(letter), flow);
    ++created;
    if (abi::logs_start(ruling.log)) {
        abi::FlowEvent e = event_about(letter, abi::EventKind::flow_start);
        e.packets = e.bytes = {};
        e.packets[0] = 1;
        e.bytes[0] = letter.frame.size();
        e.slot = ruling.slot;
        e.verdict = abi::Verdict::allow;
        e.started = e.time;
        events.push_back(e);
    }
    return {End::pass, {}, false};
}

}  // namespace sluice::sim
