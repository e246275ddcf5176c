/// From a PATCH of one rule among many, and from a PUT of them all, to its adoption: policy service, store, compiler,
/// tables socket and manager in one process, with real memfds, validation and fsyncs; only packets are missing. Each
/// edit is drawn at random as people make them: other services, another address, another action, a rule more, a rule
/// less.
#include <pthread.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <random>
#include <string>
#include <vector>

#include "dataplane/manager/flow_dumps.hpp"
#include "tests/bench/asked_rules.hpp"
#include "tests/bench/control_side.hpp"
#include "tests/bench/options.hpp"
#include "tests/bench/policy_text.hpp"
#include "tests/bench/rig/measure.hpp"

namespace sluice::bench {

namespace {

constexpr std::uint8_t kTcp = 6;

constexpr std::size_t kManyRules = 20'000;

/// The nearest rank: so many of the values are not above it.
double at_share(std::vector<double> values, double share) {
    std::sort(values.begin(), values.end());
    const auto rank = static_cast<std::size_t>(std::ceil(share * static_cast<double>(values.size())));
    return values[std::max<std::size_t>(rank, 1) - 1];
}

/// Edits that each change the policy as it is after those before.
class Edits {
public:
    Edits(std::vector<FilterRule> rules, std::uint64_t seed)
        : rules_{std::move(rules)}, next_id_{rules_.size()}, random_{seed} {}

    std::string next() {
        ++turn_;
        const std::size_t at = random_() % rules_.size();
        FilterRule& rule = rules_[at];
        switch (random_() % 5) {
            case 0: rule.deny = !rule.deny; break;
            case 1: take_another_source(rule); break;
            case 2:
                rule.dst = {static_cast<std::uint32_t>(random_()), 32};
                rule.dst_set = nullptr;
                break;
            case 3: return inserted(at);
            default:
                if (!rule.services.front().any_proto) return "[" + replace_json(rule, at, port()) + "]";
                rule.deny = !rule.deny;  // a service more would say nothing
                break;
        }
        return "[" + replace_json(rule, at, rule.services.front().any_proto ? "" : port()) + "]";
    }

private:
    /// Many rules have the same one.
    void take_another_source(FilterRule& rule) {
        const auto was = rule.src;
        rule.src_set = nullptr;
        while (rule.src.addr == was.addr && rule.src.bits == was.bits) rule.src = rules_[random_() % rules_.size()].src;
    }

    /// Never the same twice, so that every edit changes something.
    std::string port() const { return R"(, "tcp/)" + std::to_string(1'024 + turn_ % 60'000) + "\""; }

    /// Once in two, what was inserted before goes.
    std::string inserted(std::size_t at) {
        if (!fresh_.empty() && random_() % 2 == 0) {
            const std::string id = fresh_.back();
            fresh_.pop_back();
            return R"([{"op": "remove", "id": ")" + id + "\"}]";
        }
        const std::size_t id = next_id_++;
        fresh_.push_back("r" + std::to_string(id));
        return R"([{"op": "insert", "before": "r)" + std::to_string(at) + R"(", "rule": )" +
               rule_json(rules_[random_() % rules_.size()], id, "") + "}]";
    }

    std::vector<FilterRule> rules_;
    std::vector<std::string> fresh_;
    std::size_t next_id_;
    std::uint64_t turn_{};
    std::mt19937_64 random_;
};

}  // namespace

int bench_patch(const Options& options, const Machine& machine) {
    const auto rules = asked_rules(options, kTcp);
    if (!rules) return failed(rules.error());
    // No worker here: what a commit does on a thread of its own finds a CPU, as it does in the product.
    cpu_set_t every_cpu = machine.others;
    CPU_SET(options.cpu, &every_cpu);
    (void)::pthread_setaffinity_np(::pthread_self(), sizeof every_cpu, &every_cpu);
    // Room for what edits insert.
    DataplaneMemory memory{static_cast<std::uint32_t>(rules->size() + options.count + 64)};
    dp::FlowDumpMailbox mailbox;
    auto control = ControlSide::start(memory, mailbox);
    if (!control) return failed(control.error());
    const Stopwatch put_watch;
    if (auto ok = (*control)->put(policy_json(*rules)); !ok) return failed(ok.error());
    const double put_ms = put_watch.stop(1).wall_s * 1e3;

    // Each is another policy by one rule, sent whole; the first, which found an empty dataplane, is told alone.
    const std::uint64_t put_count = rules->size() > kManyRules ? 5 : 50;
    std::vector<double> put_again_ms;
    auto other = *rules;
    for (std::uint64_t n = 0; n < put_count; ++n) {
        FilterRule& changed = other[n % other.size()];
        changed.deny = !changed.deny;
        const std::string text = policy_json(other);
        const Stopwatch watch;
        if (auto ok = (*control)->put(text); !ok) return failed(ok.error());
        put_again_ms.push_back(watch.stop(1).wall_s * 1e3);
    }

    Edits edits{std::move(other), options.seed};
    std::vector<Run> runs;
    std::vector<double> wall_ms;
    for (std::uint64_t n = 0; n < options.count; ++n) {
        const std::string edit = edits.next();
        const Stopwatch watch;
        if (auto ok = (*control)->patch(edit); !ok) return failed(ok.error() + "; the edit is " + edit);
        runs.push_back(watch.stop(1));
        wall_ms.push_back(runs.back().wall_s * 1e3);
    }
    std::vector<double> cpu_ms;
    for (const Run& run : runs) cpu_ms.push_back(run.cpu_s * 1e3);
    Result result{"patch", "one-rule", static_cast<double>(machine.tsc.hz)};
    result.param("rules", rules->size()).param("edits", options.count).param("seed", options.seed);
    result.param("filters", asked_rules_name(options));
    result.ours(runs)
        .number("first_ms", wall_ms.front())
        .number("p50_ms", at_share(wall_ms, 0.5))
        .number("p99_ms", at_share(wall_ms, 0.99))
        .number("max_ms", at_share(wall_ms, 1))
        .number("cpu_p50_ms", at_share(cpu_ms, 0.5))
        .number("put_ms", put_ms)
        .count("puts", put_count)
        .number("put_p50_ms", at_share(put_again_ms, 0.5))
        .number("put_p99_ms", at_share(put_again_ms, 0.99));
    std::printf("%s\n", result.json().c_str());
    return 0;
}

}  // namespace sluice::bench
