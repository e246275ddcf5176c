/// The classifier alone, on packets without locality, against rte_acl over the same rules. Every answer of the one is
/// held against the other's before anything is timed.
#include <algorithm>
#include <cstdio>
#include <fstream>

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

struct Sides {
    const dp::TableView* view{};  ///< null: our compiler refused
    const RteAcl* acl{};
    std::vector<dp::LookupKey> keys;
    std::vector<const std::uint8_t*> acl_keys;
    std::size_t burst{};
    bool scalar{};

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

/// Packets that the two decide by different rules.
std::uint64_t disagreements(Sides& sides) {
    std::uint64_t count = 0;
    const std::uint32_t no_rule = sides.view->default_rule();
    for (std::size_t at = 0; at < sides.keys.size(); at += sides.burst) {
        const std::size_t n = std::min(sides.burst, sides.keys.size() - at);
        dp::LookupResult ours[dp::kLookupBatchMax];
        std::uint32_t theirs[dp::kLookupBatchMax];
        sides.ours(at, n, ours);
        sides.theirs(at, n, theirs);
        for (std::size_t i = 0; i < n; ++i) {
            const std::uint32_t rule = theirs[i] == 0 ? no_rule : theirs[i] - 1;
            count += static_cast<std::uint32_t>(ours[i].rule) != rule ? 1 : 0;
        }
    }
    return count;
}

}  // namespace

int bench_classify(const Options& o, const Machine& machine) {
    const auto rules = rules_of(o);
    if (!rules) return failed(rules.error());
    const auto trace = random_trace(*rules, o.count, o.seed);
    const auto tables = Tables::make(policy_of(*rules), 1);
    const auto acl = RteAcl::build(*rules, std::span{trace}.first(std::min<std::size_t>(trace.size(), 8192)), o.scalar);
    if (!acl) return failed(acl.error());
    Sides sides{.view = tables ? &(*tables)->view() : nullptr, .acl = acl->get(), .burst = o.burst, .scalar = o.scalar};
    for (const AclKey& key : trace) {
        sides.keys.push_back(lookup_key(key));
        sides.acl_keys.push_back(&key.proto);
    }

    const auto timed = [&](auto&& piece) {
        return [&, piece] {
            const Stopwatch watch;
            for (std::size_t at = 0; at < trace.size(); at += sides.burst) {
                piece(at, std::min(sides.burst, trace.size() - at));
            }
            return watch.stop(trace.size());
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
        if (const auto wrong = disagreements(sides); wrong != 0) {
            return failed(std::to_string(wrong) + " of " + std::to_string(trace.size()) +
                          " packets were decided by another rule than rte_acl says");
        }
        const auto runs = take_turns(o.runs, {ours, theirs}, [] { return true; });
        result.ours(runs[0]).against("rte_acl", runs[1]);
        result.number("build_s", (*tables)->compile_s())
            .number("table_mib", static_cast<double>((*tables)->bytes()) / (1 << 20))
            .count("disagreements", 0);
    } else {
        const auto runs = take_turns(o.runs, {theirs}, [] { return true; });
        result.text("refused", tables.error()).peer_alone("rte_acl", runs[0]);
    }
    result.number("peer_build_s", (*acl)->build_s()).text("peer_method", (*acl)->method());
    std::printf("%s\n", result.json().c_str());
    return seen == UINT64_MAX ? 1 : 0;
}

}  // namespace sluice::bench
