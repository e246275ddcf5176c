#include "dataplane/port/eal.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <rte_cycles.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <sched.h>
#include <time.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <fstream>

#include "dataplane/manager/log.hpp"

namespace sluice::dp {

namespace {

constexpr std::uint64_t kCalibrationNs = 50'000'000;
constexpr std::uint64_t kMemoryMibDefault = 256;

/// MiB of the option -m; options stand one per element or joined ("-m", "256" or "-m256").
std::uint64_t memory_mib(const std::vector<std::string>& options) {
    for (std::size_t i = 0; i < options.size(); ++i) {
        if (!options[i].starts_with("-m")) continue;
        const std::string value = options[i] == "-m" && i + 1 < options.size() ? options[i + 1] : options[i].substr(2);
        std::uint64_t mib{};
        const auto parsed = std::from_chars(value.data(), value.data() + value.size(), mib);
        if (parsed.ec == std::errc{}) return mib;
    }
    return kMemoryMibDefault;
}

bool has(const std::vector<std::string>& options, std::string_view wanted) {
    return std::find(options.begin(), options.end(), wanted) != options.end();
}

Expected<void, std::string> check_cpus(const Config& config) {
    cpu_set_t set;
    CPU_ZERO(&set);
    if (sched_getaffinity(0, sizeof set, &set) != 0) return {};
    for (const std::uint32_t lcore : config.worker_lcores) {
        if (lcore < CPU_SETSIZE && CPU_ISSET(lcore, &set)) continue;
        return Unexpected<std::string>{
            fmt::format("workers: names lcore {}, but this process may not run on CPU {} (it has {} CPUs); name others",
                        lcore, lcore, CPU_COUNT(&set))};
    }
    return {};
}

std::pair<TscTime, abi::MonoTime> read_both() {
    // The smallest of a few distances between two cycle reads is the one that nothing interrupted.
    std::uint64_t best = UINT64_MAX;
    std::pair<TscTime, abi::MonoTime> result;
    for (int i = 0; i < 16; ++i) {
        const std::uint64_t before = rte_rdtsc_precise();
        const abi::MonoTime mono = abi::MonoTime::now();
        const std::uint64_t after = rte_rdtsc_precise();
        if (after - before >= best) continue;
        best = after - before;
        result = {{before + (after - before) / 2}, mono};
    }
    return result;
}

}  // namespace

std::uint64_t eal_memory_bytes(const Config& config) { return memory_mib(config.eal) << 20; }

std::uint64_t free_huge_bytes() {
    std::uint64_t bytes = 0;
    std::error_code ignored;
    for (const auto& entry : std::filesystem::directory_iterator{"/sys/kernel/mm/hugepages", ignored}) {
        const std::string name = entry.path().filename();  // hugepages-2048kB
        const auto dash = name.find('-');
        std::uint64_t kib{}, free{};
        if (dash == std::string::npos) continue;
        std::from_chars(name.data() + dash + 1, name.data() + name.size(), kib);
        std::ifstream{entry.path() / "free_hugepages"} >> free;
        bytes += free * kib * 1024;
    }
    return bytes;
}

std::vector<std::string> eal_arguments(const Config& config, std::uint64_t huge_bytes_free) {
    std::vector<std::string> arguments{"sluice-dataplane"};
    const std::uint64_t wanted = eal_memory_bytes(config);
    const bool without_huge = !has(config.eal, "--no-huge") && huge_bytes_free < wanted;
    for (const std::string& option : config.eal) {
        if (without_huge && option == "--in-memory") continue;  // it and --no-huge exclude each other
        arguments.push_back(option);
    }
    if (without_huge) {
        arguments.insert(arguments.end(), {"--no-huge", "--no-shconf"});
        if (!std::any_of(config.eal.begin(), config.eal.end(), [](const auto& o) { return o.starts_with("-m"); })) {
            arguments.insert(arguments.end(), {"-m", std::to_string(kMemoryMibDefault)});
        }
    }
    arguments.insert(arguments.end(), {"-l", fmt::format("{}", fmt::join(config.worker_lcores, ",")), "--main-lcore",
                                       std::to_string(config.worker_lcores.front()), "--log-level", "notice"});
    return arguments;
}

Expected<void, std::string> start_eal(const Config& config) {
    if (auto ok = check_cpus(config); !ok) return ok;
    auto arguments = eal_arguments(config, free_huge_bytes());
    if (has(arguments, "--no-huge") && !has(config.eal, "--no-huge")) {
        log_warning(
            "not enough free huge pages for -m {}; running on normal pages, about 1.4 times slower "
            "(reserve some: echo 256 > /proc/sys/vm/nr_hugepages)",
            memory_mib(config.eal));
    }
    std::vector<char*> pointers;
    for (auto& argument : arguments) pointers.push_back(argument.data());
    pointers.push_back(nullptr);
    if (rte_eal_init(static_cast<int>(arguments.size()), pointers.data()) < 0) {
        return Unexpected<std::string>{fmt::format("DPDK did not start: {}; arguments were {}", rte_strerror(rte_errno),
                                                   fmt::join(arguments, " "))};
    }
    return {};
}

TscTime tsc_now() noexcept { return {rte_rdtsc()}; }

TscCalibration::TscCalibration() { std::tie(tsc_, mono_) = read_both(); }

TscRate TscCalibration::finish() const {
    const std::uint64_t passed = abi::MonoTime::now().ns - mono_.ns;
    if (passed < kCalibrationNs) {
        const timespec rest{0, static_cast<long>(kCalibrationNs - passed)};
        nanosleep(&rest, nullptr);
    }
    const auto [tsc, mono] = read_both();
    const double cycles = static_cast<double>(tsc.cycles - tsc_.cycles);
    const double seconds = static_cast<double>(mono.ns - mono_.ns) * 1e-9;
    return {static_cast<std::uint64_t>(cycles / seconds), tsc, mono};
}

}  // namespace sluice::dp
