/// What a switch costs that concerns every live flow: how long until all are judged again, and what the worker forwards
/// meanwhile, against a control run of the same worker without a switch.
#include <cstdio>

#include "dataplane/port/conversation.hpp"
#include "tests/bench/options.hpp"
#include "tests/bench/rig/measure.hpp"
#include "tests/bench/rig/real_worker.hpp"
#include "tests/bench/rig/rules.hpp"

namespace sluice::bench {

namespace {
constexpr std::uint8_t kTcp = 6;
}  // namespace

int bench_rejudge(const Options& o, const Machine& machine) {
    const std::uint32_t flows = whole_flows(o.flows);
    const auto rules = made_rules(o.rules, kTcp);
    const auto targets = targets_of(rules);
    if (flows > std::uint64_t{targets.size()} * dp::MemorySource::kPerTargetMax)
        return failed("more flows than tuples");
    const auto tables = Tables::make(policy_of(rules), 1);
    if (!tables) return failed(tables.error());
    dp::MemorySource source{{.pool = machine.pool,
                             .conversation = dp::Conversation::tcp,
                             .flow_count = flows,
                             .targets = targets,
                             .marked_good = !o.sw_csum,
                             .seed = o.seed}};
    RealWorker worker{source, flows, (*tables)->rule_slots(), machine.tsc};
    worker.publish(**tables);
    worker.run(dp::kHandshakeRounds * std::uint64_t{flows});

    std::vector<double> seconds, worst;
    std::uint64_t packets = o.count;
    const auto with = [&] {
        const std::uint64_t before = source.made();
        const Stopwatch watch;
        // The same tables as another generation, compared with none: every flow is concerned.
        worker.publish(**tables);
        worst.push_back(worker.run_until_rejudged({machine.tsc.hz / 10}, static_cast<double>(machine.tsc.hz)));
        packets = source.made() - before;
        const Run timed = watch.stop(packets);
        seconds.push_back(timed.wall_s);
        return timed;
    };
    const auto without = [&] {
        const std::uint64_t before = source.made();
        const Stopwatch watch;
        worker.run(packets);
        return watch.stop(source.made() - before);
    };
    std::string complaint;
    const auto runs = take_turns(o.runs, {with, without}, [&] {
        complaint = worker.complaint(flows);
        return complaint.empty();
    });
    if (!complaint.empty()) return failed(complaint);
    // The worst 100 ms of each turn against what its control run did by the wall.
    std::vector<double> worst_kept;
    for (std::size_t i = 0; i < runs[1].size(); ++i) {
        worst_kept.push_back(worst[i + 1] / 1e6 / mega_per_second_wall(runs[1][i]));  // the first turn is not kept
    }
    Result result{"rejudge", "every-flow", static_cast<double>(machine.tsc.hz)};
    result.param("flows", flows).param("rules", o.rules).param("seed", o.seed);
    result.ours(runs[0]).against("control run", runs[1]);
    const double kept = median(ratios(each(runs[0], mega_per_second), each(runs[1], mega_per_second)));
    result.number("seconds", median(seconds))
        .number("rate_kept_percent", 100 * kept)
        .number("worst_100ms_kept_percent", 100 * median(worst_kept))
        .count("flows_read_back", worker.flows())
        .count("drops", worker.drops());
    std::printf("%s\n", result.json().c_str());
    return 0;
}

}  // namespace sluice::bench
