/// The rules section: records in evaluation order, terms, and the bit rows whose shape the lookup trusts.
#include <algorithm>
#include <vector>

#include "dataplane/acl/check.hpp"

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

bool check_record(Check& check, const abi::RuleRecord& rule, std::uint64_t index) {
    return check.require(static_cast<std::uint8_t>(rule.verdict) < abi::kVerdictCount, R::enum_value, "rule ", index,
                         " has verdict ", static_cast<std::uint64_t>(rule.verdict)) &&
           check.require(static_cast<std::uint8_t>(rule.mode) < abi::kRuleModeCount, R::enum_value, "rule ", index,
                         " has mode ", static_cast<std::uint64_t>(rule.mode)) &&
           check.require(static_cast<std::uint8_t>(rule.log) < abi::kRuleLogCount, R::enum_value, "rule ", index,
                         " has log ", static_cast<std::uint64_t>(rule.log)) &&
           check.require(rule.is_pass <= 1, R::enum_value, "rule ", index, " has is_pass ",
                         static_cast<std::uint64_t>(rule.is_pass)) &&
           check.require(static_cast<std::uint8_t>(rule.on_change) < abi::kOnChangeCount, R::enum_value, "rule ", index,
                         " has on_change ", static_cast<std::uint64_t>(rule.on_change)) &&
           check.require(rule.must_be_zero == decltype(rule.must_be_zero){}, R::bounds, "rule ", index,
                         " has padding that is not zero") &&
           check_limits(check, rule, index);
}

bool check_default(Check& check, const abi::RuleRecord& rule, std::span<const char> text) {
    return check.require(text_of(rule.id, text) == abi::kIdDefault, R::order, "the last rule is not the default") &&
           check.require(rule.slot == abi::kSlotDefault, R::index, "the default has slot ",
                         static_cast<std::uint64_t>(rule.slot)) &&
           check.require(rule.mode == abi::RuleMode::enforce && rule.is_pass == 0, R::enum_value,
                         "the default is in observe mode or a pass");
}

/// Two rules with one slot would count each other's hits; two with one id could not be told apart in a log.
bool check_unique(Check& check, std::span<const abi::RuleRecord> rules, std::span<const char> text) {
    std::vector<std::uint32_t> slots;
    std::vector<std::string_view> ids;
    slots.reserve(rules.size());
    ids.reserve(rules.size());
    for (const abi::RuleRecord& rule : rules) {
        slots.push_back(static_cast<std::uint32_t>(rule.slot));
        ids.push_back(text_of(rule.id, text));
    }
    std::sort(slots.begin(), slots.end());
    std::sort(ids.begin(), ids.end());
    const auto slot = std::adjacent_find(slots.begin(), slots.end());
    const auto id = std::adjacent_find(ids.begin(), ids.end());
    return check.require(slot == slots.end(), R::order, "slot ", slot == slots.end() ? 0 : *slot, " stands twice") &&
           check.require(id == ids.end(), R::order, "rule id ", id == ids.end() ? "" : *id, " stands twice");
}

bool check_records(Check& check, std::span<const abi::RuleRecord> rules, std::span<const char> text) {
    for (std::size_t i = 0; i < rules.size(); ++i) {
        const abi::RuleRecord& rule = rules[i];
        if (!check_record(check, rule, i) || !check.name("rule", i, rule.id, text, kRuleIdBytesMax)) return false;
        if (i + 1 == rules.size()) break;
        if (!check.require(is_rule_id(text_of(rule.id, text)), R::text, "rule ", i,
                           " has an id that no policy allows") ||
            !check.require(rule.slot >= abi::kSlotFirstFree && rule.slot != abi::kNoSlot, R::index, "rule ", i,
                           " has the reserved slot ", static_cast<std::uint64_t>(rule.slot)))
            return false;
    }
    return check_default(check, rules.back(), text) && check_unique(check, rules, text);
}

/// The rule of every term, and that the observe mask says what the records say: the lookup masks with it and never
/// looks at RuleRecord::mode.
bool check_terms(Check& check, std::span<const abi::RuleRecord> rules, std::span<const abi::RuleIndex> term_rule,
                 std::span<const std::uint64_t> observe_mask) {
    for (std::size_t t = 0; t < term_rule.size(); ++t) {
        if (!check.require(term_rule[t] + std::uint64_t{1} < rules.size(), R::index, "term ", t, " names rule ",
                           term_rule[t], " of ", rules.size()) ||
            !check.require(t == 0 || term_rule[t - 1] <= term_rule[t], R::order, "term ", t, " goes back to rule ",
                           term_rule[t]))
            return false;
        const bool observe = (observe_mask[t / 64] >> (t % 64) & 1U) != 0;
        if (!check.require(observe == (rules[term_rule[t]].mode == abi::RuleMode::observe), R::order, "term ", t,
                           " and its rule ", term_rule[t], " differ about observe mode"))
            return false;
    }
    return true;
}

/// Terms that do not exist must match nothing: the lookup would read term_rule behind its end.
bool check_tails(Check& check, std::string_view name, std::span<const std::uint64_t> rows, std::uint32_t word_count,
                 std::uint32_t term_count) {
    const std::uint32_t used = term_count - (word_count - 1) * 64;  // bits of the last word, 0 to 64
    const std::uint64_t unused = used >= 64 ? 0 : ~std::uint64_t{0} << used;
    for (std::size_t i = word_count - 1; i < rows.size(); i += word_count) {
        if (!check.require((rows[i] & unused) == 0, R::bounds, name, " word ", i, " has bits behind term ", term_count))
            return false;
    }
    return true;
}

}  // namespace

bool check_rules(Check& check, const abi::RulesSection& s) {
    if (!check.require(s.term_count <= abi::kTermsMax, R::budget, s.term_count, " terms, at most ", abi::kTermsMax))
        return false;
    const std::uint32_t words = s.term_count == 0 ? 1 : (s.term_count + 63) / 64;
    std::span<const abi::RuleRecord> rules;
    std::span<const abi::RuleIndex> term_rule;
    std::span<const std::uint64_t> observe_mask, from_rows, to_rows;
    std::span<const char> text;
    if (!check.require(s.word_count == words, R::bounds, "word_count is ", s.word_count, ", expected ", words) ||
        !check.require(s.rules.count >= 1, R::bounds, "no rules, not even the default") ||
        !check.require(
            s.from_zone_rows.count <= std::uint64_t{abi::kZonesMax} * words && s.from_zone_rows.count % words == 0,
            R::bounds, "from_zone_rows has ", s.from_zone_rows.count, " words in rows of ", words) ||
        !check.array("rules", s.rules, rules) || !check.array("term_rule", s.term_rule, s.term_count, term_rule) ||
        !check.array("observe_mask", s.observe_mask, words, observe_mask) ||
        !check.array("from_zone_rows", s.from_zone_rows, from_rows) ||
        !check.array("to_zone_rows", s.to_zone_rows, s.from_zone_rows.count, to_rows) ||
        !check.array("text", s.text, text))
        return false;
    return check_records(check, rules, text) && check_terms(check, rules, term_rule, observe_mask) &&
           check_tails(check, "observe_mask", observe_mask, words, s.term_count) &&
           check_tails(check, "from_zone_rows", from_rows, words, s.term_count) &&
           check_tails(check, "to_zone_rows", to_rows, words, s.term_count);
}

}  // namespace sluice::dp
