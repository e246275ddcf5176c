/// Where a worker's cycles go, stage by stage: what `tools/bench established --stages` prints. The product never asks,
/// and then it costs a branch per stage and burst.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace sluice::dp {

enum class Stage : std::uint8_t { rx, parse, track, classify, admit, act, tx, rest };
inline constexpr std::size_t kStageCount = 8;
/// `rest`: ageing, fragments, dumps, events, the heartbeat; and ports on which nothing arrived.
inline constexpr std::array<std::string_view, kStageCount> kStageNames{"rx",    "parse", "track", "classify",
                                                                       "admit", "act",   "tx",    "rest"};

struct StageCycles {
    std::uint64_t (*clock)() noexcept {};  ///< the stages know no clock of their own
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
