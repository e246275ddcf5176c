#include "dataplane/pipeline/classify.hpp"

#include "dataplane/pipeline/parse.hpp"

namespace sluice::dp {

namespace {

struct Builtin {
    abi::RuleSlot slot;
    abi::WireAction action;
};
Builtin builtin_for(PacketClass packet_class, const abi::SettingsSection& settings) noexcept {
    switch (packet_class) {
        case PacketClass::arp: return {abi::kSlotBuiltinArp, settings.wire_arp};
        case PacketClass::nd: return {abi::kSlotBuiltinNd, settings.wire_nd};
        default: return {abi::kSlotBuiltinOther, settings.wire_other};
    }
}

}  // namespace

void judge_wire_frames(Burst& burst, const TableView& view, RuleMeter& rules) noexcept {
    if (burst.wire_frame_count == 0 && burst.datagram_count == 0) return;
    for (std::size_t i = 0; i < burst.count; ++i) {
        const ParsedPacket& p = burst.parsed[i];
        if (burst.fate[i] != Fate::undecided || p.packet_class == PacketClass::ip) continue;
        const Builtin builtin = builtin_for(p.packet_class, *view.settings);
        rules.hit(builtin.slot, burst.moment.mono);
        rules.packet(builtin.slot, burst.packet[i].total_bytes);
        if (builtin.action == abi::WireAction::allow) {
            burst.forward(i);
        } else {
            burst.drop(i, reason_of_denial(p));
        }
    }
}

void classify(Burst& burst, const TableView& view, abi::WorkerCounters& counters) noexcept {
    if (burst.waiting_count == 0) return;
    std::array<LookupKey, kBurstMax> keys;
    std::array<LookupResult, kBurstMax> results;
    std::array<std::uint8_t, kBurstMax> whose;
    std::size_t count = 0;
    for (std::size_t i = 0; i < burst.count; ++i) {
        if (burst.fate[i] != Fate::undecided || !burst.tracked[i].asks) continue;
        keys[count] = burst.inquiry[i].question;
        whose[count++] = static_cast<std::uint8_t>(i);
    }
    if (count == 0) return;
    std::array<PassTrail, kBurstMax> trails;
    counters.set_hits.add(lookup_with_trails(view, std::span<const LookupKey>{keys.data(), count},
                                             std::span<LookupResult>{results.data(), count},
                                             std::span<PassTrail>{trails.data(), count}));
    for (std::size_t k = 0; k < count; ++k) {
        burst.inquiry[whose[k]].answer = results[k];
        __builtin_prefetch(&view.rule(results[k].rule));
    }
    counters.lookups.add(count);
    if (view.trees.entry_count > 1) [[unlikely]] {
        for (std::size_t k = 0; k < count; ++k) burst.passed[whose[k]] = trails[k];
    }
}

}  // namespace sluice::dp
