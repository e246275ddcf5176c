/// Starting DPDK: the one process-wide thing that cannot be undone or tried twice. No port is opened here; device.hpp
/// adds them one by one afterwards, so that the successor of a planned restart can do this part while the old process
/// still holds the devices.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <sluice/expected.hpp>

#include "dataplane/manager/config.hpp"
#include "dataplane/pipeline/tsc.hpp"

namespace sluice::dp {

/// The lcores of `workers:`, the first as main lcore. Falls back to --no-huge with a warning when the huge pages that
/// `-m` asks for are not there. Nothing undoes it: the end of the process does, and a successor waits for devices only.
Expected<void, std::string> start_eal(const Config& config);

/// What is asked of DPDK, for tests: `huge_bytes_free` is what the machine has.
std::vector<std::string> eal_arguments(const Config& config, std::uint64_t huge_bytes_free);
std::uint64_t free_huge_bytes();
/// That DPDK is told to take (`-m`).
std::uint64_t eal_memory_bytes(const Config& config);

TscTime tsc_now() noexcept;

/// Cycles against CLOCK_MONOTONIC between construction and finish(). DPDK's own figure is rounded to 10 MHz, up to two
/// seconds in a thousand.
class TscCalibration {
public:
    TscCalibration();
    /// Waits until 50 ms have passed since construction (an error of some 50 ns per clock read is then about 1 ppm);
    /// starting the EAL takes longer than that, so that in the product this waits for nothing.
    TscRate finish() const;

private:
    TscTime tsc_;
    abi::MonoTime mono_;
};

}  // namespace sluice::dp
