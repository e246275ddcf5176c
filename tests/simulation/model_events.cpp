/// What the model says in events.
#include "tests/simulation/model.hpp"

namespace sluice::sim {

using abi::DropReason;

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
bool WorkerModel::write_within(std::size_t cause, std::uint32_t per_second, const abi::FlowEvent& event) {
    Budget& b = budgets_[cause];
    if (event.time.ns - b.second_start_ns >= 1'000'000'000) {
        report(b);
        b.second_start_ns = event.time.ns;
        b.used = 0;
    }
    if (b.used < per_second) {
        ++b.used;
        events.push_back(event);
        return true;
    }
    if (b.suppressed++ == 0) b.first = event;
    return false;
}

void WorkerModel::write_sampled(const abi::FlowEvent& event) {
    const std::size_t cause =
        event.kind == abi::EventKind::observed ? abi::kDropReasonCount : static_cast<std::size_t>(event.drop);
    if (!write_within(cause, options_.events_per_second_and_cause, event)) ++events_suppressed;
}

/// Whoever watches hears of each new flow and what its rule said, whatever that logs and whatever limits say.
void WorkerModel::write_new_flow(abi::FlowEvent event, const Ruling& ruling) {
    if (options_.new_flows_per_second == 0) return;
    event.kind = abi::EventKind::new_flow;
    event.slot = ruling.slot;
    event.verdict = ruling.verdict;
    write_within(abi::kDropReasonCount + 1, options_.new_flows_per_second, event);
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
