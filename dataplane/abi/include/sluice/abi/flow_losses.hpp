/// Why flows that an earlier dataplane process had are not flows of the next one. One list makes the enum, the metric
/// label and the help text in both processes. Numbers are positions: add at the end, and raise kAbiVersion.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace sluice::abi {

// clang-format off
#define SLUICE_FLOW_LOSSES(X)                                                                                           \
    X(layout,  "written by a build whose flows have another form")                                                       \
    X(boot,    "written before the machine started")                                                                     \
    X(damaged, "an entry or a whole table that makes no sense")                                                          \
    X(wire,    "the flow's wire is not there any more")                                                                  \
    X(workers, "another number of workers, and nobody can tell which of them gets the flow's packets")                   \
    X(room,    "the new flow table is smaller and full")
// clang-format on

enum class FlowLoss : std::uint8_t {
#define SLUICE_X(name, help) name,
    SLUICE_FLOW_LOSSES(SLUICE_X)
#undef SLUICE_X
};

struct FlowLossInfo {
    std::string_view name, help;
};

inline constexpr auto kFlowLosses = std::to_array<FlowLossInfo>({
#define SLUICE_X(name, help) FlowLossInfo{#name, help},
    SLUICE_FLOW_LOSSES(SLUICE_X)
#undef SLUICE_X
});
inline constexpr std::size_t kFlowLossCount = kFlowLosses.size();

}  // namespace sluice::abi
