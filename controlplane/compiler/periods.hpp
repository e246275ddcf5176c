/// Time, cut into periods in each of which the same rules are in force. Schedules and expiries are looked up here, when
/// a policy is compiled; what runs it only compares instants.
#pragma once

#include <bitset>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include <sluice/abi/tables.hpp>
#include <sluice/expected.hpp>

#include "controlplane/policy/model.hpp"
#include "controlplane/policy/schedule.hpp"

namespace sluice::cp {

/// Schedules are written out from the beginning of the year in which the policy is compiled: the same policy gives the
/// same tables for a year, and a dataplane that nobody talks to goes on by them for four years at least.
inline constexpr int kYearsWrittenOut = 5;
inline constexpr std::uint32_t kPeriodsMax = 4096;

/// From `first` on, before `last`. Instants that tests of the policy ask about lie within.
struct WrittenOut {
    UnixSeconds first{}, last{};
    bool contains(UnixSeconds at) const noexcept { return at >= first && at < last; }
};
WrittenOut written_out(const Policy& policy, UnixSeconds now);

/// Why there are too many, with figures.
struct TooMuchTime {
    std::string code, detail;
    std::uint64_t needed{}, allowed{};
};

/// A bit per period.
using PeriodBits = std::vector<bool>;

class Periods {
public:
    /// Of a policy in which nothing depends on time: one period.
    Periods() = default;
    /// `now`: when the policy is compiled.
    static Expected<Periods, TooMuchTime> of(const Policy& policy, UnixSeconds now);

    std::uint32_t count() const noexcept { return static_cast<std::uint32_t>(states_.size()); }
    const std::vector<abi::Transition>& transitions() const noexcept { return transitions_; }
    /// In which periods the rule stands as `standing` says.
    PeriodBits bits(const Rule& rule, Standing standing) const;

private:
    /// What can differ from an instant to another.
    struct State {
        std::bitset<kSchedulesMax> open;
        std::size_t expired{};  ///< so many of `expiries_` have passed
        bool operator==(const State&) const = default;
    };
    struct Change {
        UnixSeconds at{};
        std::size_t schedule{};  ///< kSchedulesMax: an expiry
    };
    std::vector<Change> changes(const Policy& policy, const WrittenOut& range);

    std::vector<abi::Transition> transitions_{{}};
    std::vector<State> states_{{}};  ///< by period
    std::vector<UnixSeconds> expiries_;
};

}  // namespace sluice::cp
