#include "tests/bench/recorded.hpp"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "controlplane/lifecycle/flow_effect.hpp"
#include "controlplane/lifecycle/policy_service_impl.hpp"
#include "controlplane/records/segment_writer.hpp"
#include "tests/bench/rig/measure.hpp"
#include "tests/harness/policies.hpp"

namespace sluice::bench {
namespace {

constexpr std::uint32_t kPerBlock = 2048, kSources = 5000;

/// Flows from some thousand sources to addresses that rules name, as `log: start` records them.
cp::RingEvent some_flow(std::mt19937_64& random, const cp::Policy& policy, std::uint64_t n) {
    cp::RingEvent e;
    e.time = {1'000'000'000 + n * 1'000};
    e.kind = abi::EventKind::flow_start;
    e.verdict = abi::Verdict::allow;
    e.family = abi::IpFamily::v4;
    e.proto = abi::L4Proto::tcp;
    e.src = abi::IpAddr::of_v4(abi::Ipv4Addr::of_host(0x0a00'0000 + static_cast<std::uint32_t>(random() % kSources)));
    e.dst = abi::IpAddr::of_v4(abi::Ipv4Addr::of_host(static_cast<std::uint32_t>(random())));
    const auto& rule = policy.rules[random() % policy.rules.size()];
    for (const auto& end : rule.to) {
        if (!end.nets.empty() && end.nets.front().family == abi::IpFamily::v4) e.dst = end.nets.front().addr;
    }
    e.sport = abi::L4Port::of_host(static_cast<std::uint16_t>(random()));
    e.dport = abi::L4Port::of_host(static_cast<std::uint16_t>(random() % 1024));
    e.slot = abi::kSlotFirstFree;
    e.from_zone = abi::ZoneId{0};
    e.to_zone = abi::ZoneId{1};
    e.generation = 7;
    e.sequence = n;
    return e;
}

std::shared_ptr<const cp::Names> names_of(const cp::Policy& policy) {
    auto names = std::make_shared<cp::Names>();
    auto rules = std::make_shared<cp::SharedList<std::string>>();
    rules->resize(static_cast<std::size_t>(abi::kSlotFirstFree));
    rules->push_back("some-rule");
    names->rules = std::move(rules);
    std::vector<std::string> zones;
    for (const auto& zone : policy.zones) zones.push_back(zone.name);
    names->zones.emplace_back(7, std::move(zones));
    names->ports = {policy.zones[0].ports[0], policy.zones[1].ports[0]};
    return names;
}

bool write_records(const std::string& dir, const cp::Policy& policy, std::uint32_t count, std::uint64_t seed) {
    std::mt19937_64 random{seed};
    cp::SegmentWriter writer{cp::posix_file_ops(), dir};
    if (!writer.begin(1, 1, 5)) return false;
    cp::EventBatch batch;
    batch.names = names_of(policy);
    batch.clock = cp::UtcClock{1'795'000'000'000'000'000, {1'000'000'000}};
    for (std::uint64_t n = 1; n <= count; n += kPerBlock) {
        cp::BlockBuilder block;
        for (std::uint64_t i = n; i < n + kPerBlock && i <= count; ++i) block.add(some_flow(random, policy, i), batch);
        if (!writer.append(block, n)) return false;
    }
    return writer.seal().has_value();
}

}  // namespace

int bench_recorded_flows(const Options& options, const Machine& machine, const cp::Policy& before,
                         const cp::Policy& after) {
    std::string dir = (std::filesystem::temp_directory_path() / "sluice-bench-XXXXXX").string();
    if (::mkdtemp(dir.data()) == nullptr) return failed("no folder for records");
    const bool written = write_records(dir, before, options.flows, options.seed);
    const test::CompiledTables was{before}, is{after};
    std::vector<Run> runs;
    std::vector<double> wall_s;
    cp::RecordedEffect effect;
    for (int n = 0; written && n < options.runs; ++n) {
        const Stopwatch watch;
        cp::RecordReader reader{cp::segments_in(dir), {}};
        cp::FlowTally tally{{&before, &was.view()}, {&after, &is.view()}, {}};
        effect = cp::recorded_effect(reader, tally, std::chrono::steady_clock::time_point::max());
        runs.push_back(watch.stop(options.flows));
        wall_s.push_back(runs.back().wall_s);
    }
    std::filesystem::remove_all(dir);
    if (!written) return failed("records could not be written to " + dir);
    if (effect.flows != options.flows || effect.unplaced != 0)
        return failed("of " + std::to_string(options.flows) + " recorded flows " + std::to_string(effect.flows) +
                      " were looked at and " + std::to_string(effect.unplaced) + " found no place");
    std::sort(wall_s.begin(), wall_s.end());
    Result result{"plan", "recorded-flows", static_cast<double>(machine.tsc.hz)};
    result.param("rules", before.rules.size()).param("records", options.flows).param("seed", options.seed);
    result.ours(runs)
        .number("wall_s", wall_s[wall_s.size() / 2])
        .count("changed", effect.changed)
        .count("other_rule", effect.other_rule)
        .count("groups", effect.groups.size() + effect.groups_left_out);
    std::printf("%s\n", result.json().c_str());
    return 0;
}

}  // namespace sluice::bench
