/// The benches' one program: sluice_bench NAME [--option value ...], started by tools/bench. The first line says what
/// the process found, each further line is one result; tests/bench/rig/measure.hpp has the shape.
#include <rte_errno.h>
#include <rte_lcore.h>
#include <rte_mbuf.h>
#include <rte_version.h>

#include <charconv>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <functional>
#include <map>
#include <string>

#include "dataplane/port/eal.hpp"
#include "dataplane/port/memory_source.hpp"
#include "tests/bench/options.hpp"
#include "tests/bench/rig/families.hpp"
#include "tests/bench/rig/measure.hpp"

namespace sluice::bench {

namespace {

/// As many as two rings of 1,024 descriptors hold.
constexpr unsigned kBuffers = 2047;

using BenchFn = int (*)(const Options&, const Machine&);
const std::map<std::string, BenchFn>& benches() {
    static const std::map<std::string, BenchFn> all{
        {"classify", bench_classify},
        {"crafted-keys", bench_crafted_keys},
        {"established", bench_established},
        {"flood", bench_flood},
        {"flow-index", bench_flow_index},
        {"flow-pages", bench_flow_pages},
        {"latency", bench_latency},
        {"lifecycle", bench_lifecycle},
        {"mixed", bench_mixed},
        {"new-flows", bench_new_flows},
        {"patch", bench_patch},
        {"plan", bench_plan},
        {"policy-swap", bench_policy_swap},
        {"records", bench_records},
        {"rejudge", bench_rejudge},
        {"scrape", bench_scrape},
        {"sets", bench_sets},
        {"workers", bench_workers},
    };
    return all;
}

template <typename T>
bool take(const char* text, T& into) {
    const auto [end, error] = std::from_chars(text, text + std::strlen(text), into);
    return error == std::errc{} && *end == 0;
}

bool read_options(int argc, char** argv, Options& o) {
    const std::map<std::string, std::function<bool(const char*)>> known{
        {"--flows", [&](const char* v) { return take(v, o.flows) && o.flows > 0 && o.flows <= 1U << 30; }},
        {"--rules", [&](const char* v) { return take(v, o.rules) && o.rules > 0 && o.rules <= 1U << 21; }},
        {"--members", [&](const char* v) { return take(v, o.members) && o.members > 0 && o.members <= 2'000'000; }},
        {"--filters", [&](const char* v) { return o.filters = v, true; }},
        {"--family", [&](const char* v) { return o.family = v, o.family.empty() || family_of(v).has_value(); }},
        {"--trace", [&](const char* v) { return o.trace = v, true; }},
        {"--ipv6", [&](const char* v) { return o.ipv6 = std::strcmp(v, "1") == 0, true; }},
        {"--runs", [&](const char* v) { return take(v, o.runs) && o.runs > 0; }},
        {"--count", [&](const char* v) { return take(v, o.count) && o.count > 0; }},
        {"--burst", [&](const char* v) { return take(v, o.burst) && o.burst > 0 && o.burst <= 64; }},
        {"--seed", [&](const char* v) { return take(v, o.seed); }},
        {"--sw-csum", [&](const char* v) { return o.sw_csum = std::strcmp(v, "1") == 0, true; }},
        {"--scalar", [&](const char* v) { return o.scalar = std::strcmp(v, "1") == 0, true; }},
        {"--stages", [&](const char* v) { return o.stages = std::strcmp(v, "1") == 0, true; }},
        {"--cpu", [&](const char* v) { return take(v, o.cpu); }},
        {"--memory-mib", [&](const char* v) { return take(v, o.memory_mib); }},
    };
    if (argc < 2 || benches().count(argv[1]) == 0) return false;
    o.bench = argv[1];
    for (int i = 2; i < argc; i += 2) {
        const auto found = known.find(argv[i]);
        if (found == known.end() || i + 1 == argc || !found->second(argv[i + 1])) return false;
    }
    return true;
}

/// Before DPDK binds us to the worker's.
cpu_set_t cpus_besides(std::uint32_t worker) {
    cpu_set_t cpus;
    CPU_ZERO(&cpus);
    (void)::sched_getaffinity(0, sizeof cpus, &cpus);
    if (CPU_COUNT(&cpus) > 1) CPU_CLR(worker, &cpus);
    return cpus;
}

bool start(const Options& options, Machine& machine) {
    machine.others = cpus_besides(options.cpu);
    const dp::TscCalibration calibration;
    dp::Config config;
    config.eal = {"--no-pci",
                  "--no-telemetry",
                  "--in-memory",
                  "-m",
                  std::to_string(options.memory_mib),
                  "--force-max-simd-bitwidth=512"};  // without it rte_acl may not use AVX-512
    config.worker_lcores = {options.cpu};
    if (auto started = dp::start_eal(config); !started) return failed(started.error()), false;
    machine.pool =
        rte_pktmbuf_pool_create_by_ops("bench", kBuffers, 0, 0, RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY, "ring_sp_sc");
    if (machine.pool == nullptr) return failed(std::string{"no buffers: "} + rte_strerror(rte_errno)), false;
    machine.tsc = calibration.finish();
    std::printf("{\"process\": {\"tsc_hz\": %llu, \"dpdk\": %s, \"dpdk_huge_pages\": %s, \"cpu\": %u}}\n",
                static_cast<unsigned long long>(machine.tsc.hz), quoted(rte_version()).c_str(),
                rte_eal_has_hugepages() != 0 ? "true" : "false", options.cpu);
    return true;
}

}  // namespace

int failed(const std::string& what) {
    std::fprintf(stderr, "sluice_bench: %s\n", what.c_str());
    return 1;
}

std::uint32_t whole_flows(std::uint64_t flows) {
    constexpr std::uint64_t kStep = dp::MemorySource::kFlowStep;
    return static_cast<std::uint32_t>((flows + kStep - 1) / kStep * kStep);
}

double huge_mib() {
    std::ifstream in{"/proc/self/smaps_rollup"};
    for (std::string line; std::getline(in, line);) {
        unsigned long kib{};
        if (std::sscanf(line.c_str(), "AnonHugePages: %lu kB", &kib) == 1) return static_cast<double>(kib) / 1024;
    }
    return 0;
}

}  // namespace sluice::bench

int main(int argc, char** argv) {
    using namespace sluice::bench;
    Options options;
    if (!read_options(argc, argv, options)) return failed("unknown bench or option; start it through tools/bench"), 2;
    Machine machine;
    if (!start(options, machine)) return 1;
    return benches().at(options.bench)(options, machine);
}
