/// First packets: a miss in the flow table, a lookup in N rules, an insert. The table is made anew between runs,
/// outside of what is timed. The peer looks up and forwards and keeps no flow. A third worker has somebody who watches
/// new flows, as while a shadow policy runs.
#include <cstdio>

#include "tests/bench/acl_peer.hpp"
#include "tests/bench/options.hpp"
#include "tests/bench/rig/measure.hpp"
#include "tests/bench/rig/real_worker.hpp"
#include "tests/bench/rig/rules.hpp"
#include "tests/bench/rig/traces.hpp"
#include "tests/bench/scene.hpp"

namespace sluice::bench {

namespace {
constexpr std::uint8_t kUdp = 17;
}  // namespace

int bench_new_flows(const Options& o, const Machine& machine) {
    const auto scene = Scene::make(o, kUdp);
    if (!scene) return failed(scene.error());
    const std::uint32_t flows = scene->flows;
    const auto& rules = scene->rules;
    const Tables& tables = *scene->tables;
    const auto acl = RteAcl::build(rules, random_trace(rules, 8192, o.seed), false);
    if (!acl) return failed(acl.error());

    const auto config = scene->source(o, machine, dp::Conversation::udp);
    std::string complaint;
    std::uint64_t flows_read_back = 0, drops = 0;
    double thp_mib = 0;
    const auto worker_run = [&](std::uint32_t watched_per_second) {
        dp::MemorySource source{config};
        RealWorker worker{source, flows, tables.rule_slots(), machine.tsc};
        worker.dump_mailbox().new_flows_per_second.store(watched_per_second, std::memory_order_relaxed);
        worker.publish(tables);
        const Stopwatch watch;
        worker.run(flows);
        const Run run = watch.stop(flows);
        complaint = worker.complaint(flows);
        if (worker.lookups() != flows) complaint += " not every packet was looked up";
        flows_read_back = worker.flows();
        drops = worker.drops();
        thp_mib = huge_mib();
        return run;
    };
    const auto ours = [&] { return worker_run(0); };
    const auto watched = [&] { return worker_run(kWatchedPerSecond); };
    const auto theirs = [&] {
        dp::MemorySource source{config};
        AclForwarder forwarder{**acl, rules, source};
        const Stopwatch watch;
        forwarder.run(flows);
        const Run run = watch.stop(flows);
        if (forwarder.refused() != 0) complaint = "the peer refused packets";
        return run;
    };
    const auto alone = [&] {
        dp::MemorySource source{config};
        const Stopwatch watch;
        run_alone(source, flows);
        return watch.stop(flows);
    };
    const auto runs = take_turns(o.runs, {ours, theirs, alone, watched}, [&] { return complaint.empty(); });
    if (!complaint.empty()) return failed(complaint);
    Result result{"new-flows", o.sw_csum ? "sw-csum" : "marked-good", static_cast<double>(machine.tsc.hz)};
    result.param("flows", flows).param("rules", o.rules).param("frame_bytes", 64).param("seed", o.seed);
    result.ours(runs[0]).against("rte_acl+parse+forward", runs[1]).net_of(runs[2]);
    add_watched_cost(result, runs[0], runs[3]);
    result.count("flows_read_back", flows_read_back)
        .count("drops", drops)
        .number("thp_mib", thp_mib)
        .number("build_s", tables.compile_s())
        .number("peer_build_s", (*acl)->build_s())
        .text("peer_method", (*acl)->method());
    if (o.stages) {
        dp::MemorySource source{config};
        RealWorker worker{source, flows, tables.rule_slots(), machine.tsc};
        worker.publish(tables);
        add_stages(result, worker, flows);
    }
    std::printf("%s\n", result.json().c_str());
    return 0;
}

}  // namespace sluice::bench
