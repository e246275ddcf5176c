#include "tests/simulation/model.hpp"

#include <algorithm>
#include <utility>

#include "controlplane/compiler/reference.hpp"

namespace sluice::sim {

using abi::DropReason;
using abi::FlowState;
using abi::L4Proto;

namespace {

constexpr std::size_t kBurstMax = 32;

bool is_icmp(L4Proto proto) { return proto == L4Proto::icmp || proto == L4Proto::icmp6; }

/// A query's two types, told by the request's.
std::uint8_t request_type(std::uint8_t type) { return type == 0 ? 8 : type == 129 ? 128 : type; }

std::uint16_t service_of(const Tuple& t) {
    if (t.proto == L4Proto::tcp || t.proto == L4Proto::udp) return t.dport;
    return is_icmp(t.proto) ? static_cast<std::uint16_t>(t.icmp_type << 8) : std::uint16_t{0};
}

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
    const abi::FlowTimeouts& t = edition_->policy.timeouts;
    std::uint64_t ms = t.other_ms;
    if (flow.original.proto == L4Proto::udp) ms = flow.state == FlowState::stream ? t.udp_stream_ms : t.udp_oneway_ms;
    if (is_icmp(flow.original.proto)) ms = t.icmp_ms;
    if (flow.original.proto == L4Proto::sctp) ms = t.tcp_opening_ms;  // nobody gets further than INIT here
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
        if (open && flow.tcp_sent != flow.tcp_acked) ms = std::min<std::uint64_t>(ms, t.tcp_unacknowledged_ms);
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
    return {edition_->slots[r.rule], cp::reference_verdict(policy, r.rule),
            r.rule < policy.rules.size() ? policy.rules[r.rule].log : policy.default_log,
            r.rule < policy.rules.size() ? policy.rules[r.rule].limits : policy.default_limits};
}

ModelFlow* WorkerModel::find(const Letter& letter) {
    const bool error = letter.role == Role::icmp_error;
    const auto it = flows.find(error ? flow_key(letter.port, letter.quoted, Role::plain)
                                     : flow_key(letter.port, letter.tuple, letter.role));
    return it == flows.end() ? nullptr : &it->second;
}

/// The flow goes on, or begins, under this rule and this policy's zones.
void WorkerModel::judge(ModelFlow& flow, const Ruling& ruling) {
    flow.slot = ruling.slot;
    flow.log = ruling.log;
    flow.source_counted = ruling.limits.by_source();
    flow.judged_at = switch_number_;
    flow.judged_generation = edition_->generation;
    flow.zone = {edition_->zone_of_port[flow.port], edition_->zone_of_port[partner(flow.port)]};
}

// ------------------------------------------------------------------------------------------------------------ ends

void WorkerModel::end_flow(const std::string& key, abi::FlowEnd why, const Ruling& ruling, bool wanted) {
    const ModelFlow flow = flows.at(key);
    flows.erase(key);
    if (!wanted) return;
    const std::uint64_t age_ns = (at_.tick() - flow.started_tick) * 10'000'000;
    abi::FlowEvent e{};
    e.time = {at_.mono_ns};
    e.generation = edition_->generation;
    e.packets = flow.packets;
    e.bytes = flow.bytes;
    e.started = {at_.mono_ns > age_ns ? at_.mono_ns - age_ns : 1};
    e.src = flow.original.src;
    e.dst = flow.original.dst;
    e.sport = abi::L4Port::of_host(is_icmp(flow.original.proto) ? flow.original.icmp_id : flow.original.sport);
    e.dport = abi::L4Port::of_host(is_icmp(flow.original.proto) ? service_of(flow.original) : flow.original.dport);
    e.slot = ruling.slot;
    e.from_zone = flow.zone[0];
    e.to_zone = flow.zone[1];
    e.kind = abi::EventKind::flow_end;
    e.verdict = ruling.verdict;
    e.family = flow.original.family;
    e.proto = flow.original.proto;
    e.end = why;
    e.in_port = flow.port;
    events.push_back(e);
}

/// `expired` after an orderly close or a reset is told as that.
void WorkerModel::end_naturally(const std::string& key, abi::FlowEnd why) {
    const ModelFlow& flow = flows.at(key);
    if (why == abi::FlowEnd::expired && flow.state == FlowState::time_wait) why = abi::FlowEnd::closed;
    if (why == abi::FlowEnd::expired && flow.state == FlowState::closed) why = abi::FlowEnd::reset;
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

/// RFC 5927 section 4.1, from the middle: between what the other side had acknowledged a window ago and what was sent.
/// (No host here scales its window; before the other side has spoken there is none, and the SYN itself may be quoted.)
bool WorkerModel::may_be_in_flight(const ModelFlow& flow, std::size_t way, const Letter& letter) {
    constexpr std::uint32_t window = 64240;
    if (flow.original.proto != L4Proto::tcp || flow.state == FlowState::closed) return true;
    const std::uint32_t lag = flow.state == FlowState::syn_sent ? 1 : window;
    const std::uint32_t oldest = flow.tcp_acked[way] - lag;
    return letter.quoted_seq - oldest <= flow.tcp_sent[way] - oldest;
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
    FlowState next = flow.state;
    switch (letter.role) {
        case Role::syn: return {};  // only of a new connection over an ended one: see traffic.hpp
        case Role::syn_ack: next = FlowState::syn_received; break;
        case Role::ack:
            if (flow.state == FlowState::closed) return {End::drop, DropReason::tcp_closed, false};
            if (flow.state == FlowState::syn_received) next = FlowState::established;
            if (flow.state == FlowState::closing) next = FlowState::time_wait;
            break;
        case Role::fin: next = flow.state == FlowState::established ? FlowState::fin_wait : FlowState::closing; break;
        case Role::rst: next = FlowState::closed; break;
        default:
            if (way == 1 && letter.tuple.proto != L4Proto::sctp) next = FlowState::stream;
            break;
    }
    if (letter.tuple.proto == L4Proto::tcp && letter.role != Role::rst) {
        if (letter.role == Role::syn_ack) flow.tcp_acked[way] = letter.tcp_end;  // a SYN waits for nothing
        flow.tcp_sent[way] = letter.tcp_end;
        flow.tcp_acked[1 - way] = letter.tcp_ack;
    }
    set_state(flow, next);
    flow.seen_tick = at_.tick();
    ++flow.packets[way];
    flow.bytes[way] += letter.frame.size();
    meter(flow.slot, letter);
    return {End::pass, {}, false};
}

/// Packets of live flows are decided before those of the same burst that need the policy's word.
WorkerModel::Decision WorkerModel::at_once(const Letter& letter) {
    if (letter.role == Role::broken) return {End::drop, letter.fault, false};
    if (letter.role == Role::arp || letter.role == Role::other_ethertype) return wire_frame(letter);
    ModelFlow* flow = find(letter);
    if (flow == nullptr) return {};
    if (over(*flow)) {
        const bool error = letter.role == Role::icmp_error;
        end_naturally(error ? flow_key(letter.port, letter.quoted, Role::plain)
                            : flow_key(letter.port, letter.tuple, letter.role),
                      abi::FlowEnd::expired);
        return {};
    }
    return stale(*flow) ? Decision{} : follow(letter, *flow);
}

WorkerModel::Decision WorkerModel::in_turn(const Letter& letter) {
    ModelFlow* flow = find(letter);
    if (flow == nullptr) return open(letter);
    if (stale(*flow)) {
        // The first packet's question again, with the zones of the two ports as they are now.
        const Ruling ruling = ask(flow->original, flow->port, nullptr);
        if (ruling.verdict != abi::Verdict::allow) {
            hit(ruling.slot);
            meter(ruling.slot, letter);
            ++ended_by_policy;
            const bool wanted = abi::logs_end(flow->log) || ruling.log != abi::RuleLog::none;
            const bool error = letter.role == Role::icmp_error;
            end_flow(error ? flow_key(letter.port, letter.quoted, Role::plain)
                           : flow_key(letter.port, letter.tuple, letter.role),
                     abi::FlowEnd::policy, ruling, wanted);
            return refuse(ruling);
        }
        if (flow->slot != ruling.slot) hit(ruling.slot);  // hits are flows: the same rule has counted this one
        judge(*flow, ruling);
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
        default: return {End::drop, DropReason::tcp_no_flow, false};
    }
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
    meter(ruling.slot, letter);
    if (ruling.verdict != abi::Verdict::allow) {
        const Decision decision = refuse(ruling);
        if (ruling.log != abi::RuleLog::none) {
            abi::FlowEvent e = event_about(
                letter, decision.end == End::reject ? abi::EventKind::flow_rejected : abi::EventKind::flow_denied);
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
        end_naturally(flow_key(letter.port, letter.tuple, letter.role), abi::FlowEnd::reused);
    }
    if (!make_room()) return {End::drop, DropReason::flow_table_full, false};
    spend(letter, ruling);
    ModelFlow flow{.original = letter.tuple, .port = letter.port};
    set_state(flow, letter.role == Role::syn              ? FlowState::syn_sent
                    : letter.tuple.proto == L4Proto::sctp ? FlowState::opening
                                                          : FlowState::oneway);
    flow.started_tick = flow.seen_tick = at_.tick();
    flow.tcp_sent[0] = flow.tcp_acked[0] = letter.tcp_end;
    flow.packets[0] = 1;
    flow.bytes[0] = letter.frame.size();
    judge(flow, ruling);
    flows.emplace(flow_key(letter.port, letter.tuple, letter.role), flow);
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

// ------------------------------------------------------------------------------------------------------- one loop

void WorkerModel::begin_loop(std::shared_ptr<const Edition> edition, std::uint64_t switch_number, const Instant& at) {
    at_ = at;
    if (switch_number != switch_number_) switched_tick_ = at.tick();
    edition_ = std::move(edition);
    switch_number_ = switch_number;
}

std::size_t WorkerModel::burst(std::uint8_t port, Devices& devices) {
    std::vector<Letter> letters;
    while (letters.size() < kBurstMax && !queue_[port].empty()) {
        letters.push_back(std::move(queue_[port].front()));
        queue_[port].pop_front();
    }
    if (letters.empty()) return 0;
    std::vector<Decision> decisions(letters.size());
    for (std::size_t i = 0; i < letters.size(); ++i) {
        ++ports[port].rx_packets;
        ports[port].rx_bytes += letters[i].frame.size();
        decisions[i] = edition_ ? at_once(letters[i]) : Decision{End::drop, DropReason::no_policy, false};
    }
    for (std::size_t i = 0; i < letters.size(); ++i) {
        if (decisions[i].end == End::undecided) decisions[i] = in_turn(letters[i]);
    }
    leave(letters, decisions, devices);
    return letters.size();
}

bool WorkerModel::take_answer() {
    const std::uint64_t period_ns = 1'000'000'000 / options_.answers_per_second;
    if (!answered_) {
        answered_ = true;
        answer_start_ns_ = at_.now_ns;
        answer_tokens_ = options_.answers_per_second;
    }
    const std::uint64_t refills = (at_.now_ns - answer_start_ns_) / period_ns;
    answer_tokens_ = std::min<std::uint64_t>(options_.answers_per_second, answer_tokens_ + refills - answer_refills_);
    answer_refills_ = refills;
    if (answer_tokens_ == 0) return false;
    --answer_tokens_;
    return true;
}

/// Drops are counted and answered, then everything that passes leaves in order, then the answers.
void WorkerModel::leave(std::vector<Letter>& letters, std::vector<Decision>& decisions, Devices& devices) {
    const std::uint8_t in = letters.front().port, out = partner(in);
    std::vector<std::size_t> answers;
    for (std::size_t i = 0; i < letters.size(); ++i) {
        if (decisions[i].end == End::pass) continue;
        account_drop(letters[i], decisions[i]);
        if (decisions[i].end != End::reject || !letters[i].answerable) continue;
        if (!take_answer()) {
            ++answers_limited;
        } else if (!devices.can_allocate || waiting() + letters.size() + answers.size() >= options_.buffers) {
            abi::FlowEvent e = event_about(letters[i], abi::EventKind::drop);
            e.drop = DropReason::no_mbuf;
            write_sampled(e);
        } else {
            answers.push_back(i);
            ++ports[in].originated;
        }
    }
    const auto take = [&](std::uint8_t port) {
        if (!devices.link_up[port] || devices.tx_room[port] == 0) return false;
        --devices.tx_room[port];
        ++ports[port].tx_packets;
        ++ports[in].forwarded;
        return true;
    };
    const auto why_not = [&](std::uint8_t port) {
        return devices.link_up[port] ? DropReason::tx_full : DropReason::port_down;
    };
    for (std::size_t i = 0; i < letters.size(); ++i) {
        bool way_out_only = false;
        if (decisions[i].end == End::pass) {
            if (take(out)) {
                ports[out].tx_bytes += letters[i].frame.size();
                sent.push_back({out, letters[i].frame, false});
            } else {
                way_out_only = true;
                decisions[i] = {End::drop, why_not(out), false};
                account_drop(letters[i], decisions[i]);
            }
        }
        const bool passed = decisions[i].end == End::pass;
        fates.push_back(
            {letters[i], passed ? "forward" : std::string{abi::to_string(decisions[i].reason)}, way_out_only});
    }
    for (const std::size_t i : answers) {
        if (take(in)) {
            sent.push_back({in, letters[i].frame, true});
        } else {
            ++ports[in].drops[static_cast<std::size_t>(why_not(in))];
        }
    }
}

void WorkerModel::judge_idle_flows() {
    std::vector<std::string> stale_ones;
    for (const auto& [key, flow] : flows) {
        if (stale(flow) && !over(flow)) stale_ones.push_back(key);
    }
    for (const std::string& key : stale_ones) {
        ModelFlow& flow = flows.at(key);
        const Ruling ruling = ask(flow.original, flow.port, nullptr);
        if (ruling.verdict != abi::Verdict::allow || flow.slot != ruling.slot) hit(ruling.slot);
        if (ruling.verdict == abi::Verdict::allow) {
            judge(flow, ruling);
            continue;
        }
        ++ended_by_policy;
        end_flow(key, abi::FlowEnd::policy, ruling, abi::logs_end(flow.log) || ruling.log != abi::RuleLog::none);
    }
}

std::string WorkerModel::end_loop(const std::vector<abi::FlowRecord>& present) {
    if (edition_) judge_idle_flows();
    const auto tuple_of = [](const abi::FlowRecord& r) {
        Tuple t{.family = r.family, .src = r.src, .dst = r.dst, .proto = r.proto};
        if (is_icmp(r.proto)) {
            t.icmp_id = r.sport.to_host();
            t.icmp_type = static_cast<std::uint8_t>(r.dport.to_host() >> 8);
        } else {
            t.sport = r.sport.to_host();
            t.dport = r.dport.to_host();
        }
        return t;
    };
    std::map<std::string, const abi::FlowRecord*> seen;
    for (const abi::FlowRecord& r : present) {
        // The record does not name the wire; zones and addresses do not tell it either, so both are tried.
        std::string key;
        for (const std::uint8_t port : {std::uint8_t{0}, std::uint8_t{2}}) {
            key = flow_key(port, tuple_of(r), Role::plain);
            if (flows.contains(key)) break;
        }
        if (!flows.contains(key)) return "the table holds a flow that should not be there";
        if (!seen.emplace(key, &r).second) return "a flow stands twice in the table";
        const ModelFlow& f = flows.at(key);
        const std::uint64_t age_ms = (at_.tick() - f.started_tick) * 10, idle_ms = (at_.tick() - f.seen_tick) * 10;
        const bool long_ago = switch_number_ - f.judged_at >= 8;
        const auto differs = [](const std::string& what, std::uint64_t got, std::uint64_t expected) {
            return "a flow's " + what + " is " + std::to_string(got) + ", expected " + std::to_string(expected);
        };
        if (r.state != f.state)
            return differs("state", static_cast<std::uint64_t>(r.state), static_cast<std::uint64_t>(f.state));
        if (r.slot != f.slot)
            return differs("slot", static_cast<std::uint64_t>(r.slot), static_cast<std::uint64_t>(f.slot));
        if (r.packets != f.packets) return differs("packets", r.packets[0], f.packets[0]);
        if (r.bytes != f.bytes) return differs("bytes", r.bytes[0], f.bytes[0]);
        if (r.src != f.original.src) return "a flow's directions are swapped";
        if (r.from_zone != f.zone[0] || r.to_zone != f.zone[1])
            return differs("zone", static_cast<std::uint64_t>(r.from_zone), static_cast<std::uint64_t>(f.zone[0]));
        if (r.worker != worker_) return differs("worker", r.worker, worker_);
        if (r.generation != f.judged_generation && !(long_ago && r.generation == 0))
            return differs("generation", r.generation, f.judged_generation);
        if (r.age_ms != std::min<std::uint64_t>(age_ms, UINT32_MAX)) return differs("age", r.age_ms, age_ms);
        if (r.idle_ms != std::min<std::uint64_t>(idle_ms, UINT32_MAX)) return differs("idle time", r.idle_ms, idle_ms);
    }
    std::vector<std::string> gone;
    for (const auto& [key, flow] : flows) {
        if (!seen.contains(key)) {
            if (!edition_ || !over(flow))
                return "a flow is gone before its time: idle " + std::to_string((at_.tick() - flow.seen_tick) * 10) +
                       " ms of " + (edition_ ? std::to_string(timeout_ticks(flow) * 10) : "no policy's");
            gone.push_back(key);
        } else if (edition_ &&
                   at_.tick() >= std::max(flow.seen_tick + timeout_ticks(flow), switched_tick_) + kLapTicks) {
            return "a flow outstays its time: idle " + std::to_string((at_.tick() - flow.seen_tick) * 10) + " ms of " +
                   std::to_string(timeout_ticks(flow) * 10);
        }
    }
    for (const std::string& key : gone) end_naturally(key, abi::FlowEnd::expired);
    settle();
    return {};
}

// --------------------------------------------------------------------------------------------------------- events

abi::FlowEvent WorkerModel::event_about(const Letter& letter, abi::EventKind kind) const {
    abi::FlowEvent e{};
    e.time = {at_.mono_ns};
    e.generation = edition_ ? edition_->generation : 0;
    e.packets[0] = 1;
    e.bytes[0] = letter.frame.size();
    e.kind = kind;
    e.in_port = letter.port;
    e.from_zone = edition_ ? edition_->zone_of_port[letter.port] : abi::kNoZone;
    e.to_zone = edition_ ? edition_->zone_of_port[partner(letter.port)] : abi::kNoZone;
    // What was not read, or not well, is told without addresses.
    if (!edition_ || letter.role == Role::broken || letter.role == Role::arp || letter.role == Role::other_ethertype)
        return e;
    const Tuple& t = letter.tuple;
    e.src = t.src;
    e.dst = t.dst;
    e.family = t.family;
    e.proto = t.proto;
    e.sport = abi::L4Port::of_host(is_icmp(t.proto) ? t.icmp_id : t.sport);
    e.dport = abi::L4Port::of_host(is_icmp(t.proto) ? service_of(t) : t.dport);
    return e;
}

void WorkerModel::account_drop(const Letter& letter, const Decision& decision) {
    ++ports[letter.port].drops[static_cast<std::size_t>(decision.reason)];
    if (decision.by_rule) return;  // the rule's own log speaks about it
    abi::FlowEvent e = event_about(letter, abi::EventKind::drop);
    e.drop = decision.reason;
    write_sampled(e);
}

/// At most so many a second and cause; the first that was left out stands for the rest when the second is over.
void WorkerModel::write_sampled(const abi::FlowEvent& event) {
    const std::size_t cause =
        event.kind == abi::EventKind::observed ? abi::kDropReasonCount : static_cast<std::size_t>(event.drop);
    Budget& b = budgets_[cause];
    if (event.time.ns - b.second_start_ns >= 1'000'000'000) {
        report(b);
        b.second_start_ns = event.time.ns;
        b.used = 0;
    }
    if (b.used < options_.events_per_second_and_cause) {
        ++b.used;
        events.push_back(event);
        return;
    }
    if (b.suppressed++ == 0) b.first = event;
    ++events_suppressed;
}

void WorkerModel::report(Budget& b) {
    if (b.suppressed == 0) return;
    b.first.suppressed = b.suppressed - 1;
    b.suppressed = 0;
    events.push_back(b.first);
}

void WorkerModel::settle() {
    for (auto& [cause, budget] : budgets_) {
        if (at_.mono_ns - budget.second_start_ns >= 1'000'000'000) report(budget);
    }
}

}  // namespace sluice::sim
