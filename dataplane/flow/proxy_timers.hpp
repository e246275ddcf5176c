/// When a SYN that we have sent to a server is to be sent again: after 1, 3 and 7 seconds (RFC 6298 section 2: a first
/// timeout of 1 s, doubled each time), and given up after 15. A queue for each of the four spans: all in one wait
/// equally long, so the first of a queue is the first to be due, and coming, going and looking are O(1).
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "dataplane/flow/prefaulted.hpp"
#include "dataplane/flow/rate.hpp"

namespace sluice::dp {

class ProxyTimers {
public:
    explicit ProxyTimers(std::uint32_t count) noexcept : timers_{count} {}

    void start(std::uint32_t n, std::uint32_t now_tick) noexcept {
        stop(n);
        join(n, 0, now_tick);
    }
    /// The next look finds it given up.
    void give_up(std::uint32_t n, std::uint32_t now_tick) noexcept {
        stop(n);
        join(n, kGivenUp, now_tick);
    }
    void stop(std::uint32_t n) noexcept {
        if (timers_[n].queue != kIdle) leave(n);
    }

    struct Due {
        std::uint32_t number{};
        bool last{};  ///< it was sent often enough; the timer is stopped
    };
    /// The next one that is due; its timer runs on.
    std::optional<Due> take_due(std::uint32_t now_tick) noexcept {
        for (std::uint8_t q = 0; q <= kGivenUp; ++q) {
            const std::uint32_t n = queues_[q].first;
            if (n == kNobody || static_cast<std::int32_t>(now_tick - timers_[n].due_tick) < 0) continue;
            leave(n);
            const bool last = q >= kGivenUp - 1;
            if (!last) join(n, static_cast<std::uint8_t>(q + 1), now_tick);
            return Due{n, last};
        }
        return std::nullopt;
    }
    std::size_t bytes() const noexcept { return timers_.bytes(); }

private:
    static constexpr std::uint8_t kGivenUp = 4;  ///< number of its queue, behind those of the four spans
    static constexpr std::uint8_t kIdle = 0;
    static constexpr std::uint32_t kNobody = 0xffffffff;
    struct Timer {
        std::uint32_t due_tick;
        std::uint32_t before, behind;
        std::uint8_t queue;  ///< 1 + its number, or kIdle
    };
    struct Queue {
        std::uint32_t first{kNobody}, last{kNobody};
    };

    void join(std::uint32_t n, std::uint8_t queue, std::uint32_t now_tick) noexcept {
        Queue& q = queues_[queue];
        const std::uint32_t span = queue == kGivenUp ? 0 : kTicksPerSecond << queue;
        timers_[n] = {now_tick + span, q.last, kNobody, static_cast<std::uint8_t>(queue + 1)};
        (q.last == kNobody ? q.first : timers_[q.last].behind) = n;
        q.last = n;
    }
    void leave(std::uint32_t n) noexcept {
        const Timer t = timers_[n];
        Queue& q = queues_[t.queue - 1U];
        (t.before == kNobody ? q.first : timers_[t.before].behind) = t.behind;
        (t.behind == kNobody ? q.last : timers_[t.behind].before) = t.before;
        timers_[n].queue = kIdle;
    }

    PrefaultedArray<Timer> timers_;
    std::array<Queue, kGivenUp + 1> queues_{};
};

}  // namespace sluice::dp
