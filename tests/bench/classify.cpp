/// The classifier alone, on packets without locality, against rte_acl over the same rules. Every answer of the one is
/// held against the other's before anything is timed. Both read their keys from memory that is hot, as a worker's burst
/// is: keys are laid out a block at a time, outside of what is timed.
#include <algorithm>
#include <array>
#include <cstdio>
#include <memory>

#include "controlplane/compiler/reference.hpp"
#include "dataplane/acl/isa.hpp"
#include "tests/bench/acl_peer.hpp"
#include "tests/bench/asked_rules.hpp"
#include "tests/bench/options.hpp"
#include "tests/bench/rig/measure.hpp"
#include "tests/bench/rig/real_worker.hpp"
#include "tests/bench/rig/rules.hpp"
#include "tests/bench/rig/traces.hpp"
#include "tests/bench/rig/worst_packets.hpp"

namespace sluice::bench {

namespace {

constexpr std::uint8_t kTcp = 6;

/// So many keys at once: small enough for the caches beside the tables, long enough that the clock costs nothing.
constexpr std::size_t kBlock = 2048;
/// Above, rte_acl takes minutes and gigabytes to build, or refuses. Sets count multiplied out.
constexpr std::uint64_t kPeerRulesMax = 150'000;
/// Packets of the worst trace that differ: more than caches hold the tables' lines of, and found in seconds.
constexpr std::size_t kWorstPackets = 1U << 16;

Expected<std::vector<AclKey>, std::string> trace_of(const Options& o, std::span<const FilterRule> rules,
                                                    const dp::TableView* view, abi::IpFamily family) {
    if (o.trace == "uniform") return random_trace(rules, o.count, o.seed);
    if (o.trace == "zipf") return zipf_trace(rules, o.count, o.seed);
    if (o.trace != "worst") return Unexpected<std::string>{"--trace is uniform, zipf or worst, not " + o.trace};
    if (view == nullptr) return Unexpected<std::string>{"--trace worst needs tables, and our compiler refuses these"};
    std::vector<AclKey> trace = worst_trace(*view, rules, std::min(o.count, kWorstPackets), o.seed, family);
    for (std::size_t i = 0; trace.size() < o.count; ++i) trace.push_back(trace[i]);
    return trace;
}

struct Sides {
    const dp::TableView* view{};  ///< null: our compiler refused
    const RteAcl* acl{};          ///< null: too many rules for it
    std::span<const AclKey> trace;
    std::size_t burst{};
    bool scalar{};
    abi::IpFamily family{};
    std::array<AclKey, kBlock> acl_block;
    std::array<AclKey6, kBlock> acl_block6;
    std::array<const std::uint8_t*, kBlock> acl_keys;
    std::array<dp::LookupKey, kBlock> keys;

