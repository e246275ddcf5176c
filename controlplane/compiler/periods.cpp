#include "controlplane/compiler/periods.hpp"

#include <algorithm>
#include <unordered_map>

#include <absl/time/civil_time.h>
#include <absl/time/time.h>

namespace sluice::cp {

namespace {

UnixSeconds start_of_year(UnixSeconds at, int years_later) {
    const auto civil = absl::ToCivilYear(absl::FromUnixSeconds(at), absl::UTCTimeZone()) + years_later;
    return absl::ToUnixSeconds(absl::FromCivil(civil, absl::UTCTimeZone()));
}

}  // namespace

WrittenOut written_out(const Policy& policy, UnixSeconds now) {
    WrittenOut range{start_of_year(now, 0), start_of_year(now, kYearsWrittenOut)};
    for (const PolicyTest& test : policy.tests) {
        if (!test.at) continue;
        range.first = std::min(range.first, start_of_year(*test.at, 0));
        range.last = std::max(range.last, start_of_year(*test.at, 1));
    }
    range.first = std::max<UnixSeconds>(range.first, 0);
    return range;
}

/// When a schedule opens or closes and when something expires, in order. Sets `expiries_` and the first state.
std::vector<Periods::Change> Periods::changes(const Policy& policy, const WrittenOut& range) {
    std::vector<bool> used(policy.schedules.size());
    for (const Rule& rule : policy.rules) {
        if (rule.when) used[*rule.when] = true;
        if (rule.expires) expiries_.push_back(*rule.expires);
    }
    std::ranges::sort(expiries_);
    expiries_.erase(std::unique(expiries_.begin(), expiries_.end()), expiries_.end());
    std::vector<Change> changes;
    // However far away an expiry is: there are few of them.
    for (const UnixSeconds at : expiries_) {
        if (at > range.first) {
            changes.push_back({at, kSchedulesMax});
        } else {
            ++states_[0].expired;
        }
    }
    for (std::size_t s = 0; s < used.size(); ++s) {
        if (!used[s]) continue;
        bool open = is_open(policy.schedules[s], range.first);
        states_[0].open[s] = open;
        for (const UnixSeconds at : schedule_edges(policy.schedules[s], range.first, range.last)) {
            if (is_open(policy.schedules[s], at) == open) continue;
            open = !open;
            changes.push_back({at, s});
        }
    }
    std::ranges::sort(changes, {}, &Change::at);
    return changes;
}

Expected<Periods, TooMuchTime> Periods::of(const Policy& policy, UnixSeconds now) {
    Periods periods;
    if (!depends_on_time(policy)) return periods;
    const auto changes = periods.changes(policy, written_out(policy, now));
    const auto hash = [](const State& s) { return std::hash<std::bitset<kSchedulesMax>>{}(s.open) + s.expired; };
    std::unordered_map<State, std::uint32_t, decltype(hash)> known{64, hash};
    State state = periods.states_[0];
    known.emplace(state, 0);
    for (std::size_t i = 0; i < changes.size();) {
        const UnixSeconds at = changes[i].at;
        for (; i < changes.size() && changes[i].at == at; ++i) {
            if (changes[i].schedule == kSchedulesMax) {
                ++state.expired;
            } else {
                state.open.flip(changes[i].schedule);
            }
        }
        const auto [it, fresh] = known.try_emplace(state, periods.count());
        if (fresh) periods.states_.push_back(state);
        if (periods.count() > kPeriodsMax) {
            return Unexpected<TooMuchTime>{
                {"too-many-periods",
                 "schedules and expiries make more than " + std::to_string(kPeriodsMax) +
                     " different combinations of rules in force; use fewer schedules that overlap, and the same "
                     "expiry for rules that go together",
                 periods.count(), kPeriodsMax}};
        }
        if (it->second == periods.transitions_.back().period) continue;
        periods.transitions_.push_back({.at_unix_s = static_cast<std::uint64_t>(at), .period = it->second});
    }
    if (periods.transitions_.size() > abi::kTransitionsMax) {
        return Unexpected<TooMuchTime>{{"too-many-transitions",
                                        "schedules and expiries change what is in force " +
                                            std::to_string(periods.transitions_.size()) +
                                            " times in the years that are written out, at most " +
                                            std::to_string(abi::kTransitionsMax) + "; use fewer schedules",
                                        periods.transitions_.size(), abi::kTransitionsMax}};
    }
    return periods;
}

PeriodBits Periods::bits(const Rule& rule, Standing standing) const {
    const auto passed = rule.expires ? std::ranges::lower_bound(expiries_, *rule.expires) - expiries_.begin() : 0;
    PeriodBits bits;
    bits.reserve(states_.size());
    for (const State& state : states_) {
        const bool expired = rule.expires && state.expired > static_cast<std::size_t>(passed);
        const Standing is = rule.when && !state.open[*rule.when]             ? Standing::absent
                            : expired || rule.mode == abi::RuleMode::observe ? Standing::observed
                                                                             : Standing::enforced;
        bits.push_back(is == standing);
    }
    return bits;
}

}  // namespace sluice::cp
