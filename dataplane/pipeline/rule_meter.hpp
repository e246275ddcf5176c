/// Counts per rule slot; each slot has one writer, this worker. Packets and bytes are noted first and written at the
/// burst's end: what follows each other under the same rule is added up, and where every packet has another rule, the
/// counters' lines have been asked for meanwhile (they were a quarter of `track` under a thousand rules).
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include <sluice/abi/clock.hpp>
#include <sluice/abi/telemetry.hpp>
#include <sluice/abi/verdict.hpp>

#include "dataplane/pipeline/packet.hpp"

namespace sluice::dp {

class RuleMeter {
public:
    explicit RuleMeter(std::span<abi::RuleCounters> rules) noexcept : rules_{rules} {}

    /// Of a decision that is about to be counted.
    void prefetch(abi::RuleSlot slot) const noexcept {
        if (const auto i = static_cast<std::size_t>(slot); i < rules_.size()) __builtin_prefetch(&rules_[i], 1);
    }
    /// A classifier decision.
    void hit(abi::RuleSlot slot, abi::MonoTime now) noexcept {
        const auto i = static_cast<std::size_t>(slot);
        if (i >= rules_.size()) return;
        abi::RuleCounters& r = rules_[i];
        r.hits.add(1);
        if (r.first_hit_ns.read() == 0) r.first_hit_ns.set(now.ns);
        r.last_hit_ns.set(now.ns);
    }
    /// A packet of a flow that the rule decided. `flush` makes it visible.
    void packet(abi::RuleSlot slot, std::uint32_t frame_bytes) noexcept {
        if (static_cast<std::size_t>(slot) >= rules_.size()) return;
        if (count_ == noted_.size()) flush();
        __builtin_prefetch(&rules_[static_cast<std::size_t>(slot)], 1);
        noted_[count_++] = {slot, frame_bytes};
    }
    void flush() noexcept {
        for (std::size_t k = 0; k < count_;) {
            const abi::RuleSlot slot = noted_[k].slot;
            std::uint64_t packets = 0, bytes = 0;
            for (; k < count_ && noted_[k].slot == slot; ++k) {
                ++packets;
                bytes += noted_[k].bytes;
            }
            abi::RuleCounters& r = rules_[static_cast<std::size_t>(slot)];
            r.packets.add(packets);
            r.bytes.add(bytes);
        }
        count_ = 0;
    }

private:
    struct Noted {
        abi::RuleSlot slot{};
        std::uint32_t bytes{};
    };
    std::span<abi::RuleCounters> rules_;
    std::size_t count_{};
    std::array<Noted, kBurstMax> noted_;
};

}  // namespace sluice::dp
