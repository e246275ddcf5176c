/// Where a worker's cycles go, stage by stage. The product looks at some bursts (time_sampler.hpp), the bench at all
/// (`tools/bench established --stages`); for the others it costs a branch per stage.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include <sluice/abi/times.hpp>

namespace sluice::dp {

using abi::kStageCount;
using abi::kStageNames;
using abi::Stage;

/// The cycle counter; the stages know no clock of their own.
using CycleClock = std::uint64_t (*)() noexcept;

/// What is measured for telemetry (time_sampler.hpp).
struct TimeSampling {
    CycleClock clock{};       ///< nullptr: nothing
    std::uint32_t every{64};  ///< one burst in so many, on average; at least 1
};

struct StageCycles {
    CycleClock clock{};
    std::array<std::uint64_t, kStageCount> sum{};
    std::uint64_t last{};

    void begin() noexcept { last = clock(); }
    /// What has passed since the last call belongs to `stage`.
    void lap(Stage stage) noexcept {
        const std::uint64_t now = clock();
        sum[static_cast<std::size_t>(stage)] += now - last;
        last = now;
    }
};

}  // namespace sluice::dp
