#include "dataplane/pipeline/rejudge.hpp"

namespace sluice::dp {

LookupKey flow_question(const Passage& passage, FlowHandle h, const FlowTable& table) noexcept {
    const FlowHot& e = table.hot(h);
    const FlowTuple tuple = table.original_tuple(h);
    const bool as_arrived = e.has(flow_flag::original_from_high_port) == passage.in_is_high_port;
    LookupKey q{};
    q.src = tuple.src;
    q.dst = tuple.dst;
    q.from = as_arrived ? passage.from : passage.to;
    q.to = as_arrived ? passage.to : passage.from;
    q.family = e.family();
    q.proto = tuple.proto;
    if (tuple.proto != abi::L4Proto::sctp) q.dport_or_icmp = tuple.dport.to_host();
    return q;
}

Ruling ruling_of(const TableView& view, abi::RuleIndex rule) noexcept {
    const abi::RuleRecord& r = view.rule(rule);
    return {r.slot, r.verdict, r.log, r.limits, r.on_change};
}

Judged judge(FlowHandle h, const TableView& view, const LookupResult& answer, const Passage& passage, FlowBook& flows,
             RuleMeter& rules, const Moment& moment, abi::WorkerCounters& counters) noexcept {
    counters.flows_rejudged.add(1);
    const Ruling ruling = ruling_of(view, answer.rule);
    if (ruling.verdict == abi::Verdict::allow) {
        // Hits are flows: one that goes on under the same rule is no new one.
        if (flows.table.hot(h).slot() != ruling.slot) rules.hit(ruling.slot, moment.mono);
        flows.restamp(h, ruling, passage, moment);
        return Judged::goes_on;
    }
    if (ruling.on_change == abi::OnChange::keep) {
        flows.keep(h, ruling, passage, moment);
        return Judged::goes_on;
    }
    rules.hit(ruling.slot, moment.mono);
    if (ruling.on_change == abi::OnChange::kill) {
        flows.mark_by_policy(h, ruling, moment);
        return Judged::marked;
    }
    flows.end_by_policy(h, ruling, moment);
    return Judged::ended;
}

}  // namespace sluice::dp
