/// What a bench was asked for, and the machine's part that all share. tools/bench sets these; nobody types them.
#pragma once

#include <sched.h>

#include <cstdint>
#include <string>

#include "dataplane/pipeline/tsc.hpp"

struct rte_mempool;

namespace sluice::bench {

struct Options {
    std::string bench;
    std::uint32_t flows{1'000'000};
    std::uint32_t rules{1'000};
    std::uint32_t members{2'000'000};  ///< of a set whose members come over the API
    std::string filters;               ///< plain ClassBench file; empty: made rules
    std::string family;                ///< a Family's name; empty: rules that do not overlap
    std::string trace{"uniform"};
    bool ipv6{};
    int runs{5};
    std::uint64_t count{2'000'000};  ///< packets or lookups of a run
    std::uint32_t burst{32};
    std::uint64_t seed{1};
    bool sw_csum{};
    bool scalar{};
    bool stages{};  ///< established: also cycles by stage
    std::uint32_t cpu{};
    std::uint32_t memory_mib{256};  ///< DPDK's share
};

/// What the process has, after DPDK has started.
struct Machine {
    dp::TscRate tsc;
    rte_mempool* pool{};  ///< first in, first out, as a device's ring of descriptors: no buffer stays hot
    cpu_set_t others{};   ///< all that we may use but the worker's; that one too if there is no other
};

/// Each prints its results as lines of JSON, and returns 0, or 1 with a sentence on stderr: then nothing was measured.
int bench_established(const Options& options, const Machine& machine);
int bench_new_flows(const Options& options, const Machine& machine);
int bench_lifecycle(const Options& options, const Machine& machine);
int bench_crafted_keys(const Options& options, const Machine& machine);
int bench_classify(const Options& options, const Machine& machine);
int bench_flood(const Options& options, const Machine& machine);
int bench_flow_index(const Options& options, const Machine& machine);
int bench_flow_pages(const Options& options, const Machine& machine);
int bench_latency(const Options& options, const Machine& machine);
int bench_mixed(const Options& options, const Machine& machine);
int bench_patch(const Options& options, const Machine& machine);
int bench_plan(const Options& options, const Machine& machine);
int bench_policy_swap(const Options& options, const Machine& machine);
int bench_records(const Options& options, const Machine& machine);
int bench_rejudge(const Options& options, const Machine& machine);
int bench_scrape(const Options& options, const Machine& machine);
int bench_sets(const Options& options, const Machine& machine);
int bench_workers(const Options& options, const Machine& machine);

/// `sluice_bench: WHAT` on stderr; returns 1.
int failed(const std::string& what);
/// Upwards to a whole number of the source's steps.
std::uint32_t whole_flows(std::uint64_t flows);
/// Transparent huge pages that this process has, in MiB.
double huge_mib();

}  // namespace sluice::bench
