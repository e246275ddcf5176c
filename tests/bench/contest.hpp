/// The worker, its peer and the bare source side by side: each has a source of its own that makes the same packets, and
/// they take turns.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include <sluice/expected.hpp>

#include "tests/bench/acl_peer.hpp"
#include "tests/bench/options.hpp"
#include "tests/bench/rig/measure.hpp"
#include "tests/bench/rig/real_worker.hpp"
#include "tests/bench/rig/rules.hpp"

namespace sluice::bench {

class Contest {
public:
    /// All but `source` outlive the contest. The worker has a table of `flow_entries_max` and takes `tables` up.
    Contest(const dp::MemorySourceConfig& source, const Machine& machine, const Tables& tables,
            std::uint32_t flow_entries_max, const RteAcl& acl, std::span<const FilterRule> rules);

    /// What is not measured, so that whatever comes next finds the worker's flows there. The peer and the source alone
    /// go through it as well, so that all three have the same packets to make.
    void warm_up(std::uint64_t packets);

    /// By lane: the worker, the peer, the source alone, and with `watched_per_second` the same worker while somebody
    /// watches so many new flows (a shadow policy). Error: what `complaint` says after a turn, or that the peer refused
    /// packets.
    Expected<std::vector<std::vector<Run>>, std::string> take_turns(int turns, std::uint64_t packets,
                                                                    const std::function<std::string()>& complaint,
                                                                    std::uint32_t watched_per_second = 0);

    RealWorker& worker() noexcept { return worker_; }
    const dp::MemorySource& source() const noexcept { return ours_; }  ///< the worker's

private:
    dp::MemorySource ours_, theirs_, alone_;
    RealWorker worker_;
    AclForwarder peer_;
};

}  // namespace sluice::bench
