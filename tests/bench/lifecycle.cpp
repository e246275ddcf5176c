/// Whole TCP connections through the worker: SYN to the last ACK in eight packets, then a closing timer of two seconds
/// during which the entry stays. The peer classifies and forwards the same packets and keeps no flow.
#include <cstdio>

#include "dataplane/port/conversation.hpp"
#include "tests/bench/acl_peer.hpp"
#include "tests/bench/options.hpp"
#include "tests/bench/rig/measure.hpp"
#include "tests/bench/rig/real_worker.hpp"
#include "tests/bench/rig/rules.hpp"

namespace sluice::bench {

namespace {

constexpr std::uint8_t kTcp = 6;
constexpr std::uint32_t kClosingMs = 2'000;
/// Enough for 1.5 million connections a second: what has closed stays for the timer and until the hand comes by.
constexpr std::uint32_t kEntries = 1U << 22;

}  // namespace

int bench_lifecycle(const Options& o, const Machine& machine) {
    const std::uint32_t at_a_time = whole_flows(o.flows);
    const auto rules = made_rules(o.rules, kTcp);
    const auto targets = targets_of(rules);
    cp::Policy policy = policy_of(rules);
    policy.timeouts.tcp_closing_ms = kClosingMs;
    const auto tables = Tables::make(policy, 1);
    if (!tables) return failed(tables.error());
    const auto acl = RteAcl::build(rules, random_trace(rules, 8192, o.seed), false);
    if (!acl) return failed(acl.error());

    const dp::MemorySourceConfig config{.pool = machine.pool,
                                        .conversation = dp::Conversation::lives,
                                        .flow_count = at_a_time,
                                        .targets = targets,
                                        .marked_good = !o.sw_csum,
                                        .seed = o.seed};
    dp::MemorySource ours{config}, theirs{config}, alone{config};
    RealWorker worker{ours, kEntries, (*tables)->rule_slots(), machine.tsc};
    AclForwarder forwarder{**acl, rules, theirs};
    worker.publish(**tables);
    // Until all seats are taken; the others go along, so that all three have the same packets to make.
    const std::uint64_t filling = dp::kLifeSteps * std::uint64_t{at_a_time};
    worker.run(filling);
    forwarder.run(filling);
    run_alone(alone, filling);

    const auto timed = [&](auto& what, dp::MemorySource& source) {
        return [&] {
            const std::uint64_t before = source.made();
            const Stopwatch watch;
            what(o.count);
            return watch.stop(source.made() - before);
        };
    };
    auto run_ours = [&](std::uint64_t n) { worker.run(n); };
    auto run_theirs = [&](std::uint64_t n) { forwarder.run(n); };
    auto run_source = [&](std::uint64_t n) { run_alone(alone, n); };
    std::string complaint;
    const auto runs =
        take_turns(o.runs, {timed(run_ours, ours), timed(run_theirs, theirs), timed(run_source, alone)}, [&] {
            complaint = worker.complaint(worker.flows());
            if (worker.flows_created() != ours.begun()) complaint += " not every SYN made a flow of its own";
            if (forwarder.refused() != 0) complaint += " the peer refused packets";
            return complaint.empty();
        });
    if (!complaint.empty()) return failed(complaint);
    Result result{"lifecycle", o.sw_csum ? "sw-csum" : "marked-good", static_cast<double>(machine.tsc.hz)};
    result.param("flows", at_a_time)
        .param("rules", o.rules)
        .param("packets", o.count)
        .param("closing_ms", kClosingMs)
        .param("frame_bytes", 64)
        .param("seed", o.seed);
    result.ours(runs[0]).against("rte_acl+parse+forward", runs[1]).net_of(runs[2]);
    result.number("lives_per_second_m", median(each(runs[0], mega_per_second)) / dp::kLifeSteps)
        .count("flows_created", worker.flows_created())
        .count("flows_read_back", worker.flows())
        .count("drops", worker.drops())
        .number("thp_mib", huge_mib())
        .text("peer_method", (*acl)->method());
    std::printf("%s\n", result.json().c_str());
    return 0;
}

}  // namespace sluice::bench
