/// Which counter slot a rule id has. A slot follows its id from generation to generation, so counters go on when rules
/// are moved, edited or removed and put back. Slots of removed rules are given to others only when no fresh slot is
/// left, the one that was freed first coming first, and not before the dataplane has judged again every flow that may
/// stand under the removed rule: its packets, its place within `limits` and the name in its events would be the other
/// rule's.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>

#include <sluice/abi/verdict.hpp>
#include <sluice/expected.hpp>

#include "controlplane/policy/model.hpp"

namespace sluice::cp {

struct SlotsExhausted {
    std::uint32_t needed{}, capacity{};  ///< slots, those of built-ins included
    std::uint32_t resting{};             ///< of removed rules whose flows are not all judged yet; 0 = there are too few
    std::string to_string() const;
};

class SlotMap {
public:
    /// `capacity` counts all slots from 0 on, those of built-ins included: the dataplane's rule_slots_max.
    explicit SlotMap(std::uint32_t capacity = 16'384) : capacity_{capacity} {}

    /// Gives every rule of `policy` a slot and frees those of all others. Nothing changes if there are too few.
    Expected<void, SlotsExhausted> assign(const Policy& policy);

    /// No flow stands any more under a rule that was removed before: the slots that are free now may be given away.
    void flows_judged() noexcept { first_resting_ = next_freed_; }

    std::optional<abi::RuleSlot> find(std::string_view id) const;
    /// Also of a removed rule, as long as its slot is not another's.
    std::optional<abi::RuleSlot> last_of(std::string_view id) const;
    /// Also ids whose slot is free but not yet another's: what old flows and old counters are still called.
    std::optional<std::string_view> id_of(abi::RuleSlot slot) const;

    std::uint32_t capacity() const noexcept { return capacity_; }
    /// The dataplane may come back with another configuration. Slots that are too high are forgotten.
    void set_capacity(std::uint32_t capacity);

    /// One line per id: `live SLOT ID` in order of slots, then `free SLOT ID`, the one that was freed first coming
    /// first. The same map gives the same text.
    std::string to_text() const;
    /// Error: a sentence with the line.
    static Expected<SlotMap, std::string> from_text(std::string_view text, std::uint32_t capacity);

private:
    struct Entry {
        abi::RuleSlot slot{};
        std::uint64_t freed{};  ///< place in the order of freeing, 0 = live
    };

    void free(std::string_view id, Entry& entry);
    /// How many slots must rest first for `wanted` to have one each; 0: there are enough.
    std::uint32_t too_few_rested(const std::set<std::string_view>& wanted) const;
    abi::RuleSlot take_slot();
    void give(std::string_view id, abi::RuleSlot slot);

    std::uint32_t capacity_;
    std::uint32_t next_fresh_{static_cast<std::uint32_t>(abi::kSlotFirstFree)};
    std::uint64_t next_freed_{1};
    std::uint64_t first_resting_{1};  ///< freed from here on: flows may stand under it
    std::map<std::string, Entry, std::less<>> by_id_;
    std::map<abi::RuleSlot, std::string> by_slot_;
    std::map<std::uint64_t, std::string> freed_;  // by order of freeing
};

}  // namespace sluice::cp
