#include "controlplane/compiler/slot_map.hpp"

#include <algorithm>
#include <charconv>
#include <limits>
#include <set>
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

Expected<void, SlotsExhausted> SlotMap::assign(const Policy& policy) {
    std::set<std::string_view> wanted;
    for (const Rule& rule : policy.rules) wanted.insert(rule.id);
    const std::uint64_t needed = std::uint64_t{kFirst} + wanted.size();
    if (needed > capacity_)
        return Unexpected<SlotsExhausted>{{.needed = static_cast<std::uint32_t>(needed), .capacity = capacity_}};
    if (const std::uint32_t resting = too_few_rested(wanted); resting != 0) {
        return Unexpected<SlotsExhausted>{
            {.needed = static_cast<std::uint32_t>(needed), .capacity = capacity_, .resting = resting}};
    }

    for (auto& [id, entry] : by_id_) {
        if (entry.freed == 0 && !wanted.contains(id)) free(id, entry);
    }
    // Ids that still have their slot come first, so that no fresh id takes it from them.
    std::vector<std::string_view> fresh;
    for (const Rule& rule : policy.rules) {
        const auto it = by_id_.find(rule.id);
        if (it == by_id_.end()) {
            fresh.push_back(rule.id);
        } else if (it->second.freed != 0) {
            freed_.erase(it->second.freed);
            it->second.freed = 0;
        }
    }
    for (const std::string_view id : fresh) {
        if (!by_id_.contains(id)) give(id, take_slot());
    }
    return {};
}

std::uint32_t SlotMap::too_few_rested(const std::set<std::string_view>& wanted) const {
    const auto fresh = std::ranges::count_if(wanted, [&](std::string_view id) { return !by_id_.contains(id); });
    std::uint64_t rested = capacity_ - std::min(next_fresh_, capacity_);
    std::uint32_t resting = 0;
    for (const auto& [id, entry] : by_id_) {
        if (wanted.contains(id)) continue;
        const bool is_rested = entry.freed != 0 && entry.freed < first_resting_;
        if (is_rested) {
            ++rested;
        } else {
            ++resting;
        }
    }
    return rested < static_cast<std::uint64_t>(fresh) ? resting : 0;
}

std::optional<abi::RuleSlot> SlotMap::find(std::string_view id) const {
    const auto it = by_id_.find(id);
    if (it == by_id_.end() || it->second.freed != 0) return std::nullopt;
    return it->second.slot;
}

std::optional<abi::RuleSlot> SlotMap::last_of(std::string_view id) const {
    const auto it = by_id_.find(id);
    return it == by_id_.end() ? std::nullopt : std::optional{it->second.slot};
}

std::optional<std::string_view> SlotMap::id_of(abi::RuleSlot slot) const {
    const auto it = by_slot_.find(slot);
    if (it == by_slot_.end()) return std::nullopt;
    return it->second;
}

void SlotMap::set_capacity(std::uint32_t capacity) {
    capacity_ = capacity;
    for (auto it = by_slot_.begin(); it != by_slot_.end();) {
        if (static_cast<std::uint32_t>(it->first) < capacity) {
            ++it;
            continue;
        }
        const auto entry = by_id_.find(it->second);
        if (entry->second.freed != 0) freed_.erase(entry->second.freed);
        by_id_.erase(entry);
        it = by_slot_.erase(it);
    }
    next_fresh_ = std::max(kFirst, std::min(next_fresh_, capacity));
}

std::string SlotMap::to_text() const {
    std::string text;
    const auto line = [&](std::string_view word, abi::RuleSlot slot, const std::string& id) {
        text.append(word).append(" ").append(std::to_string(static_cast<std::uint32_t>(slot)));
        text.append(" ").append(id).append("\n");
    };
    for (const auto& [slot, id] : by_slot_) {
        if (by_id_.find(id)->second.freed == 0) line("live", slot, id);
    }
    for (const auto& [order, id] : freed_) line("free", by_id_.find(id)->second.slot, id);
    return text;
}

Expected<SlotMap, std::string> SlotMap::from_text(std::string_view text, std::uint32_t capacity) {
    SlotMap map{std::numeric_limits<std::uint32_t>::max()};
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
        if ((state != "live" && state != "free") || id.empty() || !line.empty())
            return refuse("expected `live SLOT ID` or `free SLOT ID`");
        if (!slot || *slot < kFirst || *slot == static_cast<std::uint32_t>(abi::kNoSlot))
            return refuse("not a slot of a rule");
        if (map.by_id_.contains(id)) return refuse("the id stands twice");
        if (map.by_slot_.contains(abi::RuleSlot{*slot})) return refuse("the slot stands twice");
        map.give(id, abi::RuleSlot{*slot});
        if (state == "free") map.free(id, map.by_id_.find(id)->second);
        map.next_fresh_ = std::max(map.next_fresh_, *slot + 1);
    }
    map.set_capacity(capacity);
    return map;
}

void SlotMap::free(std::string_view id, Entry& entry) {
    entry.freed = next_freed_++;
    freed_.emplace(entry.freed, id);
}

/// Precondition: assign() counted that there is one.
abi::RuleSlot SlotMap::take_slot() {
    if (next_fresh_ < capacity_) return abi::RuleSlot{next_fresh_++};
    const auto oldest = freed_.begin();
    const auto entry = by_id_.find(oldest->second);
    const abi::RuleSlot slot = entry->second.slot;
    by_slot_.erase(slot);
    by_id_.erase(entry);
    freed_.erase(oldest);
    return slot;
}

void SlotMap::give(std::string_view id, abi::RuleSlot slot) {
    by_id_.insert_or_assign(std::string{id}, Entry{.slot = slot});
    by_slot_.insert_or_assign(slot, std::string{id});
}

}  // namespace sluice::cp
