/// Which counter slot a rule id has. A slot follows its id from generation to generation, so counters go on when rules
/// are moved, edited or removed and put back. Slots of removed rules are given to others only when no fresh slot is
/// left, the one that was freed first coming first, and not before the dataplane has judged again every flow that may
/// stand under the removed rule: its packets, its place within `limits` and the name in its events would be the other
/// rule's.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <sluice/abi/tables.hpp>
#include <sluice/abi/verdict.hpp>
#include <sluice/expected.hpp>

#include "controlplane/policy/model.hpp"
#include "controlplane/policy/shared_list.hpp"

namespace sluice::cp {

struct SlotsExhausted {
    std::uint32_t needed{}, capacity{};  ///< slots, those of built-ins included
    std::uint32_t resting{};             ///< of removed rules whose flows are not all judged yet; 0 = there are too few
    std::string to_string() const;
};

/// By position of the rule in its policy.
using RuleSlots = std::vector<abi::RuleSlot>;

/// More than any dataplane has.
inline constexpr std::uint32_t kRuleSlotsMost = abi::kUntouchedWordsMax * 64;

/// Copies share everything until one of them is changed: asking for a policy whose rules all have a slot costs a look
/// at each.
class SlotMap {
public:
    /// `capacity` counts all slots from 0 on, those of built-ins included: the dataplane's rule_slots_max.
    explicit SlotMap(std::uint32_t capacity = 16'384) : capacity_{capacity} {}

    /// What an earlier `assign` answered.
    struct Before;

    /// Gives every rule of `policy` a slot and frees those of all others. Nothing changes if there are too few.
    /// `before`: of a policy that this one was edited from; rules that both share are not looked up then. Slots are the
    /// same without. It counts only if nothing was assigned since; may be null.
    Expected<RuleSlots, SlotsExhausted> assign(const Policy& policy, const Before* before = nullptr);

    /// No flow stands any more under a rule that was removed before: the slots that are free now may be given away.
    void flows_judged() noexcept { first_resting_ = next_freed_; }

    std::optional<abi::RuleSlot> find(std::string_view id) const;
    /// Also of a removed rule, as long as its slot is not another's.
    std::optional<abi::RuleSlot> last_of(std::string_view id) const;
    /// Also ids whose slot is free but not yet another's: what old flows and old counters are still called.
    std::optional<std::string_view> id_of(abi::RuleSlot slot) const;

    /// A copy of `other` that has not been changed since, nor has that one: both know the same ids.
    bool same_as(const SlotMap& other) const noexcept { return slots_ == other.slots_; }
    /// Behind the highest slot that has ever been given.
    std::uint32_t end() const noexcept { return static_cast<std::uint32_t>(slots().by_slot.size()); }
    /// Calls `visit(slot)` for every slot that may have another id than in `before`, a copy that one of the two was
    /// made of: what both share is passed over in blocks.
    template <typename Visit>
    void for_each_other(const SlotMap& before, Visit&& visit) const {
        const auto &is = slots().by_slot, &was = before.slots().by_slot;
        for (std::size_t slot = 0; slot < std::max(is.size(), was.size());) {
            if (const std::size_t run = is.same_run(slot, was, slot); run != 0) {
                slot += run;
                continue;
            }
            const bool in_both = slot < is.size() && slot < was.size();
            if (!in_both || !is.same(slot, was, slot)) visit(abi::RuleSlot{static_cast<std::uint32_t>(slot)});
            ++slot;
        }
    }

    std::uint32_t capacity() const noexcept { return capacity_; }
    /// The dataplane may come back with another configuration. Slots that are too high are forgotten.
    void set_capacity(std::uint32_t capacity);

    /// One line per id: `live SLOT ID` in order of slots, then `free SLOT ID`, the one that was freed first coming
    /// first. The same map gives the same text.
    std::string to_text() const;
    /// Error: a sentence with the line.
    static Expected<SlotMap, std::string> from_text(std::string_view text, std::uint32_t capacity);

    /// What makes this map of `before`, in lines: `none SLOT` for slots that are no longer an id's, then `live SLOT ID`
    /// and `free SLOT ID` as in the text, of slots that changed alone. Empty: nothing did.
    std::string changes_since(const SlotMap& before) const;
    /// Error: a sentence with the line; the map is of no use then.
    Expected<void, std::string> apply(std::string_view changes);

private:
    struct Entry {
        std::shared_ptr<const std::string> id;  ///< null: nobody's
        std::uint64_t freed{};                  ///< place in the order of freeing, 0 = live
    };
    struct Slots {
        SharedList<Entry> by_slot;
        /// Slots by the hash of their id, open addressing over a power of two, 0 = nothing here.
        std::vector<std::uint32_t> index;
        std::size_t count{};
        std::map<std::uint64_t, std::uint32_t> freed;  ///< slots by order of freeing

        std::size_t place_of(std::string_view id) const noexcept;  ///< in `index`: where it is, or would be
        std::uint32_t find(std::string_view id) const noexcept;    ///< 0: nowhere
        void give(std::string_view id, std::uint32_t slot);
        void take(std::uint32_t slot);
        void make_room(std::size_t more);  ///< in `index`
    };

    /// What a policy changes.
    struct Changes {
        RuleSlots slots;                  ///< kNoSlot where a rule has none yet
        std::vector<std::size_t> fresh;   ///< rules without a slot
        std::vector<std::uint32_t> back;  ///< of removed rules that return
        std::vector<std::uint32_t> gone;  ///< of rules that are not there any more
    };

    Changes changes_of(const Policy& policy) const;
    /// Precondition: `before` is what this map was assigned last.
    Changes changes_of(const Policy& policy, const Before& before) const;
    /// Notes the rule's slot; where it has none, or one that was freed, that is a change.
    void look_up(std::size_t rule, std::string_view id, Changes& changes) const;

    /// For reading: elements of a list that may be written to become its own.
    const Slots& slots() const noexcept { return *slots_; }
    /// Slots of this copy alone, to be changed.
    Slots& own();
    void free(std::uint32_t slot);
    /// The slot is the id's from now on; one that is too high is forgotten. What is wrong with that, or nothing.
    std::string_view take_over(bool freed, std::uint32_t slot, std::string_view id);
    /// How many slots must rest first for `fresh` more ids to have one each, when `kept` have theirs; 0: there are
    /// enough.
    std::uint32_t too_few_rested(std::size_t fresh, std::size_t kept, const std::vector<std::uint32_t>& back) const;
    std::uint32_t take_slot();

    std::shared_ptr<Slots> slots_{std::make_shared<Slots>()};
    std::uint32_t capacity_;
    std::uint32_t next_fresh_{static_cast<std::uint32_t>(abi::kSlotFirstFree)};
    std::uint64_t next_freed_{1};
    std::uint64_t first_resting_{1};  ///< freed from here on: flows may stand under it
};

struct SlotMap::Before {
    const Policy* policy{};
    const RuleSlots* slots{};
    const SlotMap* map{};  ///< a copy of it, made then
};

}  // namespace sluice::cp
