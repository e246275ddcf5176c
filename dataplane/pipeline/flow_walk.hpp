/// The worker's side of the mailbox: a bounded share of what the manager asked for, once per loop.
#pragma once

#include <cstdint>

#include "dataplane/pipeline/burst.hpp"
#include "dataplane/pipeline/flow_book.hpp"
#include "dataplane/pipeline/flow_dump.hpp"

namespace sluice::dp {

class FlowWalk {
public:
    /// `idle`: no packet waits, so that more may be done at once.
    void serve(FlowDumpMailbox& mailbox, FlowBook& flows, const Moment& moment, bool idle) noexcept;

private:
    /// A table of ten million free entries is walked in 611 loops, 0.2 s of an idle worker; the manager waits for 1 s.
    static constexpr std::uint32_t kScanPerLoop = 16'384;  ///< 64 KiB of packed deadlines: some 4 us
    static constexpr std::uint32_t kFlowsPerLoop = 64;     ///< each misses the cache a few times: some 20 us
    static constexpr std::uint32_t kFlowsPerLoopIdle = 1'024;
    /// Looked at for one answer, whether they fit or not: so that it comes within the manager's second, busy or not.
    static constexpr std::uint32_t kFlowsPerAnswer = 65'536;

    void look_at(FlowHandle h, FlowDumpMailbox& mailbox, FlowBook& flows, const Moment& moment) noexcept;

    std::uint32_t at_{};
    std::uint32_t looked_at_{};
    bool running_{};
};

}  // namespace sluice::dp
