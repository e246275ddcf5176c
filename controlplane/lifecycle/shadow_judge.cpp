#include "controlplane/lifecycle/shadow_judge.hpp"

#include <algorithm>
#include <utility>

namespace sluice::cp {
namespace {

constexpr std::chrono::milliseconds kLookAgain{500};

bool asks_sets(const Policy& policy) {
    return std::ranges::any_of(policy.sets, [](const NetSet& set) { return set.by_api; });
}

}  // namespace

ShadowJudge::ShadowJudge(PreparedPtr candidate, const WireHint& wires, std::uint64_t events_lost_before,
                         ReadMembers members, Options options)
    : read_members_{std::move(members)},
      options_{options},
      events_lost_before_{events_lost_before},
      since_ns_{UtcClock{}.utc_ns(abi::MonoTime::now())},
      has_sets_{asks_sets(candidate->policy)},
      queue_{options.queue_events_max},
      tally_{std::move(candidate), abi::MonoTime::now()} {
    tally_.use_wires(wires);
    thread_ = std::thread{[this] { run(); }};
}

ShadowJudge::~ShadowJudge() { stop(); }

void ShadowJudge::stop() {
    queue_.close();
    if (thread_.joinable()) thread_.join();
}

void ShadowJudge::submit(EventBatchPtr batch) {
    const auto count = batch->events.size();
    if (!queue_.push(std::move(batch))) queue_lost_ += count;
}

void ShadowJudge::use_wires(const WireHint& wires) {
    const std::lock_guard lock{mutex_};
    tally_.use_wires(wires);
}

void ShadowJudge::set_watching(bool watching, std::string why_not) {
    const std::lock_guard lock{mutex_};
    const auto now = Clock::now();
    if (!watching_) unwatched_ += now - watch_changed_;
    watch_changed_ = now;
    watching_ = watching;
    watch_trouble_ = watching ? std::string{} : std::move(why_not);
}

bool ShadowJudge::watching() const {
    const std::lock_guard lock{mutex_};
    return watching_;
}

ShadowReport ShadowJudge::report(std::uint64_t events_lost) const {
    const std::lock_guard lock{mutex_};
    const PreparedPolicy& candidate = *tally_.candidate();
    ShadowReport report{.name = candidate.policy.name, .version = candidate.version, .hash = candidate.hash};
    report.since_ns = since_ns_;
    report.watching = watching_;
    const auto unwatched = watching_ ? unwatched_ : unwatched_ + (Clock::now() - watch_changed_);
    report.unwatched_ms =
        static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::milliseconds>(unwatched).count());
    report.trouble = watch_trouble_.empty() ? members_trouble_ : watch_trouble_;
    tally_.tell(report);
    report.unseen.lost = events_lost - std::min(events_lost, events_lost_before_);
    report.unseen.queue = queue_lost_;
    return report;
}

void ShadowJudge::run() {
    for (;;) {
        const auto taken = queue_.take(Clock::now() + kLookAgain);
        tend_members(Clock::now());
        for (const auto& batch : taken.batches) {
            const std::lock_guard lock{mutex_};
            tally_.add(*batch);
        }
        if (taken.closed) return;
    }
}

/// Reading two million members takes a second or two, in which the queue fills and the store is busy: so not for every
/// change, and never for more than a tenth of the time.
void ShadowJudge::tend_members(Clock::time_point now) {
    if (!has_sets_ || !members_stale_) return;
    const bool first = members_read_ == Clock::time_point{};
    if (!first && now - members_read_ < std::max<Clock::duration>(options_.members_every, 10 * members_took_)) return;
    members_stale_ = false;
    auto members = read_members_(tally_.candidate()->policy);
    members_read_ = Clock::now();
    members_took_ = members_read_ - now;
    if (!members) members_stale_ = true;
    const std::lock_guard lock{mutex_};
    members_trouble_ = members ? std::string{} : "members of sets are not read anew: " + members.error();
    if (members) tally_.use_members(std::move(*members));
}

}  // namespace sluice::cp
