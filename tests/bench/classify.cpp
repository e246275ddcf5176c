/// The classifier alone, on packets without locality, against rte_acl over the same rules. Every answer of the one is
/// held against the other's before anything is timed. Both read their keys from memory that is hot, as a worker's burst
/// is: keys are laid out a block at a time, outside of what is timed.
#include <algorithm>
#include <array>
#include <cstdio>
#include <fstream>
#include <memory>

#include "controlplane/compiler/reference.hpp"
#include "dataplane/acl/isa.hpp"
#include "tests/bench/acl_peer.hpp"
#include "tests/bench/options.hpp"
#include "tests/bench/rig/measure.hpp"
#include "tests/bench/rig/real_worker.hpp"
#include "tests/bench/rig/rules.hpp"

namespace sluice::bench {

namespace {

constexpr std::uint8_t kTcp = 6;

Expected<std::vector<FilterRule>, std::string> rules_of(const Options& o) {
    if (o.filters.empty()) return made_rules(o.rules, kTcp);
    std::ifstream in{o.filters};
    if (!in) return Unexpected<std::string>{o.filters + " cannot be read"};
    return read_filters(in);
}

/// So many keys at once: small enough for the caches beside the tables, long enough that the clock costs nothing.
constexpr std::size_t kBlock = 2048;
/// Above, rte_acl takes minutes and gigabytes to build, or refuses.
constexpr std::size_t kPeerRulesMax = 150'000;

struct Sides {
    const dp::TableView* view{};  ///< null: our compiler refused
    const RteAcl* acl{};          ///< null: too many rules for it
    std::span<const AclKey> trace;
    std::size_t burst{};
    bool scalar{};
    std::array<AclKey, kBlock> acl_block;
    std::array<const std::uint8_t*, kBlock> acl_keys;
    std::array<dp::LookupKey, kBlock> keys;

    /// Block `at / kBlock` of the trace, for both sides; returns its length.
    std::size_t load(std::size_t at) noexcept {
        const std::size_t n = std::min(kBlock, trace.size() - at);
        for (std::size_t i = 0; i < n; ++i) {
            acl_block[i] = trace[at + i];
            acl_keys[i] = &acl_block[i].proto;
            keys[i] = lookup_key(trace[at + i]);
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
    const auto rules = rules_of(o);
    if (!rules) return failed(rules.error());
    const auto trace = random_trace(*rules, o.count, o.seed);
    const cp::Policy policy = policy_of(*rules);
    const auto tables = Tables::make(policy, 1);
    std::unique_ptr<RteAcl> acl;
    if (rules->size() <= kPeerRulesMax) {
        auto built = RteAcl::build(*rules, std::span{trace}.first(std::min<std::size_t>(trace.size(), 8192)), o.scalar);
        if (!built) return failed(built.error());
        acl = std::move(*built);
    } else if (!tables) {
        return failed(tables.error());
    }
    const auto made = std::make_unique<Sides>();
    Sides& sides = *made;
    sides.view = tables ? &(*tables)->view() : nullptr;
    sides.acl = acl.get();
    sides.trace = trace;
    sides.burst = o.burst;
    sides.scalar = o.scalar;

    const auto timed = [&](auto&& piece) {
        return [&, piece] {
            Run run{.count = trace.size()};
            for (std::size_t block = 0; block < trace.size(); block += kBlock) {
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
    result.param("rules", rules->size()).param("lookups", trace.size()).param("burst", o.burst).param("seed", o.seed);
    result.param("filters", o.filters.empty() ? "made" : o.filters.substr(o.filters.rfind('/') + 1));
    if (tables) {
        if (const auto wrong = acl ? disagreements(sides) : misjudged(sides, policy); wrong != 0) {
            return failed(std::to_string(wrong) + " of " + std::to_string(trace.size()) +
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
