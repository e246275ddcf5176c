/// Packets of live TCP flows through the whole worker, against rte_acl with parse and forward on the same source; in
/// turns also while somebody watches new flows.
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

}  // namespace

int bench_established(const Options& o, const Machine& machine) {
    const auto scene = Scene::make(o, kTcp);
    if (!scene) return failed(scene.error());
    const std::uint32_t flows = scene->flows;
    const auto& rules = scene->rules;
    const Tables& tables = *scene->tables;
    const auto acl = RteAcl::build(rules, random_trace(rules, 8192, o.seed), false);
    if (!acl) return failed(acl.error());

    const auto config = scene->source(o, machine, dp::Conversation::tcp);
    Contest contest{config, machine, tables, flows, **acl, rules};
    RealWorker& worker = contest.worker();
    contest.warm_up(dp::kHandshakeRounds * std::uint64_t{flows});
    if (const auto what = worker.complaint(flows); !what.empty()) return failed("after the handshakes: " + what);
    const auto turns = contest.take_turns(
        o.runs, o.count, [&] { return worker.complaint(flows); }, kWatchedPerSecond);
    if (!turns) return failed(turns.error());
    const auto& runs = *turns;
    Result result{"established", o.sw_csum ? "sw-csum" : "marked-good", static_cast<double>(machine.tsc.hz)};
    result.param("flows", flows)
        .param("rules", o.rules)
        .param("packets", o.count)
        .param("frame_bytes", 64)
        .param("seed", o.seed);
    result.ours(runs[0]).against("rte_acl+parse+forward", runs[1]).net_of(runs[2]);
    add_watched_cost(result, runs[0], runs[3]);
    result.count("flows_read_back", worker.flows())
        .count("drops", worker.drops())
        .number("thp_mib", huge_mib())
        .text("peer_method", (*acl)->method());
    if (o.stages) {
        add_stages(result, worker, o.count);
        if (const auto what = worker.complaint(flows); !what.empty()) return failed(what);
    }
    std::printf("%s\n", result.json().c_str());
    return 0;
}

}  // namespace sluice::bench
