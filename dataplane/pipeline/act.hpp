/// Does what was decided: counts and logs the drops, answers rejected senders, builds the segments that the SYN proxy
/// has ordered, gives the buffers back.
#pragma once

#include <sluice/abi/telemetry.hpp>

#include "dataplane/pipeline/burst.hpp"
#include "dataplane/pipeline/events.hpp"
#include "dataplane/pipeline/reassemble.hpp"

namespace sluice::dp {

/// Answers are limited per second (RFC 1812 4.3.2.8, RFC 4443 2.4 f): a flood of rejected packets must not become a
/// flood from us. A full second's worth may go at once.
class AnswerBudget {
public:
    AnswerBudget(std::uint32_t per_second, std::uint64_t hz) noexcept : per_second_{per_second}, hz_{hz} {}
    bool take(TscTime now) noexcept;

private:
    std::uint32_t per_second_;
    std::uint64_t hz_;
    TscTime filled_{};
    bool started_{};
    std::uint32_t tokens_{};
};

/// Counts packet i as dropped for its reason and logs it where no rule's log does.
void account_drop(const Burst& burst, std::size_t i, abi::PortCounters& port, EventWriter& events,
                  std::uint64_t generation) noexcept;

void act(Burst& burst, PacketIo& io, AnswerBudget& answers, abi::PortCounters& port, EventWriter& events,
         abi::WorkerCounters& counters, Reassembly& fragments, std::uint64_t generation) noexcept;

}  // namespace sluice::dp
