/// Asks a candidate about new flows, on a thread of its own behind a bounded queue: who drains the rings never waits
/// for it, and neither do the flow log and the record store. What does not fit into the queue is counted as not seen.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "controlplane/lifecycle/shadow_report.hpp"
#include "controlplane/lifecycle/shadow_tally.hpp"
#include "controlplane/telemetry/batch_queue.hpp"

namespace sluice::cp {

class ShadowJudge {
public:
    using Members = std::shared_ptr<dp::OwnSetTable>;
    /// What the sets of a policy have now. Error: a sentence; called on the judge's own thread.
    using ReadMembers = std::function<Expected<Members, std::string>(const Policy&)>;
    struct Options {
        std::size_t queue_events_max{65'536};            ///< three seconds of what workers are asked for, some 10 MB
        std::chrono::milliseconds members_every{2'000};  ///< at most so often, where they have changed
    };

    /// `events_lost_before`: of all rings, up to now.
    ShadowJudge(PreparedPtr candidate, const WireHint& wires, std::uint64_t events_lost_before, ReadMembers members,
                Options options);
    ShadowJudge(PreparedPtr candidate, const WireHint& wires, std::uint64_t events_lost_before, ReadMembers members)
        : ShadowJudge{std::move(candidate), wires, events_lost_before, std::move(members), Options{}} {}
    ~ShadowJudge();
    /// What was submitted is judged first; what comes later is not. Whoever holds it last need not wait then.
    void stop();
    ShadowJudge(const ShadowJudge&) = delete;
    ShadowJudge& operator=(const ShadowJudge&) = delete;

    /// Never waits.
    void submit(EventBatchPtr batch);
    void use_wires(const WireHint& wires);
    /// Sets have changed: flows from some seconds on are asked about with their new members. (Members that run out do
    /// so by themselves.)
    void members_changed() noexcept { members_stale_ = true; }
    /// Whether the dataplane tells new flows, or why not.
    void set_watching(bool watching, std::string why_not);
    bool watching() const;

    /// All but who started it, when and why. `events_lost`: of all rings, up to now.
    ShadowReport report(std::uint64_t events_lost) const;

private:
    using Clock = std::chrono::steady_clock;

    void run();
    void tend_members(Clock::time_point now);

    const ReadMembers read_members_;
    const Options options_;
    const std::uint64_t events_lost_before_;
    const std::int64_t since_ns_;
    const bool has_sets_;
    BatchQueue queue_;
    std::atomic<std::uint64_t> queue_lost_{};
    std::atomic<bool> members_stale_{true};
    Clock::time_point members_read_{};  // the thread's own, as the next
    Clock::duration members_took_{};    // to read, the last time

    mutable std::mutex mutex_;  // what follows
    ShadowTally tally_;
    bool watching_{false};
    Clock::time_point watch_changed_{Clock::now()};
    std::chrono::nanoseconds unwatched_{};  ///< up to watch_changed_
    std::string watch_trouble_{"the dataplane has not been asked yet"}, members_trouble_;
    std::thread thread_;
};

}  // namespace sluice::cp
