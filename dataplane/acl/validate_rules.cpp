/// The rules section: records in evaluation order, terms, and the bit rows whose shape the lookup trusts.
#include <algorithm>
#include <cstdint>
#include <string_view>
#include <vector>

#include "dataplane/acl/check.hpp"
#include "dataplane/acl/digest.hpp"
#include "dataplane/acl/table_view.hpp"

namespace sluice::dp {

namespace {

using R = abi::RefuseReason;

bool is_rule_id(std::string_view id) noexcept {
    const auto alnum = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); };
    return !id.empty() && id.size() <= kRuleIdBytesMax && alnum(id[0]) &&
           std::all_of(id.begin(), id.end(), [&](char c) { return alnum(c) || c == '-'; });
}

bool check_limit(Check& check, std::string_view name, std::uint32_t limit, std::uint32_t most) {
    return check.require(limit <= most, R::bounds, name, " is ", limit, ", at most ", most);
}

bool check_limits(Check& check, const abi::RuleRecord& rule, std::uint64_t index) {
    const abi::RuleLimits& l = rule.limits;
    return check.require(!l.any() || rule.verdict == abi::Verdict::allow, R::bounds, "rule ", index,
                         " limits what it does not allow") &&
           check_limit(check, "states_max", l.states_max, abi::kStatesLimitMax) &&
           check_limit(check, "states_per_source_max", l.states_per_source_max, abi::kStatesLimitMax) &&
           check_limit(check, "new_per_second_max", l.new_per_second_max, abi::kRateLimitMax) &&
           check_limit(check, "new_per_second_per_source_max", l.new_per_second_per_source_max, abi::kRateLimitMax) &&
           check_limit(check, "half_open_max", l.half_open_max, abi::kStatesLimitMax) &&
           check.require(static_cast<std::uint8_t>(l.over) < abi::kHalfOpenOverCount, R::enum_value, "rule ", index,
                         " has over ", static_cast<std::uint64_t>(l.over)) &&
           check.require(l.must_be_zero == decltype(l.must_be_zero){}, R::bounds, "limits of rule ", index,
                         " have padding that is not zero");
}

bool check_fields(Check& check, const abi::RuleRecord& rule, std::uint64_t index) {
    return check.require(static_cast<std::uint8_t>(rule.verdict) < abi::kVerdictCount, R::enum_value, "rule ", index,
                         " has verdict ", static_cast<std::uint64_t>(rule.verdict)) &&
           check.require(static_cast<std::uint8_t>(rule.mode) < abi::kRuleModeCount, R::enum_value, "rule ", index,
                         " has mode ", static_cast<std::uint64_t>(rule.mode)) &&
           check.require(static_cast<std::uint8_t>(rule.log) < abi::kRuleLogCount, R::enum_value, "rule ", index,
                         " has log ", static_cast<std::uint64_t>(rule.log)) &&
           check.require(rule.is_pass <= kEntriesMax, R::enum_value, "rule ", index, " has is_pass ",
                         static_cast<std::uint64_t>(rule.is_pass)) &&
           check.require(static_cast<std::uint8_t>(rule.on_change) < abi::kOnChangeCount, R::enum_value, "rule ", index,
                         " has on_change ", static_cast<std::uint64_t>(rule.on_change)) &&
           check.require(rule.turns_to_observe <= 1, R::enum_value, "rule ", index, " has turns_to_observe ",
                         static_cast<std::uint64_t>(rule.turns_to_observe)) &&
           check.require(rule.is_pass <= 1 || rule.mode == abi::RuleMode::enforce, R::enum_value, "rule ", index,
                         " passes on and only observes") &&
           check.require(rule.must_be_zero == decltype(rule.must_be_zero){}, R::bounds, "rule ", index,
                         " has padding that is not zero") &&
           check_limits(check, rule, index);
}

bool check_default(Check& check, const abi::RuleRecord& rule, std::span<const char> text) {
    return check.require(text_of(rule.id, text) == abi::kIdDefault, R::order, "the last rule is not the default") &&
           check.require(rule.slot == abi::kSlotDefault, R::index, "the default has slot ",
                         static_cast<std::uint64_t>(rule.slot)) &&
           check.require(rule.mode == abi::RuleMode::enforce && rule.is_pass == 0 && rule.turns_to_observe == 0,
                         R::enum_value, "the default is in observe mode or a pass");
}

struct HashedId {
    std::uint64_t hash{};
    std::uint32_t rule{};
};

/// By the low bits of their hashes, in passes over these. Equal bits are neighbours then, in whatever order.
void sort_by_low_bits(std::vector<HashedId>& ids) {
    constexpr unsigned kBits = 11, kPasses = 3;
    std::vector<HashedId> other(ids.size());
    for (unsigned pass = 0; pass < kPasses; ++pass) {
        const auto digit = [&](const HashedId& id) { return id.hash >> (pass * kBits) & ((1U << kBits) - 1); };
        std::vector<std::uint32_t> begin((1U << kBits) + 1);
        for (const HashedId& id : ids) ++begin[digit(id) + 1];
        for (std::size_t d = 1; d < begin.size(); ++d) begin[d] += begin[d - 1];
        for (const HashedId& id : ids) other[begin[digit(id)]++] = id;
        ids.swap(other);
    }
}

