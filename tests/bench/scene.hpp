/// What the benches of whole flows begin with: rules, the tables made of them, and where the flows go.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <sluice/expected.hpp>

#include "dataplane/port/conversation.hpp"
#include "tests/bench/options.hpp"
#include "tests/bench/rig/measure.hpp"
#include "tests/bench/rig/real_worker.hpp"
#include "tests/bench/rig/rules.hpp"

namespace sluice::bench {

/// As the control plane asks while a shadow policy runs (lifecycle/shadow.cpp).
inline constexpr std::uint32_t kWatchedPerSecond = 20'000;

struct Scene {
    /// Error: the flows are more than the rules' tuples, or what Tables::make says.
    static Expected<Scene, std::string> make(const Options& options, std::uint8_t proto);
    /// Packets of all the flows. The scene outlives who uses it.
    dp::MemorySourceConfig source(const Options& options, const Machine& machine, dp::Conversation conversation) const;

    std::uint32_t flows{};
    std::vector<FilterRule> rules;
    std::vector<dp::FlowTarget> targets;
    std::unique_ptr<Tables> tables;  ///< never null, generation 1
};

/// `watched_cost_percent`: how much longer those took, in pairs.
void add_watched_cost(Result& result, const std::vector<Run>& unwatched, const std::vector<Run>& watched);

/// Where the cycles of `packets` more go: timed by the wall and with a clock read per stage, so a part of the whole.
void add_stages(Result& result, RealWorker& worker, std::uint64_t packets);

}  // namespace sluice::bench
