/// Floods, as fast as the worker takes them. `syn-flood`: live connections and some that come and go, and ten SYNs that
/// nobody will answer for each one that somebody means, all to services that the policy allows: how much of what is
/// meant still passes, and what a packet costs then; against the same traffic without the flood (CASES Q9).
/// `arbitrary-headers`: nothing but SYNs from and to anywhere, no two alike, against a policy that allows few of them;
/// against as many with the same thousand headers over and over: no two alike may cost no more (CASES X6).
#include <cstdio>
#include <memory>

#include "dataplane/port/conversation.hpp"
#include "tests/bench/options.hpp"
#include "tests/bench/rig/flood_source.hpp"
#include "tests/bench/rig/measure.hpp"
#include "tests/bench/rig/mixed_source.hpp"
#include "tests/bench/rig/real_worker.hpp"
#include "tests/bench/rig/rules.hpp"

namespace sluice::bench {

namespace {

constexpr std::uint8_t kTcp = 6;
constexpr std::uint32_t kHalfOpenPercent = 25;  ///< as the product's default
constexpr std::uint32_t kShortLivedAtATime = 16'384;
constexpr std::uint32_t kClosingMs = 2'000;
constexpr double kNewFlows = 0.01;  ///< of the packets that are meant
constexpr double kFloodFactor = 10;
constexpr std::uint64_t kFewHeaders = 1'024;

/// Live connections and some that come and go; with or without a flood.
struct Lane {
    Lane(const dp::MemorySourceConfig& live, const dp::MemorySourceConfig& lives, const FloodConfig& attack,
         double flood_share)
        : live_ones{live},
          short_lived{lives},
          flood{attack},
          meant{short_lived, live_ones, kNewFlows * dp::kLifeSteps},
          all{flood, meant, flood_share} {}
    dp::MemorySource live_ones, short_lived;
    FloodSource flood;
    MixedSource meant, all;
};

std::uint64_t drops_of(const RealWorker& worker, abi::DropReason reason) {
    std::uint64_t sum = 0;
    for (const abi::PortCounters& port : worker.counters().ports)
        sum += port.drops[static_cast<std::size_t>(reason)].read();
    return sum;
}

/// That the worker dropped for whatever reason but this one: no room for a new flow, which is a SYN's end.
std::uint64_t packets_lost(const RealWorker& worker) {
    return worker.drops() - drops_of(worker, abi::DropReason::flow_table_full);
}

int syn_flood(const Options& o, const Machine& machine) {
    const std::uint32_t flows = whole_flows(o.flows);
    const auto rules = made_rules(o.rules, kTcp);
    const auto targets = targets_of(rules);
    if (targets.size() < 3) return failed("three rules are needed");
    const std::size_t third = targets.size() / 3;
    const std::span<const dp::FlowTarget> all{targets};
    if (flows > std::uint64_t{third} * dp::MemorySource::kPerTargetMax) return failed("more flows than tuples");
    cp::Policy policy = policy_of(rules);
    policy.timeouts.tcp_closing_ms = kClosingMs;
    policy.timeouts.tcp_opening_ms = 120'000;
    const auto tables = Tables::make(policy, 1);
    if (!tables) return failed(tables.error());

    const dp::MemorySourceConfig live{.pool = machine.pool,
                                      .conversation = dp::Conversation::tcp,
                                      .flow_count = flows,
                                      .targets = all.first(third),
                                      .seed = o.seed};
    dp::MemorySourceConfig lives = live;
    lives.conversation = dp::Conversation::lives;
    lives.flow_count = kShortLivedAtATime;
    lives.targets = all.subspan(third, third);
    const FloodConfig attack{.pool = machine.pool, .targets = all.subspan(2 * third), .seed = o.seed};
    // One in so many of the meant packets begins a connection; ten SYNs of the flood for each of these.
    const double flood_each = kFloodFactor * kNewFlows;
    Lane flooded{live, lives, attack, flood_each / (1 + flood_each)}, calm{live, lives, attack, 0};
    // Room for what is meant, and for half-open ones by their share: memory does not grow with the flood.
    const std::uint32_t entries = (flows + (1U << 21)) * 2;
    const WorkerSetup setup{.half_open_percent = kHalfOpenPercent};
    RealWorker worker{flooded.all, entries, (*tables)->rule_slots(), machine.tsc, setup};
    RealWorker control{calm.all, entries, (*tables)->rule_slots(), machine.tsc, setup};
    worker.publish(**tables);
    control.publish(**tables);
    worker.run(4 * dp::kHandshakeRounds * std::uint64_t{flows});
    control.run(4 * dp::kHandshakeRounds * std::uint64_t{flows});
    // Until as many of the short-lived end as begin.
    constexpr auto meant_until_steady = static_cast<std::uint64_t>(kShortLivedAtATime / kNewFlows);
    worker.run(static_cast<std::uint64_t>(meant_until_steady * (1 + flood_each)));
    control.run(meant_until_steady);

    const auto timed = [&](RealWorker& who, Lane& lane) {
        const std::uint64_t before = lane.meant.made();
        const Stopwatch watch;
        who.run(o.count);
        return watch.stop(lane.meant.made() - before);
    };
    const std::uint64_t meant_before = flooded.meant.made(), flood_before = flooded.flood.made();
    const std::uint64_t lost_before = packets_lost(worker), begun_before = flooded.short_lived.begun();
    std::string complaint;
    const auto runs =
        take_turns(o.runs, {[&] { return timed(worker, flooded); }, [&] { return timed(control, calm); }}, [&] {
            complaint = control.complaint(control.flows());
            return complaint.empty();
        });
    if (!complaint.empty()) return failed("without the flood: " + complaint);
    const std::uint64_t meant = flooded.meant.made() - meant_before, lost = packets_lost(worker) - lost_before;
    Result result{"flood", "syn-flood", static_cast<double>(machine.tsc.hz)};
    result.param("flows", flows).param("rules", o.rules).param("packets", o.count).param("seed", o.seed);
    // Meant packets by CPU time: what is left of the rate when the worker has nothing else to spare.
    result.ours(runs[0]).against("without the flood", runs[1]);
    result.number("goodput_percent", 100 * (1 - static_cast<double>(lost) / static_cast<double>(meant)))
        .count("meant_packets", meant)
        .count("meant_lost", lost)
        .count("meant_connections", flooded.short_lived.begun() - begun_before)
        .count("flood_packets", flooded.flood.made() - flood_before)
        .count("half_open_evicted", worker.counters().syn_early_drop.read())
        .count("new_flows_refused", drops_of(worker, abi::DropReason::flow_table_full))
        .count("flows_read_back", worker.flows());
    std::printf("%s\n", result.json().c_str());
    return 0;
}

int arbitrary_headers(const Options& o, const Machine& machine) {
    const auto rules = made_rules(o.rules, kTcp);
    const auto tables = Tables::make(policy_of(rules), 1);
    if (!tables) return failed(tables.error());
    FloodSource all{{.pool = machine.pool, .seed = o.seed}};
    FloodSource few{{.pool = machine.pool, .distinct = kFewHeaders, .seed = o.seed}};
    FloodSource bare{{.pool = machine.pool, .seed = o.seed}};
    RealWorker worker{all, 1U << 16, (*tables)->rule_slots(), machine.tsc};
    RealWorker control{few, 1U << 16, (*tables)->rule_slots(), machine.tsc};
    worker.publish(**tables);
    control.publish(**tables);
    const auto timed = [&](FloodSource& source, auto&& run) {
        const std::uint64_t before = source.made();
        const Stopwatch watch;
        run();
        return watch.stop(source.made() - before);
    };
    std::string complaint;
    const auto runs =
        take_turns(o.runs,
                   {[&] { return timed(all, [&] { worker.run(o.count); }); },
                    [&] { return timed(few, [&] { control.run(o.count); }); },
                    [&] { return timed(bare, [&] { run_alone(bare, o.count); }); }},
                   [&] {
                       for (const RealWorker* who : {&worker, &control}) {
                           if (who->drops() != drops_of(*who, abi::DropReason::policy_deny) || who->flows() != 0)
                               complaint = "not every packet was denied";
                       }
                       return complaint.empty();
                   });
    if (!complaint.empty()) return failed(complaint);
    Result result{"flood", "arbitrary-headers", static_cast<double>(machine.tsc.hz)};
    result.param("rules", o.rules).param("packets", o.count).param("seed", o.seed);
    result.ours(runs[0]).against("a thousand headers", runs[1]).net_of(runs[2]);
    result.count("denied", worker.drops());
    std::printf("%s\n", result.json().c_str());
    return 0;
}

}  // namespace

int bench_flood(const Options& o, const Machine& machine) {
    if (const int code = syn_flood(o, machine); code != 0) return code;
    return arbitrary_headers(o, machine);
}

}  // namespace sluice::bench
