/// What is kept of a policy that was compiled as a whole: all that edits of it, compiled beside its tables, need.
#pragma once

#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "controlplane/compiler/changing_sets.hpp"
#include "controlplane/compiler/edit_reach.hpp"
#include "controlplane/compiler/entries.hpp"
#include "controlplane/compiler/periods.hpp"
#include "controlplane/compiler/slot_map.hpp"
#include "controlplane/compiler/term_hulls.hpp"
#include "controlplane/compiler/terms.hpp"
#include "controlplane/policy/model.hpp"

namespace sluice::cp {

struct WholeTables {
    WholeTables(const Policy& of, RuleSlots its_slots, std::shared_ptr<const TermBuilder> its_terms,
                Periods its_periods, Entries its_entries, SetQuestions its_questions, UnixSeconds at)
        : policy{of},
          slots{std::move(its_slots)},
          terms{std::move(its_terms)},
          periods{std::move(its_periods)},
          entries{std::move(its_entries)},
          asked{std::move(its_questions)},
          compiled_at{at},
          hulls{*terms, policy.rules.size()},
          quiet{quiet_slots(policy, slots)} {}

    Policy policy;
    RuleSlots slots;
    std::shared_ptr<const TermBuilder> terms;
    Periods periods;
    Entries entries;
    SetQuestions asked;
    UnixSeconds compiled_at{};  ///< schedules are written out for the years from then on
    TermHulls hulls;
    /// Bit per slot: rules whose flows need no second look while nobody in front of them takes more than before.
    std::vector<std::uint64_t> quiet;
};

}  // namespace sluice::cp
