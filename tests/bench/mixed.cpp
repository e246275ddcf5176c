/// Traffic as a line has it: frames of 64, 594 and 1,518 bytes as 7 : 4 : 1, and one packet in twenty begins a
/// connection. Two sources make it: connections that come and go (eight packets of 64 bytes each), and live ones with
/// frames of all sizes. The peer classifies and forwards the same packets and keeps no flow.
#include <array>
#include <cstdio>

#include "dataplane/port/conversation.hpp"
#include "tests/bench/acl_peer.hpp"
#include "tests/bench/options.hpp"
#include "tests/bench/rig/measure.hpp"
#include "tests/bench/rig/mixed_source.hpp"
#include "tests/bench/rig/real_worker.hpp"
#include "tests/bench/rig/rules.hpp"
#include "tests/bench/rig/traces.hpp"
#include "tests/bench/scene.hpp"

namespace sluice::bench {

namespace {

constexpr std::uint8_t kTcp = 6;
constexpr double kNewFlows = 0.05;
/// Of all packets: those of connections that come and go, of whose packets every eighth is a first one.
constexpr double kShortLived = kNewFlows * dp::kLifeSteps;
constexpr std::uint32_t kShortLivedAtATime = 16'384;
constexpr std::uint32_t kClosingMs = 2'000;
constexpr std::uint32_t kRoomForShortLived = 1U << 22;

/// Without the frame check sequence, by flow. Of 36 flows 11, 20 and 5: with the 40 % of short-lived packets, all of
/// which are small, that makes 7 : 4 : 1 of the whole.
constexpr std::array<std::uint16_t, 36> kFrames = [] {
    std::array<std::uint16_t, 36> frames{};
    for (std::size_t i = 0; i < frames.size(); ++i)
        frames[i * 7 % 36] = static_cast<std::uint16_t>(i < 11 ? 60 : i < 31 ? 590 : 1514);
    return frames;
}();

/// The same traffic for each lane.
struct Traffic {
    Traffic(const dp::MemorySourceConfig& live, const dp::MemorySourceConfig& lives)
        : live_ones{live}, short_lived{lives}, all{short_lived, live_ones, kShortLived} {}
    /// Until the live ones have shaken hands. Nobody is mixed in meanwhile.
    template <typename Go>
    void warm_up(std::uint64_t flows, const Go& go) {
        go(dp::kHandshakeRounds * flows * 10 / 6);
    }
    dp::MemorySource live_ones, short_lived;
    MixedSource all;
};

}  // namespace

int bench_mixed(const Options& o, const Machine& machine) {
    const std::uint32_t flows = whole_flows(o.flows);
    const auto rules = made_rules(o.rules, kTcp);
    std::array<std::vector<dp::FlowTarget>, 2> targets;  // no flow of one source is the other's
    for (const dp::FlowTarget& t : targets_of(rules))
        targets[targets[0].size() <= targets[1].size() ? 0 : 1].push_back(t);
    if (o.rules < 2 || flows > std::uint64_t{targets[0].size()} * dp::MemorySource::kPerTargetMax)
        return failed("more flows than tuples");
    cp::Policy policy = policy_of(rules);
    policy.timeouts.tcp_closing_ms = kClosingMs;
    const auto tables = Tables::make(policy, 1);
    if (!tables) return failed(tables.error());
    const auto acl = RteAcl::build(rules, random_trace(rules, 8192, o.seed), false);
    if (!acl) return failed(acl.error());

    dp::MemorySourceConfig live{.pool = machine.pool,
                                .conversation = dp::Conversation::tcp,
                                .flow_count = flows,
                                .targets = targets[0],
                                .frame_bytes = kFrames,
                                .marked_good = !o.sw_csum,
                                .seed = o.seed};
    dp::MemorySourceConfig lives = live;
    lives.conversation = dp::Conversation::lives;
    lives.flow_count = kShortLivedAtATime;
    lives.targets = targets[1];
    lives.frame_bytes = {};
    Traffic ours{live, lives}, theirs{live, lives}, alone{live, lives};
    RealWorker worker{ours.all, flows + kRoomForShortLived, (*tables)->rule_slots(), machine.tsc};
    worker.publish(**tables);
    AclForwarder peer{**acl, rules, theirs.all};
    ours.warm_up(flows, [&](std::uint64_t n) { worker.run(n); });
    theirs.warm_up(flows, [&](std::uint64_t n) { peer.run(n); });
    alone.warm_up(flows, [&](std::uint64_t n) { run_alone(alone.all, n); });

    std::uint64_t begun = 0, packets = 0;
    const auto timed = [&](Traffic& traffic, auto&& run) {
        const std::uint64_t before = traffic.all.made(), begun_before = traffic.short_lived.begun();
        const Stopwatch watch;
        run(o.count);
        const Run done = watch.stop(traffic.all.made() - before);
        if (&traffic == &ours) begun += traffic.short_lived.begun() - begun_before, packets += done.count;
        return done;
    };
    std::string complaint;
    const auto runs = take_turns(o.runs,
                                 {[&] { return timed(ours, [&](std::uint64_t n) { worker.run(n); }); },
                                  [&] { return timed(theirs, [&](std::uint64_t n) { peer.run(n); }); },
                                  [&] { return timed(alone, [&](std::uint64_t n) { run_alone(alone.all, n); }); }},
                                 [&] {
                                     complaint = worker.complaint(worker.flows());
                                     if (worker.flows_created() != flows + ours.short_lived.begun())
                                         complaint += " not every SYN made a flow of its own";
                                     if (peer.refused() != 0) complaint += " the peer refused packets";
                                     return complaint.empty();
                                 });
    if (!complaint.empty()) return failed(complaint);
    Result result{"mixed", o.sw_csum ? "sw-csum" : "marked-good", static_cast<double>(machine.tsc.hz)};
    result.param("flows", flows).param("rules", o.rules).param("packets", o.count).param("frames", "IMIX 7:4:1");
    result.param("seed", o.seed);
    result.ours(runs[0]).against("rte_acl+parse+forward", runs[1]).net_of(runs[2]);
    constexpr double kMeanFrameBytes = (7 * 64 + 4 * 594 + 1518) / 12.0;
    result.number("new_flows_percent", 100 * static_cast<double>(begun) / static_cast<double>(packets))
        .number("gbit_s", median(each(runs[0], mega_per_second)) * kMeanFrameBytes * 8e-3)
        .count("flows_created", worker.flows_created())
        .count("drops", worker.drops())
        .text("peer_method", (*acl)->method());
    if (o.stages) add_stages(result, worker, o.count);
    std::printf("%s\n", result.json().c_str());
    return 0;
}

}  // namespace sluice::bench