/// An id that stands twice; null: none does. By hash: most ids differ there already. Those that do not are compared as
/// they are, sorted, so whoever makes them collide gains nothing but the time of comparing texts.
const abi::RuleRecord* id_twice(std::span<const abi::RuleRecord> rules, std::span<const char> text) {
    constexpr std::uint64_t kSortedBits = (std::uint64_t{1} << 33) - 1;
    std::vector<HashedId> ids;
    ids.reserve(rules.size());
    for (std::uint32_t r = 0; r < rules.size(); ++r) {
        const std::string_view id = text_of(rules[r].id, text);
        ids.push_back({.hash = XXH3_64bits(id.data(), id.size()), .rule = r});
    }
    sort_by_low_bits(ids);
    std::vector<std::string_view> alike;
    for (std::size_t i = 0; i < ids.size();) {
        const std::size_t begin = i;
        while (i < ids.size() && (ids[i].hash & kSortedBits) == (ids[begin].hash & kSortedBits)) ++i;
        if (i - begin == 1) continue;
        alike.clear();
        for (std::size_t k = begin; k < i; ++k) alike.push_back(text_of(rules[ids[k].rule].id, text));
        std::sort(alike.begin(), alike.end());
        const auto twice = std::adjacent_find(alike.begin(), alike.end());
        if (twice == alike.end()) continue;
        for (std::size_t k = begin; k < i; ++k) {
            if (text_of(rules[ids[k].rule].id, text) == *twice) return &rules[ids[k].rule];
        }
    }
    return nullptr;
}

/// A slot that stands twice; null: none does.
const abi::RuleRecord* slot_twice(std::span<const abi::RuleRecord> rules) {
    // A bit per slot, if slots are not far beyond what so many rules need.
    constexpr std::uint32_t kBitsMin = 1U << 20, kBitsPerRule = 64;
    std::uint32_t most = 0;
    for (const abi::RuleRecord& rule : rules) most = std::max(most, static_cast<std::uint32_t>(rule.slot));
    if (most < kBitsMin || most / kBitsPerRule < rules.size()) {
        std::vector<bool> seen(std::size_t{most} + 1);
        for (const abi::RuleRecord& rule : rules) {
            auto bit = seen[static_cast<std::uint32_t>(rule.slot)];
            if (bit) return &rule;
            bit = true;
        }
        return nullptr;
    }
    std::vector<std::uint32_t> slots;
    for (const abi::RuleRecord& rule : rules) slots.push_back(static_cast<std::uint32_t>(rule.slot));
    std::sort(slots.begin(), slots.end());
    const auto twice = std::adjacent_find(slots.begin(), slots.end());
    if (twice == slots.end()) return nullptr;
    return &*std::find_if(rules.begin(), rules.end(),
                          [&](const abi::RuleRecord& rule) { return static_cast<std::uint32_t>(rule.slot) == *twice; });
}

}  // namespace

/// Two rules with one slot would count each other's hits; two with one id could not be told apart in a log.
bool check_unique(Check& check, std::span<const abi::RuleRecord> rules, std::span<const char> text) {
    const auto* slot = slot_twice(rules);
    if (!check.require(slot == nullptr, R::order, "slot ", slot == nullptr ? 0 : static_cast<std::uint32_t>(slot->slot),
                       " stands twice"))
        return false;
    const auto* id = id_twice(rules, text);
    return check.require(id == nullptr, R::order, "rule id ", id == nullptr ? "" : text_of(id->id, text),
                         " stands twice");
}

bool check_record(Check& check, const abi::RuleRecord& rule, std::uint64_t index, std::span<const char> text) {
    return check_fields(check, rule, index) && check.name("rule", index, rule.id, text, kRuleIdBytesMax) &&
           check.require(is_rule_id(text_of(rule.id, text)), R::text, "rule ", index,
                         " has an id that no policy allows") &&
           check.require(rule.slot >= abi::kSlotFirstFree && rule.slot != abi::kNoSlot, R::index, "rule ", index,
                         " has the reserved slot ", static_cast<std::uint64_t>(rule.slot));
}

namespace {

bool check_records(Check& check, std::span<const abi::RuleRecord> rules, std::span<const char> text) {
    for (std::size_t i = 0; i + 1 < rules.size(); ++i) {
        if (!check_record(check, rules[i], i, text)) return false;
    }
    return check_fields(check, rules.back(), rules.size() - 1) &&
           check.name("rule", rules.size() - 1, rules.back().id, text, kRuleIdBytesMax) &&
           check_default(check, rules.back(), text) && check_unique(check, rules, text);
}

}  // namespace

bool check_rules(Check& check, const abi::RulesSection& s) {
    std::span<const abi::RuleRecord> rules;
    std::span<const char> text;
    return check.require(s.rules.count >= 1, R::bounds, "no rules, not even the default") &&
           check.array("rules", s.rules, rules) && check.array("text", s.text, text) &&
           check_records(check, rules, text);
}

}  // namespace sluice::dp
