/// Guard conditions: a commit that waits for its confirmation is left when traffic fares worse under it than before.
///
/// Theory of operation. The keeper notes the dataplane's counters once a second. A commit with a guard gets the rates
/// of the minute before it, and is then judged every second by those of its own last ten: it trips when a rate is worse
/// by more than its bound, in percentage points, and when enough has passed for that to mean something. A firewall that
/// was idle before had rates of 0, and so has one of which too little was seen: whoever asks for the guard is told. Its
/// bounds and those rates stand in the store with the intent, so a control plane that starts again goes on watching.
/// The dataplane knows nothing of it: with the control plane dead nobody watches, and the deadline of the confirmation
/// reverts all the same.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>

#include <sluice/expected.hpp>

namespace sluice::cp {

enum class GuardedRate : std::uint8_t {
    drop_rate = 0,          ///< packets dropped for any reason, of those received
    refused_flows = 1,      ///< first packets that no rule or limit let in, of those and the flows made
    failed_handshakes = 2,  ///< TCP connections that came to nothing, of those and the ones that were established
};
inline constexpr std::size_t kGuardedRates = 3;
std::string_view to_string(GuardedRate rate) noexcept;

/// By how many percentage points a rate may get worse; nothing = it is not watched.
struct GuardBounds {
    std::array<std::optional<double>, kGuardedRates> points{};
    bool operator==(const GuardBounds&) const = default;
};

/// `drop-rate=5, refused-flows=12.5%`. Error: a sentence.
Expected<GuardBounds, std::string> parse_guard(std::string_view text);

/// As parse_guard reads it.
std::string to_text(const GuardBounds& bounds);

/// What a guard is held against as long as it watches.
struct GuardTerms {
    GuardBounds bounds;
    std::array<double, kGuardedRates> before{};  ///< percent, under the policy that was left
    bool operator==(const GuardTerms&) const = default;
};
/// Of one GuardedRate: what it is a share of, and the share.
struct Share {
    std::uint64_t of{};
    double percent{};
};
using Shares = std::array<Share, kGuardedRates>;
/// A rate of which too little has been seen to mean something counts as 0.
GuardTerms terms_over(const GuardBounds& bounds, const Shares& before);
/// Those of them, for people; empty = what was before is known of all.
std::string unknown_before(const GuardBounds& bounds, const Shares& before);

/// For the store: `drop-rate=5 over 10.25, refused-flows=20 over 0`.
std::string to_text(const GuardTerms& terms);
/// Nothing: it is none of those.
std::optional<GuardTerms> parse_guard_terms(std::string_view text);

/// The dataplane's counters at a moment; they only count up.
struct TrafficMark {
    std::chrono::steady_clock::time_point at{};
    std::uint64_t packets{}, drops{};       ///< received; of those, dropped
    std::uint64_t made{}, refused{};        ///< flows; first packets that no rule or limit let in
    std::uint64_t established{}, failed{};  ///< handshakes of TCP
};

/// At most 100 %, whatever the counters say.
Share share_between(GuardedRate rate, const TrafficMark& from, const TrafficMark& to) noexcept;

/// Marks of the last minute.
class TrafficHistory {
public:
    void note(const TrafficMark& mark);
    /// Over all that is known, up to `now`.
    Shares rates_until(const TrafficMark& now) const noexcept;

private:
    std::deque<TrafficMark> marks_;
};

class CommitGuard {
public:
    /// `begun`: when its policy came into force, or a process began to watch it.
    CommitGuard(std::uint64_t generation, const GuardTerms& terms, const TrafficMark& begun)
        : generation_{generation}, terms_{terms}, marks_{begun} {}

    std::uint64_t generation() const noexcept { return generation_; }
    const GuardBounds& bounds() const noexcept { return terms_.bounds; }
    /// Why the commit must go: a sentence with both figures. Nothing: it may stay.
    std::optional<std::string> judge(const TrafficMark& now);

private:
    std::uint64_t generation_;
    GuardTerms terms_;
    std::deque<TrafficMark> marks_;  ///< since it began; never empty
};

}  // namespace sluice::cp
