/// Counts per rule slot. A burst mostly hits one or two rules, so packets and bytes of the same slot are added up and
/// written once; each slot has one writer, this worker.
#pragma once

#include <cstdint>
#include <span>

#include <sluice/abi/clock.hpp>
#include <sluice/abi/telemetry.hpp>
#include <sluice/abi/verdict.hpp>

namespace sluice::dp {

class RuleMeter {
public:
    explicit RuleMeter(std::span<abi::RuleCounters> rules) noexcept : rules_{rules} {}

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
        if (slot != pending_) flush();
        pending_ = slot;
        ++packets_;
        bytes_ += frame_bytes;
    }
    void flush() noexcept {
        const auto i = static_cast<std::size_t>(pending_);
        if (packets_ != 0 && i < rules_.size()) {
            rules_[i].packets.add(packets_);
            rules_[i].bytes.add(bytes_);
        }
        packets_ = bytes_ = 0;
    }

private:
    std::span<abi::RuleCounters> rules_;
    abi::RuleSlot pending_{abi::kNoSlot};
    std::uint64_t packets_{}, bytes_{};
};

}  // namespace sluice::dp
