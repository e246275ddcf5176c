/// Whole TCP connections through the worker: SYN to the last ACK in eight packets, then a closing timer of two seconds
/// during which the entry stays. The peer classifies and forwards the same packets and keeps no flow.
#include <cstdio>

#include "dataplane/port/conversation.hpp"
#include "tests/bench/acl_peer.hpp"
#include "tests/bench/contest.hpp"
#include "tests/bench/options.hpp"
#include "tests/bench/rig/measure.hpp"
#include "tests/bench/rig/real_worker.hpp"
#include "tests/bench/rig/rules.hpp"
#include "tests/bench/rig/traces.hpp"
#include "tests/bench/scene.hpp"

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
    Contest contest{config, machine, **tables, kEntries, **acl, rules};
    RealWorker& worker = contest.worker();
    // Until all seats are taken.
    contest.warm_up(dp::kLifeSteps * std::uint64_t{at_a_time});
    const auto turns = contest.take_turns(o.runs, o.count, [&] {
        std::string complaint = worker.complaint(worker.flows());
        if (worker.flows_created() != contest.source().begun()) complaint += " not every SYN made a flow of its own";
        return complaint;
    });
    if (!turns) return failed(turns.error());
    const auto& runs = *turns;
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
    if (o.stages) add_stages(result, worker, o.count);
    std::printf("%s\n", result.json().c_str());
    return 0;
}

}  // namespace sluice::bench
