/// Settings and zones: small sections, whose values the pipeline uses as they are.
#include <algorithm>
#include <tuple>
#include <vector>

#include <sluice/abi/set_messages.hpp>

#include "dataplane/acl/check.hpp"

namespace sluice::dp {

namespace {

using R = abi::RefuseReason;

constexpr std::uint16_t kVlanMax = 4094;  // 4095 is reserved (IEEE 802.1Q-2018 table 9-2)
constexpr std::uint32_t kVniMax = (1U << 24) - 1;

bool check_wire(Check& check, std::string_view name, abi::WireAction action) {
    return check.require(static_cast<std::uint8_t>(action) <= 1, R::enum_value, name, " is ",
                         static_cast<std::uint64_t>(action));
}

bool check_timeout(Check& check, std::string_view name, std::uint32_t ms) {
    return check.require(ms >= abi::kTimeoutMsMin && ms <= abi::kTimeoutMsMax, R::bounds, name, " is ", ms,
                         " ms, expected ", abi::kTimeoutMsMin, " to ", abi::kTimeoutMsMax);
}

bool check_promise(Check& check, std::string_view name, abi::SynPromise promise) {
    return check.require(static_cast<std::uint8_t>(promise) < abi::kSynPromiseCount, R::enum_value, name, " is ",
                         static_cast<std::uint64_t>(promise));
}

bool check_syn_proxy(Check& check, const abi::SynProxySettings& s) {
    return check.require(s.mss >= abi::kSynMssMin && s.mss <= abi::kSynMssMax, R::bounds, "syn_proxy.mss is ", s.mss) &&
           check.require(s.wscale <= abi::kSynWscaleMax, R::bounds, "syn_proxy.wscale is ",
                         static_cast<std::uint64_t>(s.wscale)) &&
           check_promise(check, "syn_proxy.sack", s.sack) &&
           check_promise(check, "syn_proxy.timestamps", s.timestamps) &&
           check.require(s.must_be_zero == decltype(s.must_be_zero){}, R::bounds, "padding of syn_proxy is not zero");
}

bool check_zone_limits(Check& check, const abi::ZoneLimits& l, std::size_t zone) {
    return check.require(l.states_max <= abi::kStatesLimitMax && l.new_per_second_max <= abi::kRateLimitMax, R::bounds,
                         "zone ", zone, " limits to ", l.states_max, " flows and ", l.new_per_second_max,
                         " a second, at most ", abi::kStatesLimitMax, " and ", abi::kRateLimitMax);
}

bool check_binding(Check& check, const abi::ZoneBinding& b, std::size_t index, std::size_t zone_count,
                   std::span<const char> text) {
    return check.name("binding", index, b.port, text, kPortNameBytesMax) &&
           check.require(static_cast<std::size_t>(b.zone) < zone_count, R::index, "binding ", index, " names zone ",
                         static_cast<std::uint64_t>(b.zone), " of ", zone_count) &&
           check.require(b.vlan <= kVlanMax, R::bounds, "binding ", index, " has VLAN ", b.vlan) &&
           check.require(b.vni <= kVniMax, R::bounds, "binding ", index, " has VNI ", b.vni);
}

bool check_sets(Check& check, std::span<const abi::SetRecord> sets, std::span<const char> text) {
    if (!check.require(sets.size() <= abi::kSetSlotsMax, R::budget, sets.size(), " sets, at most ", abi::kSetSlotsMax))
        return false;
    for (std::size_t i = 0; i < sets.size(); ++i) {
        if (!check.name("set", i, sets[i].name, text, kNameBytesMax) ||
            !check.require(sets[i].id > (i == 0 ? abi::kNoSet : sets[i - 1].id), R::order, "set ", i,
                           " does not have an id above the one before"))
            return false;
    }
    return true;
}

}  // namespace

bool check_settings(Check& check, const abi::SettingsSection& s) {
    const abi::FlowTimeouts& t = s.timeouts;
    std::span<const std::uint64_t> untouched;
    return check.require(s.untouched.count <= abi::kUntouchedWordsMax, R::budget, "untouched has ", s.untouched.count,
                         " words, at most ", abi::kUntouchedWordsMax) &&
           check.array("untouched", s.untouched, untouched) &&
           check.require(s.base_generation != 0 || s.untouched.count == 0, R::order,
                         "slots are untouched since no generation") &&
           check_wire(check, "wire_arp", s.wire_arp) && check_wire(check, "wire_nd", s.wire_nd) &&
           check_wire(check, "wire_other", s.wire_other) &&
           check.require(static_cast<std::uint8_t>(s.on_change) < abi::kOnChangeCount, R::enum_value, "on_change is ",
                         static_cast<std::uint64_t>(s.on_change)) &&
           check.require(static_cast<std::uint8_t>(s.seq_check) < abi::kSeqCheckCount, R::enum_value, "seq_check is ",
                         static_cast<std::uint64_t>(s.seq_check)) &&
           check.require(s.must_be_zero == decltype(s.must_be_zero){} && s.must_be_zero_behind == 0, R::bounds,
                         "padding is not zero") &&
           check_syn_proxy(check, s.syn_proxy) && check_timeout(check, "tcp_opening_ms", t.tcp_opening_ms) &&
           check_timeout(check, "tcp_established_ms", t.tcp_established_ms) &&
           check_timeout(check, "tcp_closing_ms", t.tcp_closing_ms) &&
           check_timeout(check, "tcp_closed_ms", t.tcp_closed_ms) &&
           check_timeout(check, "udp_oneway_ms", t.udp_oneway_ms) &&
           check_timeout(check, "udp_stream_ms", t.udp_stream_ms) && check_timeout(check, "icmp_ms", t.icmp_ms) &&
           check_timeout(check, "other_ms", t.other_ms) &&
           check_timeout(check, "tcp_unacknowledged_ms", t.tcp_unacknowledged_ms);
}

bool check_zones(Check& check, const abi::ZonesSection& s) {
    std::span<const abi::ZoneRecord> zones;
    std::span<const abi::ZoneBinding> bindings;
    std::span<const char> text;
    std::span<const abi::SetRecord> sets;
    if (!check.require(s.zones.count <= abi::kZonesMax, R::budget, s.zones.count, " zones, at most ", abi::kZonesMax) ||
        !check.array("zones", s.zones, zones) || !check.array("bindings", s.bindings, bindings) ||
        !check.array("sets", s.sets, sets) || !check.array("text", s.text, text) || !check_sets(check, sets, text))
        return false;

    std::vector<std::string_view> names;
    for (std::size_t i = 0; i < zones.size(); ++i) {
        if (!check.name("zone", i, zones[i].name, text, kNameBytesMax) || !check_zone_limits(check, zones[i].limits, i))
            return false;
        names.push_back(text_of(zones[i].name, text));
    }
    std::vector<std::tuple<std::string_view, std::uint16_t, std::uint32_t>> bound;
    for (std::size_t i = 0; i < bindings.size(); ++i) {
        if (!check_binding(check, bindings[i], i, zones.size(), text)) return false;
        bound.emplace_back(text_of(bindings[i].port, text), bindings[i].vlan, bindings[i].vni);
    }
    std::sort(names.begin(), names.end());
    std::sort(bound.begin(), bound.end());
    const auto name = std::adjacent_find(names.begin(), names.end());
    const auto twice = std::adjacent_find(bound.begin(), bound.end());
    return check.require(name == names.end(), R::order, "zone ", name == names.end() ? "" : *name, " stands twice") &&
           check.require(twice == bound.end(), R::order, "port ", twice == bound.end() ? "" : std::get<0>(*twice),
                         " is bound twice for the same VLAN and VNI");
}

}  // namespace sluice::dp
