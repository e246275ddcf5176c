/// Flow dumps for clients, and flows that they end; one part of the walk per request, one request at a time: asked of a
/// worker through its mailbox, which the worker answers between two bursts. A worker that does not answer in time is
/// left out of the walk; its mailbox is not touched again until it has answered.
///
/// A cursor is worker << 32 | position in that worker's slab.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <vector>

#include <sluice/abi/clock.hpp>
#include <sluice/abi/messages.hpp>

#include "dataplane/pipeline/flow_dump.hpp"

namespace sluice::dp {

class FlowDumps {
public:
    struct Request {
        std::uint64_t client{};
        std::uint32_t sequence{};
        std::uint64_t cursor{};
        std::uint32_t count_max{};
        FlowTask task{FlowTask::dump};
        abi::FlowFilter filter{};  ///< valid
    };
    /// One of the two, valid until the next call.
    struct Page {
        std::uint64_t client{};
        const abi::FlowDump* dump{};
        const abi::FlowsEnded* ended{};
    };

    explicit FlowDumps(std::vector<FlowDumpMailbox*> mailboxes) : mailboxes_{std::move(mailboxes)} {}

    /// False: this client has too many requests waiting.
    bool ask(const Request& request);
    void forget(std::uint64_t client);
    /// Events about first packets, from the workers' next loops on; all workers together, 0 = none.
    void watch_new_flows(std::uint32_t per_second) noexcept {
        for (FlowDumpMailbox* mailbox : mailboxes_) {
            // relaxed: nothing is ordered by it; a worker that sees it a loop later has only begun a loop later
            mailbox->new_flows_per_second.store(per_second, std::memory_order_relaxed);
        }
    }
    bool busy() const noexcept { return active_.has_value() || !waiting_.empty(); }
    /// Moves on; returns a finished page, if there is one. Call again until there is none.
    std::optional<Page> step(abi::MonoTime now);

private:
    Page finish(std::uint32_t count, std::uint64_t next, bool last);

    std::vector<FlowDumpMailbox*> mailboxes_;
    std::deque<Request> waiting_;
    std::optional<Request> active_;
    bool asked_{};  ///< the active request stands in the mailbox of its worker
    abi::MonoTime deadline_{};
    abi::FlowDump dump_{};
    abi::FlowsEnded ended_{};
};

}  // namespace sluice::dp
