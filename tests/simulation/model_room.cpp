/// The model's room and limits: who goes when there is no room, and what a rule, a source and a zone may have. Counted
/// anew from all flows each time, so that nothing can be forgotten.
#include <algorithm>
#include <utility>

#include "tests/simulation/model.hpp"

namespace sluice::sim {

using abi::DropReason;
using abi::FlowState;

namespace {

/// What a source is counted by: an IPv4 address, the first half of an IPv6 one.
std::string source_of(const Tuple& t) {
    const auto* bytes = reinterpret_cast<const char*>(t.src.bytes.data());
    return t.family == abi::IpFamily::v6 ? "6" + std::string{bytes, 8} : "4" + std::string{bytes, 4};
}
std::string source_at(abi::RuleSlot slot, const Tuple& t) {
    return std::to_string(static_cast<std::uint32_t>(slot)) + " " + source_of(t);
}

}  // namespace

void WorkerModel::set_state(ModelFlow& flow, FlowState next) {
    if (flow.queued == 0 || worth(flow.state) != worth(next)) flow.queued = ++queue_clock_;
    flow.state = next;
}

/// For a flow that begins: half-open, unless it is picked up in mid-stream.
bool WorkerModel::make_room(bool half_open_one) {
    std::uint32_t half_open = 0;
    for (const auto& [key, flow] : flows) half_open += worth(flow.state) == Worth::half_open ? 1 : 0;
    if ((!half_open_one || half_open < options_.half_open_max) && flows.size() < options_.flow_entries_max) return true;
    // Closing ones first once half-open flows are down to half of their share.
    const bool spare = half_open < options_.half_open_max && half_open * 2 <= options_.half_open_max;
    const auto rank = [&](const ModelFlow& f) {
        if (worth(f.state) == Worth::assured) return 3;
        return worth(f.state) == Worth::closing ? 1 : spare ? 2 : 0;
    };
    const auto victim = std::min_element(flows.begin(), flows.end(), [&](const auto& a, const auto& b) {
        return std::pair{rank(a.second), a.second.queued} < std::pair{rank(b.second), b.second.queued};
    });
    const Worth least = worth(victim->second.state);
    if (least == Worth::assured) return false;
    ++(least == Worth::half_open ? syn_early_drop : closing_early_drop);
    const ModelFlow& flow = victim->second;
    end_flow(victim->first, abi::FlowEnd::evicted, {flow.slot, abi::Verdict::allow, flow.log}, abi::logs_end(flow.log));
    return true;
}

std::pair<abi::ZoneLimits, std::uint8_t> WorkerModel::zone_of(std::uint8_t port) const {
    const abi::ZoneId zone = edition_->zone_of_port[port];
    const auto lowest = std::find(edition_->zone_of_port.begin(), edition_->zone_of_port.end(), zone);
    return {edition_->policy.zones[static_cast<std::size_t>(zone)].limits,
            static_cast<std::uint8_t>(lowest - edition_->zone_of_port.begin())};
}

std::optional<DropReason> WorkerModel::limit(const Letter& letter, const Ruling& ruling, const ModelFlow* over) {
    const abi::RuleLimits& l = ruling.limits;
    const auto [zone, zone_port] = zone_of(letter.port);
    const auto count = [&](auto&& wanted) {
        return static_cast<std::uint64_t>(std::count_if(flows.begin(), flows.end(), [&](const auto& entry) {
            return &entry.second != over && wanted(entry.second);
        }));
    };
    const auto from_zone = [&](const ModelFlow& f) {
        return edition_->zone_of_port[f.port] == edition_->zone_of_port[letter.port];
    };
    const auto too_fast = [&](const Bucket& bucket, std::uint32_t per_second) {
        const std::uint32_t mine = share(per_second);
        return mine != 0 && !bucket.allows(mine, mine, at_.tick());
    };
    if (zone.states_max != 0 && count(from_zone) >= share(zone.states_max)) return DropReason::zone_limit;
    if (too_fast(zone_rates_[zone_port], zone.new_per_second_max)) return DropReason::zone_limit;
    const auto of_rule = [&](const ModelFlow& f) { return f.slot == ruling.slot; };
    const auto of_source = [&](const ModelFlow& f) {
        return of_rule(f) && f.source_counted && source_of(f.original) == source_of(letter.tuple);
    };
    if (l.states_max != 0 && count(of_rule) >= share(l.states_max)) return DropReason::rule_limit;
    if (l.states_per_source_max != 0 && count(of_source) >= share(l.states_per_source_max))
        return DropReason::src_limit;
    if (too_fast(source_rates_[source_at(ruling.slot, letter.tuple)], l.new_per_second_per_source_max))
        return DropReason::rate_limit;
    if (too_fast(rule_rates_[ruling.slot], l.new_per_second_max)) return DropReason::rate_limit;
    return std::nullopt;
}

/// The flow is made.
void WorkerModel::spend(const Letter& letter, const Ruling& ruling) {
    const auto [zone, zone_port] = zone_of(letter.port);
    const auto from = [&](Bucket& bucket, std::uint32_t per_second) {
        if (const std::uint32_t mine = share(per_second); mine != 0) bucket.spend(mine, mine, at_.tick());
    };
    from(zone_rates_[zone_port], zone.new_per_second_max);
    from(rule_rates_[ruling.slot], ruling.limits.new_per_second_max);
    from(source_rates_[source_at(ruling.slot, letter.tuple)], ruling.limits.new_per_second_per_source_max);
}

}  // namespace sluice::sim
