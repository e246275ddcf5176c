#include "tests/bench/contest.hpp"

namespace sluice::bench {

Contest::Contest(const dp::MemorySourceConfig& source, const Machine& machine, const Tables& tables,
                 std::uint32_t flow_entries_max, const RteAcl& acl, std::span<const FilterRule> rules)
    : ours_{source},
      theirs_{source},
      alone_{source},
      worker_{ours_, flow_entries_max, tables.rule_slots(), machine.tsc},
      peer_{acl, rules, theirs_} {
    worker_.publish(tables);
}

void Contest::warm_up(std::uint64_t packets) {
    worker_.run(packets);
    peer_.run(packets);
    run_alone(alone_, packets);
}

Expected<std::vector<std::vector<Run>>, std::string> Contest::take_turns(int turns, std::uint64_t packets,
                                                                         const std::function<std::string()>& complaint,
                                                                         std::uint32_t watched_per_second) {
    // A burst may end behind the last packet that was asked for: what counts is what the source made.
    const auto timed = [packets](const dp::MemorySource& source, const auto& work) {
        const std::uint64_t before = source.made();
        const Stopwatch watch;
        work(packets);
        return watch.stop(source.made() - before);
    };
    const auto asked = [&](std::uint32_t per_second) {
        worker_.dump_mailbox().new_flows_per_second.store(per_second, std::memory_order_relaxed);
    };
    std::vector<std::function<Run()>> lanes{
        [&] { return timed(ours_, [&](std::uint64_t n) { worker_.run(n); }); },
        [&] { return timed(theirs_, [&](std::uint64_t n) { peer_.run(n); }); },
        [&] { return timed(alone_, [&](std::uint64_t n) { run_alone(alone_, n); }); },
    };
    if (watched_per_second != 0) {
        lanes.emplace_back([&] {
            asked(watched_per_second);
            const Run run = timed(ours_, [&](std::uint64_t n) { worker_.run(n); });
            asked(0);
            return run;
        });
    }
    std::string wrong;
    auto runs = bench::take_turns(turns, lanes, [&] {
        wrong = complaint();
        if (peer_.refused() != 0) wrong += " the peer refused packets";
        return wrong.empty();
    });
    if (!wrong.empty()) return Unexpected{wrong};
    return runs;
}

}  // namespace sluice::bench
