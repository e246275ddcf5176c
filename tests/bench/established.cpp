/// Packets of live TCP flows through the whole worker, against rte_acl with parse and forward on the same source.
#include <cstdio>

#include "dataplane/port/conversation.hpp"
#include "tests/bench/acl_peer.hpp"
#include "tests/bench/options.hpp"
#include "tests/bench/rig/measure.hpp"
#include "tests/bench/rig/real_worker.hpp"
#include "tests/bench/rig/rules.hpp"
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
    dp::MemorySource ours{config}, theirs{config}, alone{config};
    RealWorker worker{ours, flows, tables.rule_slots(), machine.tsc};
    AclForwarder forwarder{**acl, rules, theirs};
    worker.publish(tables);
    // The handshakes are not what is measured here; the peer and the source alone go through them as well, so that all
    // three have the same packets to make.
    const std::uint64_t handshakes = dp::kHandshakeRounds * std::uint64_t{flows};
    worker.run(handshakes);
    forwarder.run(handshakes);
    run_alone(alone, handshakes);
    if (const auto what = worker.complaint(flows); !what.empty()) return failed("after the handshakes: " + what);

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
            complaint = worker.complaint(flows);
            if (forwarder.refused() != 0) complaint += " the peer refused packets";
            return complaint.empty();
        });
    if (!complaint.empty()) return failed(complaint);
    Result result{"established", o.sw_csum ? "sw-csum" : "marked-good", static_cast<double>(machine.tsc.hz)};
    result.param("flows", flows)
        .param("rules", o.rules)
        .param("packets", o.count)
        .param("frame_bytes", 64)
        .param("seed", o.seed);
    result.ours(runs[0]).against("rte_acl+parse+forward", runs[1]).net_of(runs[2]);
    result.count("flows_read_back", worker.flows())
        .count("drops", worker.drops())
        .number("thp_mib", huge_mib())
        .text("peer_method", (*acl)->method());
    // Timed by the wall and with a clock read per stage: a part of the whole, to see where the cycles go.
    if (o.stages) {
        const auto cycles = worker.run_by_stage(o.count);
        for (std::size_t s = 0; s < cycles.size(); ++s) {
            result.number("stage_" + std::string{dp::kStageNames[s]},
                          static_cast<double>(cycles[s]) / static_cast<double>(o.count));
        }
        if (const auto what = worker.complaint(flows); !what.empty()) return failed(what);
    }
    std::printf("%s\n", result.json().c_str());
    return 0;
}

}  // namespace sluice::bench
