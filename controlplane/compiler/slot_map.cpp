#include "controlplane/compiler/slot_map.hpp"

#include <algorithm>
#include <bit>
#include <charconv>
#include <functional>
#include <set>
#include <utility>
#include <vector>

namespace sluice::cp {

namespace {

constexpr auto kFirst = static_cast<std::uint32_t>(abi::kSlotFirstFree);

/// Cuts the next word off `line`; empty if there is none.
std::string_view word(std::string_view& line) {
    const std::size_t end = std::min(line.find(' '), line.size());
    const std::string_view w = line.substr(0, end);
    line.remove_prefix(std::min(end + 1, line.size()));
    return w;
}

std::optional<std::uint32_t> number(std::string_view s) {
    std::uint32_t n{};
    const auto [end, error] = std::from_chars(s.data(), s.data() + s.size(), n);
    if (error != std::errc{} || end != s.data() + s.size()) return std::nullopt;
    return n;
}

}  // namespace

std::string SlotsExhausted::to_string() const {
    if (resting != 0) {
        return "too few rule slots are free: flows of removed rules hold " + std::to_string(resting) +
               ", for the moments until they are judged again; remove those rules first and try again then, or raise "
               "rule_slots_max";
    }
    return "the policy needs " + std::to_string(needed) + " rule slots, the dataplane has " + std::to_string(capacity) +
           "; raise rule_slots_max or remove rules";
}

// ---------------------------------------------------------------------------------------------------------- by hash
std::size_t SlotMap::Slots::place_of(std::string_view id) const noexcept {
    const std::size_t mask = index.size() - 1;
    std::size_t at = std::hash<std::string_view>{}(id)&mask;
    while (index[at] != 0 && *by_slot[index[at]].id != id) at = (at + 1) & mask;
    return at;
}

std::uint32_t SlotMap::Slots::find(std::string_view id) const noexcept {
    return index.empty() ? 0 : index[place_of(id)];
}

void SlotMap::Slots::give(std::string_view id, std::uint32_t slot) {
    make_room(1);
    Entry entry{.id = std::make_shared<const std::string>(id)};
    if (by_slot.size() < slot) by_slot.resize(slot);
    if (by_slot.size() == slot) {
        by_slot.push_back(std::move(entry));
    } else {
        by_slot[slot] = std::move(entry);
    }
    index[place_of(id)] = slot;
    ++count;
}

/// What stands behind it and belongs before moves up: no search ends at a hole.
void SlotMap::Slots::take(std::uint32_t slot) {
    const std::size_t mask = index.size() - 1;
    const SharedList<Entry>& entries = by_slot;
    std::size_t hole = place_of(*entries[slot].id);
    for (std::size_t at = (hole + 1) & mask; index[at] != 0; at = (at + 1) & mask) {
        const std::size_t home = std::hash<std::string_view>{}(*entries[index[at]].id) & mask;
        if (((at - home) & mask) < ((at - hole) & mask)) continue;
        index[hole] = index[at];
        hole = at;
    }
    index[hole] = 0;
    if (entries[slot].freed != 0) freed.erase(entries[slot].freed);
    by_slot[slot] = {};
    --count;
}

void SlotMap::Slots::make_room(std::size_t more) {
    if ((count + more) * 2 <= index.size()) return;
    std::vector<std::uint32_t> old(std::max<std::size_t>(64, std::bit_ceil((count + more) * 2)));
    old.swap(index);
    for (const std::uint32_t slot : old) {
        if (slot != 0) index[place_of(*std::as_const(by_slot)[slot].id)] = slot;
    }
}

SlotMap::Slots& SlotMap::own() {
    if (slots_.use_count() != 1) slots_ = std::make_shared<Slots>(*slots_);
    return *slots_;
}

// ----------------------------------------------------------------------------------------------------------- the map
void SlotMap::look_up(std::size_t rule, std::string_view id, Changes& changes) const {
    const std::uint32_t slot = slots().find(id);
    if (slot == 0) {
        changes.fresh.push_back(rule);
        return;
    }
    changes.slots[rule] = abi::RuleSlot{slot};
    if (slots().by_slot[slot].freed != 0) changes.back.push_back(slot);
}

SlotMap::Changes SlotMap::changes_of(const Policy& policy) const {
    Changes changes{.slots = RuleSlots(policy.rules.size(), abi::kNoSlot), .fresh = {}, .back = {}, .gone = {}};
    std::vector<bool> wanted(slots().by_slot.size());
    for (std::size_t i = 0; i < policy.rules.size(); ++i) {
        look_up(i, policy.rules[i].id, changes);
        const auto slot = static_cast<std::uint32_t>(changes.slots[i]);
        if (slot < wanted.size()) wanted[slot] = true;
    }
    for (std::uint32_t slot = kFirst; slot < wanted.size(); ++slot) {
        const Entry& entry = slots().by_slot[slot];
        if (entry.id && entry.freed == 0 && !wanted[slot]) changes.gone.push_back(slot);
    }
    return changes;
}

SlotMap::Changes SlotMap::changes_of(const Policy& policy, const Before& before) const {
    Changes changes{.slots = RuleSlots(policy.rules.size(), abi::kNoSlot), .fresh = {}, .back = {}, .gone = {}};
    const RuleSlots& were = *before.slots;
    std::vector<std::uint32_t> found;  // of rules that are not shared
    std::size_t copied = 0;            // of those before
    const auto copy_until = [&](std::size_t was, std::size_t is) {
        std::copy(were.begin() + static_cast<std::ptrdiff_t>(copied), were.begin() + static_cast<std::ptrdiff_t>(was),
                  changes.slots.begin() + static_cast<std::ptrdiff_t>(is - (was - copied)));
    };
    const auto gaps = shared_gaps(before.policy->rules, policy.rules);
    for (const SharedGap& gap : gaps) {
        copy_until(gap.before_first, gap.after_first);
        copied = gap.before_last;
        for (std::size_t i = gap.after_first; i < gap.after_last; ++i) {
            look_up(i, policy.rules[i].id, changes);
            found.push_back(static_cast<std::uint32_t>(changes.slots[i]));
        }
    }
    copy_until(were.size(), changes.slots.size());
    std::ranges::sort(found);
    for (const SharedGap& gap : gaps) {
        for (std::size_t i = gap.before_first; i < gap.before_last; ++i) {
            const auto slot = static_cast<std::uint32_t>(were[i]);
            if (!std::ranges::binary_search(found, slot)) changes.gone.push_back(slot);
        }
    }
    return changes;
}

Expected<RuleSlots, SlotsExhausted> SlotMap::assign(const Policy& policy, const Before* before) {
    const bool known = before != nullptr && before->map->same_as(*this);
    Changes changes = known ? changes_of(policy, *before) : changes_of(policy);
    std::ranges::sort(changes.back);
    changes.back.erase(std::unique(changes.back.begin(), changes.back.end()), changes.back.end());
    std::vector<std::string_view> ids;
    for (const std::size_t rule : changes.fresh) ids.push_back(policy.rules[rule].id);
    std::ranges::sort(ids);
    const auto fresh = static_cast<std::size_t>(std::unique(ids.begin(), ids.end()) - ids.begin());
    const std::size_t live = slots().count - slots().freed.size();
    const std::size_t kept = live - changes.gone.size() + changes.back.size();
    const std::uint64_t needed = kFirst + kept + fresh;
    if (needed > capacity_)
        return Unexpected<SlotsExhausted>{{.needed = static_cast<std::uint32_t>(needed), .capacity = capacity_}};
    if (const std::uint32_t resting = too_few_rested(fresh, kept, changes.back); resting != 0) {
        return Unexpected<SlotsExhausted>{
            {.needed = static_cast<std::uint32_t>(needed), .capacity = capacity_, .resting = resting}};
    }
    if (fresh == 0 && changes.back.empty() && changes.gone.empty())
        return std::move(changes.slots);  // all is as it was

    Slots& slots = own();
    slots.make_room(fresh);
    std::ranges::sort(changes.gone, {},
                      [&](std::uint32_t slot) -> const std::string& { return *std::as_const(slots).by_slot[slot].id; });
    for (const std::uint32_t slot : changes.gone) free(slot);
    // Ids that still have their slot come first, so that no fresh id takes it from them.
    for (const std::uint32_t slot : changes.back) {
        slots.freed.erase(slots.by_slot[slot].freed);
        slots.by_slot[slot].freed = 0;
    }
    for (const std::size_t rule : changes.fresh) {
        const std::string& id = policy.rules[rule].id;
        std::uint32_t slot = slots.find(id);
        if (slot == 0) slots.give(id, slot = take_slot());
        changes.slots[rule] = abi::RuleSlot{slot};
    }
    return std::move(changes.slots);
}

std::uint32_t SlotMap::too_few_rested(std::size_t fresh, std::size_t kept,
                                      const std::vector<std::uint32_t>& back) const {
    const std::size_t never_given = capacity_ - std::min(next_fresh_, capacity_);
    if (fresh <= never_given) return 0;
    const auto has_rested = [&](std::uint64_t order) { return order < first_resting_; };
    std::uint64_t rested = 0;
    for (const auto& [order, slot] : slots().freed) rested += has_rested(order) ? 1 : 0;
    for (const std::uint32_t slot : back) rested -= has_rested(slots().by_slot[slot].freed) ? 1 : 0;
    const std::uint64_t resting = slots().count - kept - rested;
    return rested + never_given < fresh ? static_cast<std::uint32_t>(resting) : 0;
}

std::optional<abi::RuleSlot> SlotMap::find(std::string_view id) const {
    const std::uint32_t slot = slots().find(id);
    if (slot == 0 || slots().by_slot[slot].freed != 0) return std::nullopt;
    return abi::RuleSlot{slot};
}

std::optional<abi::RuleSlot> SlotMap::last_of(std::string_view id) const {
    const std::uint32_t slot = slots().find(id);
    return slot == 0 ? std::nullopt : std::optional{abi::RuleSlot{slot}};
}

std::optional<std::string_view> SlotMap::id_of(abi::RuleSlot slot) const {
    const auto at = static_cast<std::uint32_t>(slot);
    if (at >= slots().by_slot.size() || !slots().by_slot[at].id) return std::nullopt;
    return *slots().by_slot[at].id;
}

void SlotMap::set_capacity(std::uint32_t capacity) {
    capacity_ = capacity;
    if (capacity < end()) {
        Slots& slots = own();
        for (std::uint32_t slot = capacity; slot < slots.by_slot.size(); ++slot) {
            if (std::as_const(slots).by_slot[slot].id) slots.take(slot);
        }
        slots.by_slot.resize(capacity);
    }
    next_fresh_ = std::max(kFirst, std::min(next_fresh_, capacity));
}

// ----------------------------------------------------------------------------------------------------------- as text
namespace {

void add_line(std::string& text, std::string_view state, std::uint32_t slot, std::string_view id) {
    text.append(state).append(" ").append(std::to_string(slot));
    if (!id.empty()) text.append(" ").append(id);
    text.append("\n");
}

/// Calls `visit(state, slot, id)`, which answers what is wrong with the line, or nothing. Error: a sentence.
template <typename Visit>
Expected<void, std::string> for_each_line(std::string_view text, Visit&& visit) {
    for (std::size_t line_number = 1; !text.empty(); ++line_number) {
        const auto refuse = [&](std::string_view what) {
            return Unexpected<std::string>{"slots:" + std::to_string(line_number) + ": " + std::string{what}};
        };
        const std::size_t end = text.find('\n');
        if (end == std::string_view::npos) return refuse("the line is cut short");
        std::string_view line = text.substr(0, end);
        text.remove_prefix(end + 1);
        const std::string_view state = word(line);
        const auto slot = number(word(line));
        const std::string_view id = word(line);
        if (!line.empty()) return refuse("there is more behind the id");
        if (!slot || *slot < kFirst || *slot == static_cast<std::uint32_t>(abi::kNoSlot))
            return refuse("not a slot of a rule");
        if (const std::string_view wrong = visit(state, *slot, id); !wrong.empty()) return refuse(wrong);
    }
    return {};
}

}  // namespace

std::string SlotMap::to_text() const {
    std::string text;
    text.reserve(slots().count * 24);
    for (std::uint32_t slot = kFirst; slot < slots().by_slot.size(); ++slot) {
        const Entry& entry = slots().by_slot[slot];
        if (entry.id && entry.freed == 0) add_line(text, "live", slot, *entry.id);
    }
    for (const auto& [order, slot] : slots().freed) add_line(text, "free", slot, *slots().by_slot[slot].id);
    return text;
}

Expected<SlotMap, std::string> SlotMap::from_text(std::string_view text, std::uint32_t capacity) {
    SlotMap map{capacity};
    std::set<std::uint32_t> too_high;
    std::set<std::string, std::less<>> ids_too_high;
    const auto read = for_each_line(text, [&](std::string_view state, std::uint32_t slot, std::string_view id) {
        if ((state != "live" && state != "free") || id.empty())
            return std::string_view{"expected `live SLOT ID` or `free SLOT ID`"};
        if (map.slots().find(id) != 0 || ids_too_high.contains(id)) return std::string_view{"the id stands twice"};
        if (map.id_of(abi::RuleSlot{slot}) || too_high.contains(slot)) return std::string_view{"the slot stands twice"};
        if (slot >= capacity) {  // forgotten, but not what it would break
            too_high.insert(slot);
            ids_too_high.emplace(id);
        }
        return map.take_over(state == "free", slot, id);
    });
    if (!read) return Unexpected(read.error());
    map.set_capacity(capacity);
    return map;
}

std::string_view SlotMap::take_over(bool freed, std::uint32_t slot, std::string_view id) {
    next_fresh_ = std::max(next_fresh_, slot + 1);
    if (slot >= capacity_) return {};
    Slots& slots = own();
    const auto has = id_of(abi::RuleSlot{slot});
    if (has && *has != id) return "the slot is another id's";
    if (!has && slots.find(id) != 0) return "the id has another slot";
    if (!has) slots.give(id, slot);
    if (const auto order = std::as_const(slots).by_slot[slot].freed; order != 0) {
        slots.freed.erase(order);
        slots.by_slot[slot].freed = 0;
    }
    if (freed) free(slot);
    return {};
}

std::string SlotMap::changes_since(const SlotMap& before) const {
    const auto entry_of = [](const SlotMap& map, std::uint32_t slot) {
        return slot < map.slots().by_slot.size() ? map.slots().by_slot[slot] : Entry{};
    };
    std::string gone, live;
    std::map<std::uint64_t, std::uint32_t> freed;
    for_each_other(before, [&](abi::RuleSlot at) {
        const auto slot = static_cast<std::uint32_t>(at);
        const Entry was = entry_of(before, slot), is = entry_of(*this, slot);
        const bool same_id = was.id && is.id && *was.id == *is.id;
        if (same_id && was.freed == is.freed) return;
        if (was.id && !same_id) add_line(gone, "none", slot, {});
        if (is.id && is.freed == 0) add_line(live, "live", slot, *is.id);
        if (is.id && is.freed != 0) freed.emplace(is.freed, slot);
    });
    std::string text = gone + live;
    for (const auto& [order, slot] : freed) add_line(text, "free", slot, *slots().by_slot[slot].id);
    return text;
}

Expected<void, std::string> SlotMap::apply(std::string_view changes) {
    auto applied = for_each_line(changes, [&](std::string_view state, std::uint32_t slot, std::string_view id) {
        if (state == "none" && id.empty()) {
            if (slot >= capacity_) return std::string_view{};
            if (!id_of(abi::RuleSlot{slot})) return std::string_view{"the slot is nobody's"};
            own().take(slot);
            return std::string_view{};
        }
        if ((state != "live" && state != "free") || id.empty())
            return std::string_view{"expected `none SLOT`, `live SLOT ID` or `free SLOT ID`"};
        return take_over(state == "free", slot, id);
    });
    set_capacity(capacity_);
    return applied;
}

void SlotMap::free(std::uint32_t slot) {
    Slots& slots = own();
    slots.by_slot[slot].freed = next_freed_++;
    slots.freed.emplace(slots.by_slot[slot].freed, slot);
}

/// Precondition: assign() counted that there is one.
std::uint32_t SlotMap::take_slot() {
    if (next_fresh_ < capacity_) return next_fresh_++;
    Slots& slots = own();
    const std::uint32_t slot = slots.freed.begin()->second;
    slots.take(slot);
    return slot;
}

}  // namespace sluice::cp
