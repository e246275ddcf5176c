#include "dataplane/pipeline/limits.hpp"

#include <bit>

namespace sluice::dp {

using abi::DropReason;

Limits::Limits(const LimitsConfig& config) noexcept
    : worker_count_{config.worker_count}, rules_{config.rule_slots}, sources_{config.sources_max, config.hash_secret} {}

void Limits::use(const TableView& view) noexcept {
    for (std::size_t p = 0; p < zone_of_port_.size(); ++p) {
        ZoneShare& mine = zone_of_port_[p];
        mine = {};
        const abi::ZoneId zone = view.port_zone[p];
        if (zone == abi::kNoZone) continue;
        mine.limits = view.zones[static_cast<std::size_t>(zone)].limits;
        for (std::size_t q = 0; q < zone_of_port_.size(); ++q) {
            if (view.port_zone[q] == zone) mine.ports |= 1U << q;
        }
        mine.first_port = static_cast<std::uint8_t>(std::countr_zero(mine.ports));
    }
}

bool Limits::zone_refuses(const ZoneShare& zone, std::uint32_t now_tick, const ReplacedFlow* replaced) const noexcept {
    if (zone.limits.states_max != 0) {
        std::uint32_t states = 0;
        for (std::uint32_t ports = zone.ports; ports != 0; ports &= ports - 1) {
            states += port_states_[static_cast<std::size_t>(std::countr_zero(ports))];
        }
        if (replaced != nullptr && (zone.ports >> replaced->flow.in_port & 1U) != 0) --states;
        if (states >= share(zone.limits.states_max)) return true;
    }
    const std::uint32_t rate = share(zone.limits.new_per_second_max);
    return rate != 0 && !zone_rate_[zone.first_port].allows(rate, rate, now_tick);
}

std::optional<DropReason> Limits::source_refusal(const CountedFlow& flow, const abi::RuleLimits& of_rule,
                                                 std::uint32_t now_tick, const ReplacedFlow* replaced) noexcept {
    const auto key = source_key(flow.slot, flow.family, flow.source);
    const SourceCount* const source = sources_.find_or_take(key, now_tick);
    if (source == nullptr) return DropReason::src_table_full;
    const auto holds_one = [&](const CountedFlow& f) { return source_key(f.slot, f.family, f.source) == key; };
    const bool has_place = replaced != nullptr && replaced->source_counted && holds_one(replaced->flow);
    const std::uint32_t states = share(of_rule.states_per_source_max);
    if (states != 0 && source->states >= states + (has_place ? 1U : 0U)) return DropReason::src_limit;
    const std::uint32_t rate = share(of_rule.new_per_second_per_source_max);
    if (rate != 0 && !source->rate.allows(rate, rate, now_tick)) return DropReason::rate_limit;
    return std::nullopt;
}

std::optional<DropReason> Limits::refusal(const CountedFlow& flow, const abi::RuleLimits& of_rule,
                                          std::uint32_t now_tick, const ReplacedFlow* replaced) noexcept {
    if (zone_refuses(zone_of_port_[flow.in_port], now_tick, replaced)) return DropReason::zone_limit;
    if (!of_rule.any()) return std::nullopt;
    const RuleCount& rule = of(flow.slot);
    const std::uint32_t states = share(of_rule.states_max), rate = share(of_rule.new_per_second_max);
    const bool has_place = replaced != nullptr && replaced->flow.slot == flow.slot;
    if (states != 0 && rule.states >= states + (has_place ? 1U : 0U)) return DropReason::rule_limit;
    if (of_rule.by_source()) {
        if (const auto reason = source_refusal(flow, of_rule, now_tick, replaced)) return reason;
    }
    if (rate != 0 && !rule.rate.allows(rate, rate, now_tick)) return DropReason::rate_limit;
    if (flow.half_open && half_open_reached(flow.slot, of_rule)) return DropReason::half_open_limit;
    return std::nullopt;
}

bool Limits::count_source(const CountedFlow& flow, const abi::RuleLimits& of_rule, std::uint32_t now_tick,
                          bool is_new) noexcept {
    if (!of_rule.by_source()) return false;
    SourceCount* const source = sources_.find_or_take(source_key(flow.slot, flow.family, flow.source), now_tick);
    if (source == nullptr) return false;  // only a flow that was there before its rule's limit
    if (source->states++ == 0) ++sources_counted_;
    const std::uint32_t rate = share(of_rule.new_per_second_per_source_max);
    if (is_new && rate != 0) source->rate.spend(rate, rate, now_tick);
    return true;
}

void Limits::uncount_source(const CountedFlow& flow, abi::RuleSlot slot) noexcept {
    SourceCount* const source = sources_.find(source_key(slot, flow.family, flow.source));
    if (source != nullptr && --source->states == 0) --sources_counted_;
}

bool Limits::started(const CountedFlow& flow, const abi::RuleLimits& of_rule, std::uint32_t now_tick) noexcept {
    const ZoneShare& zone = zone_of_port_[flow.in_port];
    ++port_states_[flow.in_port];
    if (const std::uint32_t rate = share(zone.limits.new_per_second_max); rate != 0) {
        zone_rate_[zone.first_port].spend(rate, rate, now_tick);
    }
    RuleCount& rule = of(flow.slot);
    ++rule.states;
    rule.half_open += flow.half_open ? 1 : 0;
    if (const std::uint32_t rate = share(of_rule.new_per_second_max); rate != 0) rule.rate.spend(rate, rate, now_tick);
    return count_source(flow, of_rule, now_tick, true);
}

void Limits::forget_states() noexcept {
    port_states_ = {};
    for (std::size_t i = 0; i < rules_.size(); ++i) rules_[i].states = rules_[i].half_open = 0;
}

void Limits::kept(const CountedFlow& flow) noexcept {
    ++port_states_[flow.in_port];
    ++of(flow.slot).states;
    of(flow.slot).half_open += flow.half_open ? 1 : 0;
}

void Limits::ended(const CountedFlow& flow, bool source_counted) noexcept {
    --port_states_[flow.in_port];
    --of(flow.slot).states;
    of(flow.slot).half_open -= flow.half_open ? 1 : 0;
    if (source_counted) uncount_source(flow, flow.slot);
}

bool Limits::moved(const CountedFlow& flow, abi::RuleSlot from, bool source_counted, const abi::RuleLimits& of_rule,
                   std::uint32_t now_tick) noexcept {
    if (from == flow.slot && source_counted == of_rule.by_source()) return source_counted;
    --of(from).states;
    ++of(flow.slot).states;
    of(from).half_open -= flow.half_open ? 1 : 0;
    of(flow.slot).half_open += flow.half_open ? 1 : 0;
    if (source_counted) uncount_source(flow, from);
    return count_source(flow, of_rule, now_tick, false);
}

}  // namespace sluice::dp
