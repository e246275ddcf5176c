/// The part of the bench `plan` that speaks about flows: two policies asked about recorded ones, from the files on.
#pragma once

#include "controlplane/policy/model.hpp"
#include "tests/bench/options.hpp"

namespace sluice::bench {

/// Writes `options.flows` records of made flows into a store's segments, then times what a plan does with them.
int bench_recorded_flows(const Options& options, const Machine& machine, const cp::Policy& before,
                         const cp::Policy& after);

}  // namespace sluice::bench