    /// Block `at / kBlock` of the trace, for both sides; returns its length.
    std::size_t load(std::size_t at) noexcept {
        const std::size_t n = std::min(kBlock, trace.size() - at);
        for (std::size_t i = 0; i < n; ++i) {
            keys[i] = lookup_key(trace[at + i], family);
            if (family == abi::IpFamily::v4) {
                acl_block[i] = trace[at + i];
                acl_keys[i] = &acl_block[i].proto;
            } else {
                acl_block6[i] = six_key(trace[at + i]);
                acl_keys[i] = &acl_block6[i].proto;
            }
        }
        return n;
    }
    void ours(std::size_t at, std::size_t n, dp::LookupResult* results) const noexcept {
        const std::span<const dp::LookupKey> batch{keys.data() + at, n};
        if (scalar) {
            dp::lookup_using(dp::Isa::scalar, *view, batch, {results, n});
        } else {
            dp::lookup(*view, batch, {results, n});
        }
    }
    void theirs(std::size_t at, std::size_t n, std::uint32_t* results) noexcept {
        acl->classify({acl_keys.data() + at, n}, results);
    }
};

/// Packets out of a few that we decide by another rule than the policy's own reading says.
std::uint64_t misjudged(Sides& sides, const cp::Policy& policy) {
    std::uint64_t count = 0;
    const std::size_t length = std::min<std::size_t>(sides.load(0), 256);
    for (std::size_t i = 0; i < length; ++i) {
        dp::LookupResult ours;
        sides.ours(i, 1, &ours);
        count += ours.rule != cp::reference_lookup(policy, sides.keys[i]).rule ? 1 : 0;
    }
    return count;
}

/// Cache lines that a packet of the trace costs behind the address tables.
double mean_lines(Sides& sides) {
    const std::size_t length = sides.load(0);
    std::uint64_t lines = 0;
    for (std::size_t i = 0; i < length; ++i) lines += lookup_cost(*sides.view, sides.keys[i]).lines;
    return static_cast<double>(lines) / static_cast<double>(length);
}

/// Packets that the two decide by different rules.
std::uint64_t disagreements(Sides& sides) {
    std::uint64_t count = 0;
    const std::uint32_t no_rule = sides.view->default_rule();
    for (std::size_t block = 0; block < sides.trace.size(); block += kBlock) {
        const std::size_t length = sides.load(block);
        for (std::size_t at = 0; at < length; at += sides.burst) {
            const std::size_t n = std::min(sides.burst, length - at);
            dp::LookupResult ours[dp::kLookupBatchMax];
            std::uint32_t theirs[dp::kLookupBatchMax];
            sides.ours(at, n, ours);
            sides.theirs(at, n, theirs);
            for (std::size_t i = 0; i < n; ++i) {
                const std::uint32_t rule = theirs[i] == 0 ? no_rule : theirs[i] - 1;
                count += static_cast<std::uint32_t>(ours[i].rule) != rule ? 1 : 0;
            }
        }
    }
    return count;
}

}  // namespace

int bench_classify(const Options& o, const Machine& machine) {
    const auto rules = asked_rules(o, kTcp);
    if (!rules) return failed(rules.error());
    const abi::IpFamily family = o.ipv6 ? abi::IpFamily::v6 : abi::IpFamily::v4;
    const cp::Policy policy = policy_of(*rules, family);
    const auto tables = Tables::make(policy, 1);
    const auto trace = trace_of(o, *rules, tables ? &(*tables)->view() : nullptr, family);
    if (!trace) return failed(trace.error());
    std::unique_ptr<RteAcl> acl;
    if (multiplied_out(*rules) <= kPeerRulesMax) {
        const auto sample = std::span{*trace}.first(std::min<std::size_t>(trace->size(), 8192));
        auto built = RteAcl::build(*rules, sample, o.scalar, family);
        if (!built) return failed(built.error());
        acl = std::move(*built);
    } else if (!tables) {
        return failed(tables.error());
    }
    const auto made = std::make_unique<Sides>();
    Sides& sides = *made;
    sides.view = tables ? &(*tables)->view() : nullptr;
    sides.acl = acl.get();
    sides.trace = *trace;
    sides.family = family;
    sides.burst = o.burst;
    sides.scalar = o.scalar;

    const auto timed = [&](auto&& piece) {
        return [&, piece] {
            Run run{.count = trace->size()};
            for (std::size_t block = 0; block < trace->size(); block += kBlock) {
                const std::size_t length = sides.load(block);
                const Stopwatch watch;
                for (std::size_t at = 0; at < length; at += sides.burst) piece(at, std::min(sides.burst, length - at));
                const Run part = watch.stop(length);
                run.wall_s += part.wall_s;
                run.cpu_s += part.cpu_s;
            }
            return run;
        };
    };
    std::uint64_t seen = 0;  // so that no answer is computed for nobody
    const auto ours = timed([&](std::size_t at, std::size_t n) {
        dp::LookupResult results[dp::kLookupBatchMax];
        sides.ours(at, n, results);
        seen += results[0].rule;
    });
    const auto theirs = timed([&](std::size_t at, std::size_t n) {
        std::uint32_t results[dp::kLookupBatchMax];
        sides.theirs(at, n, results);
        seen += results[0];
    });

    Result result{"classify", o.scalar ? "scalar" : "vector", static_cast<double>(machine.tsc.hz)};
    result.param("rules", rules->size()).param("lookups", trace->size()).param("burst", o.burst).param("seed", o.seed);
    result.param("filters", asked_rules_name(o)).param("trace", o.trace).param("ip", o.ipv6 ? 6 : 4);
    if (tables) {
        if (const auto wrong = acl ? disagreements(sides) : misjudged(sides, policy); wrong != 0) {
            return failed(std::to_string(wrong) + " of " + std::to_string(trace->size()) +
                          " packets were decided by another rule than " + (acl ? "rte_acl" : "the policy") + " says");
        }
        if (acl) {
            const auto runs = take_turns(o.runs, {ours, theirs}, [] { return true; });
            result.ours(runs[0]).against("rte_acl", runs[1]);
        } else {
            result.ours(take_turns(o.runs, {ours}, [] { return true; })[0]);
        }
        result.number("build_s", (*tables)->compile_s())
            .number("table_mib", static_cast<double>((*tables)->bytes()) / (1 << 20))
            .count("node_visits_max", (*tables)->view().trees.node_visits_max)
            .number("lines_mean", mean_lines(sides))
            .count("disagreements", 0);
    } else {
        const auto runs = take_turns(o.runs, {theirs}, [] { return true; });
        result.text("refused", tables.error()).peer_alone("rte_acl", runs[0]);
    }
    if (acl) result.number("peer_build_s", acl->build_s()).text("peer_method", acl->method());
    std::printf("%s\n", result.json().c_str());
    return seen == UINT64_MAX ? 1 : 0;
}

}  // namespace sluice::bench
