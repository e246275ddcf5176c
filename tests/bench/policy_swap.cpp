/// What a worker loses while ten generations a second are published to it, each with ten rules of N changed, compared
/// with the one before as the control plane does: the flows of those rules are judged anew, all others are only looked
/// at (`rejudge` is the bench of the whole table). Against a control run of the same worker without publishes.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <thread>

#include "dataplane/port/conversation.hpp"
#include "tests/bench/options.hpp"
#include "tests/bench/rig/measure.hpp"
#include "tests/bench/rig/real_worker.hpp"
#include "tests/bench/rig/rules.hpp"
#include "tests/bench/scene.hpp"

namespace sluice::bench {

namespace {

constexpr std::uint8_t kTcp = 6;
constexpr std::size_t kChangedRules = 10;
constexpr auto kPeriod = std::chrono::milliseconds{100};
constexpr std::uint64_t kLateNs = 50'000;

/// Another service in ten rules: nobody's flow loses its permission.
std::vector<FilterRule> changed(std::vector<FilterRule> rules) {
    for (std::size_t i = 0; i < std::min(kChangedRules, rules.size()); ++i) {
        const std::uint16_t port = 65'000;
        rules[i * rules.size() / kChangedRules % rules.size()].services.push_back(
            {.proto = kTcp, .first = port, .last = port});
    }
    return rules;
}

/// The manager's part, on a thread of its own: validates and publishes one of two policies in turns, the first at once.
class Publisher {
public:
    Publisher(RealWorker& worker, const Tables& first, const Tables& second)
        : thread_{[this, &worker, &first, &second] {
              auto next = std::chrono::steady_clock::now();
              do {
                  const Tables& tables = published_ % 2 == 0 ? first : second;
                  if (!tables.validate_again()) invalid_ = true;
                  worker.publish(tables);
                  ++published_;
                  next += kPeriod;
                  while (!stop_ && std::chrono::steady_clock::now() < next) {
                      std::this_thread::sleep_for(std::chrono::milliseconds{1});
                  }
              } while (!stop_);
          }} {}
    /// Ends it; returns how many were published, 0 if one was not valid.
    std::uint64_t stop() {
        stop_ = true;
        thread_.join();
        return invalid_ ? 0 : published_;
    }

private:
    std::atomic<bool> stop_{false};
    bool invalid_{};
    std::uint64_t published_{};
    std::thread thread_;  // last: it uses the others
};

}  // namespace

int bench_policy_swap(const Options& o, const Machine& machine) {
    const auto scene = Scene::make(o, kTcp);
    if (!scene) return failed(scene.error());
    const std::uint32_t flows = scene->flows;
    const Tables& first = *scene->tables;
    const auto second = Tables::make(policy_of(changed(scene->rules)), 2, &first);
    if (!second) return failed(second.error());
    const auto back = Tables::make(policy_of(scene->rules), 1, second->get());  // `first` again, behind `second`
    if (!back) return failed(back.error());
    dp::MemorySource source{scene->source(o, machine, dp::Conversation::tcp)};
    RealWorker worker{source, flows, first.rule_slots(), machine.tsc};
    worker.publish(first);
    worker.run(dp::kHandshakeRounds * std::uint64_t{flows});

    const dp::TscSpan limit{machine.tsc.hz / 1'000'000 * (kLateNs / 1'000)};
    std::string complaint;
    std::uint64_t publishes = 0, rejudged = 0;
    std::vector<double> late_with, late_without;
    const auto run = [&](std::vector<double>& late) {
        const std::uint64_t before = source.made();
        const Stopwatch watch;
        const std::uint64_t count = worker.run_watched(o.count, limit);
        const Run timed = watch.stop(source.made() - before);
        late.push_back(static_cast<double>(count) / timed.wall_s);
        return timed;
    };
    const auto with = [&] {
        const std::uint64_t before = worker.flows_rejudged();
        Publisher publisher{worker, **second, **back};
        const Run timed = run(late_with);
        const std::uint64_t published = publisher.stop();
        if (published == 0) complaint = "a generation was refused";
        if (published % 2 != 0) worker.publish(**back);  // the next turn begins as this one did
        publishes += published;
        worker.run(flows);  // what was published last is judged here, not in the control run
        rejudged += worker.flows_rejudged() - before;
        if (!worker.adopted()) complaint = "the worker holds old tables";
        return timed;
    };
    const auto runs = take_turns(o.runs, {with, [&] { return run(late_without); }}, [&] {
        if (complaint.empty()) complaint = worker.complaint(flows);
        return complaint.empty();
    });
    if (!complaint.empty()) return failed(complaint);
    Result result{"policy-swap", "10-a-second", static_cast<double>(machine.tsc.hz)};
    result.param("flows", flows)
        .param("rules", o.rules)
        .param("changed", kChangedRules)
        .param("packets", o.count)
        .param("seed", o.seed);
    result.ours(runs[0]).against("control run", runs[1]);
    const double kept = median(ratios(each(runs[0], mega_per_second), each(runs[1], mega_per_second)));
    result.number("rate_lost_percent", 100 * (1 - kept))
        .count("publishes", publishes)
        .count("flows_rejudged", rejudged)
        .number("late_per_s", median(late_with))
        .number("peer_late_per_s", median(late_without))
        .count("flows_read_back", worker.flows())
        .count("drops", worker.drops());
    std::printf("%s\n", result.json().c_str());
    return 0;
}

}  // namespace sluice::bench
