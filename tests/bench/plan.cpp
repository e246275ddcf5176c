/// What `plan` says about packets, timed: random edits of one rule among many, each compared with the policy before it
/// from the start (nothing is kept from one plan to the next), and one whole search for odd rules. Times are of the
/// thread's CPU; the share of edits that end within a second, and those where the comparison gave up, are told.
#include <algorithm>
#include <random>
#include <string>
#include <vector>

#include "controlplane/analysis/findings.hpp"
#include "controlplane/analysis/semantic_diff.hpp"
#include "tests/bench/asked_rules.hpp"
#include "tests/bench/options.hpp"
#include "tests/bench/recorded.hpp"
#include "tests/bench/rig/measure.hpp"
#include "tests/bench/rig/rules.hpp"

namespace sluice::bench {

namespace {

constexpr std::uint8_t kTcp = 6;

/// One change as people make it, of a rule drawn at random.
void edit(cp::Policy& policy, std::mt19937_64& random) {
    auto& rules = policy.rules;
    const auto pick = [&] { return rules.begin() + static_cast<std::ptrdiff_t>(random() % rules.size()); };
    const auto at = pick(), other = pick();
    switch (random() % 6) {
        case 0: rules.erase(at); break;
        case 1: {
            cp::Rule fresh = *other;
            fresh.id = "fresh-" + std::to_string(random());
            fresh.from = at->from;
            rules.insert(at, std::move(fresh));
            break;
        }
        case 2: {
            cp::Rule moved = std::move(*at);
            rules.erase(at);
            rules.insert(pick(), std::move(moved));
            break;
        }
        case 3: at->action = at->action == cp::Action::allow ? cp::Action::deny : cp::Action::allow; break;
        case 4: at->service = other->service; break;
        default: at->to.push_back(other->to.front()); break;
    }
}

struct Tally {
    std::vector<Run> runs;
    std::vector<double> cpu_ms, wall_ms;
    std::uint64_t gave_up{}, boxes{}, slow{}, bytes{};
};

void diff_once(const cp::Policy& before, const cp::Policy& after, Tally& tally) {
    const Stopwatch watch;
    const cp::EntryPlaces places{&before, after, nullptr};
    const cp::RuleBoxes rules{&before, after, places};
    const cp::SemanticDiff diff = cp::semantic_diff(before, after, rules);
    const Run run = watch.stop(1);
    tally.runs.push_back(run);
    tally.cpu_ms.push_back(run.cpu_s * 1e3);
    tally.wall_ms.push_back(run.wall_s * 1e3);
    tally.gave_up += diff.verdicts_complete() ? 0 : 1;
    tally.slow += run.cpu_s > 1 ? 1 : 0;
    tally.boxes += diff.boxes.size();
    tally.bytes = rules.bytes();
}

double at_share(std::vector<double> values, double share) {
    std::sort(values.begin(), values.end());
    return values[static_cast<std::size_t>(share * static_cast<double>(values.size() - 1))];
}

}  // namespace

int bench_plan(const Options& options, const Machine& machine) {
    const auto made = asked_rules(options, kTcp);
    if (!made) return failed(made.error());
    const cp::Policy before = policy_of(*made);
    std::mt19937_64 random{options.seed};
    Tally tally;
    for (std::uint64_t n = 0; n < options.count; ++n) {
        cp::Policy after = before;
        edit(after, random);
        diff_once(before, after, tally);
    }
    const Stopwatch watch;
    const cp::EntryPlaces places{nullptr, before, nullptr};
    const cp::RuleBoxes rules{nullptr, before, places};
    const double build_ms = watch.stop(1).cpu_s * 1e3;
    const cp::Findings findings = cp::find_oddities(before, rules, {});
    const double findings_ms = watch.stop(1).cpu_s * 1e3 - build_ms;

    Result result{"plan", "one-rule", static_cast<double>(machine.tsc.hz)};
    result.param("rules", before.rules.size()).param("edits", options.count).param("seed", options.seed);
    result.param("filters", asked_rules_name(options));
    result.ours(tally.runs)
        .number("p50_ms", at_share(tally.cpu_ms, 0.5))
        .number("p99_ms", at_share(tally.cpu_ms, 0.99))
        .number("max_ms", at_share(tally.cpu_ms, 1))
        .number("wall_p99_ms", at_share(tally.wall_ms, 0.99))
        .count("over_a_second", tally.slow)
        .count("gave_up", tally.gave_up)
        .count("boxes", tally.boxes)
        .number("memory_mib", static_cast<double>(tally.bytes) / (1 << 20))
        .number("build_ms", build_ms)
        .number("findings_ms", findings_ms)
        .count("rules_unexamined", findings.unexamined)
        .count("rules_unpaired", findings.unpaired);
    for (std::size_t kind = 0; kind < cp::kFindingKindCount; ++kind)
        result.count(cp::to_string(static_cast<cp::FindingKind>(kind)), findings.counts[kind]);
    std::printf("%s\n", result.json().c_str());
    cp::Policy after = before;
    for (int n = 0; n < 10; ++n) edit(after, random);
    return bench_recorded_flows(options, machine, before, after);
}

}  // namespace sluice::bench
