/// One number for the layout of everything in this folder. Both processes put it into what they exchange and refuse
/// another's. FNV-1a over sizes and offsets at compile time: a field moved or resized without raising kAbiVersion is
/// still noticed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>

#include <sluice/abi/last_good.hpp>
#include <sluice/abi/messages.hpp>
#include <sluice/abi/tables.hpp>
#include <sluice/abi/telemetry.hpp>

namespace sluice::abi {

constexpr std::uint64_t fnv1a(std::initializer_list<std::uint64_t> values) noexcept {
    std::uint64_t h = 0xcbf29ce484222325ULL;
    for (std::uint64_t v : values) {
        for (int i = 0; i < 8; ++i) {
            h = (h ^ (v & 0xff)) * 0x100000001b3ULL;
            v >>= 8;
        }
    }
    return h;
}

inline constexpr std::uint64_t kLayoutHash = fnv1a({
    kAbiVersion,
    kDropReasonCount,
    sizeof(SectionHeader),
    offsetof(SectionHeader, digest),
    sizeof(SectionRef),
    sizeof(Manifest),
    offsetof(Manifest, generation),
    offsetof(Manifest, policy_version),
    offsetof(Manifest, sections),
    sizeof(FlowTimeouts),
    sizeof(SettingsSection),
    offsetof(SettingsSection, timeouts),
    sizeof(ZoneRecord),
    sizeof(ZoneBinding),
    offsetof(ZoneBinding, vni),
    sizeof(ZonesSection),
    offsetof(ZonesSection, text),
    sizeof(RuleRecord),
    offsetof(RuleRecord, id),
    sizeof(RulesSection),
    offsetof(RulesSection, to_zone_rows),
    sizeof(IntervalV4),
    sizeof(IntervalV6),
    sizeof(AddrClassSection),
    offsetof(AddrClassSection, rows),
    sizeof(TransportSection),
    offsetof(TransportSection, rows),
    sizeof(TelemetryHeader),
    offsetof(TelemetryHeader, first_block),
    sizeof(PortCounters),
    offsetof(PortCounters, drops),
    sizeof(WorkerCounters),
    offsetof(WorkerCounters, ports),
    sizeof(ManagerCounters),
    sizeof(RuleCounters),
    sizeof(FlowEvent),
    offsetof(FlowEvent, slot),
    sizeof(EventSlot),
    sizeof(MessageHeader),
    sizeof(ProcessState),
    sizeof(Hello),
    sizeof(Offer),
    sizeof(Answer),
    sizeof(Notice),
    sizeof(FlowRecord),
    sizeof(FlowDump),
    sizeof(LastGoodHeader),
});

}  // namespace sluice::abi
