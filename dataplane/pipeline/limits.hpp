/// How many flows a rule, a source and a zone may have, and how fast they may come (`limits:` of the policy). Asked by
/// FlowBook before it makes a flow, and told of every flow that comes, goes or changes its rule.
///
/// A worker enforces its share of each limit, the limit divided by the workers and rounded up: what all of them let
/// pass exceeds the limit by less than one flow per worker, and a source whose flows reach one worker only has that
/// worker's share. Counts follow the rule's slot, a zone's are kept by port of arrival, so both stay what they are when
/// a policy is switched. A rate lets a second's worth come at once.
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include <sluice/abi/drop_reasons.hpp>
#include <sluice/abi/telemetry.hpp>

#include "dataplane/acl/table_view.hpp"
#include "dataplane/flow/rate.hpp"
#include "dataplane/flow/source_table.hpp"
#include "dataplane/pipeline/packet.hpp"

namespace sluice::dp {

struct LimitsConfig {
    std::uint32_t worker_count{1};
    std::uint32_t rule_slots{};
    std::uint32_t sources_max{};
    HashSecret hash_secret{};
};

/// A flow as its rule counts it.
struct CountedFlow {
    abi::RuleSlot slot{};
    abi::IpFamily family{};
    abi::IpAddr source{};    ///< of the original direction
    std::uint8_t in_port{};  ///< where the original direction arrives
    bool half_open{};        ///< TCP whose handshake is not over
};

/// A flow that ends if a new one may be made in its place.
struct ReplacedFlow {
    CountedFlow flow{};
    bool source_counted{};
};

class Limits {
public:
    explicit Limits(const LimitsConfig& config) noexcept;

    /// The zones of a new generation; port and zone numbers are its own.
    void use(const TableView& view) noexcept;

    /// Why this new flow must not be; nothing is counted yet. `of_rule`: the limits of its rule. `replaced`: its place
    /// is free for the new one.
    std::optional<abi::DropReason> refusal(const CountedFlow& flow, const abi::RuleLimits& of_rule,
                                           std::uint32_t now_tick, const ReplacedFlow* replaced = nullptr) noexcept;
    /// The rule has as many half-open flows as it may have.
    bool half_open_reached(abi::RuleSlot slot, const abi::RuleLimits& of_rule) noexcept {
        if (!of_rule.by_half_open()) return false;
        return of_rule.half_open_max == 0 || of(slot).half_open >= share(of_rule.half_open_max);
    }
    /// A flow's handshake is over, or has begun anew.
    void half_open_changed(abi::RuleSlot slot, bool is) noexcept { of(slot).half_open += is ? 1U : ~0U; }
    /// The flow is made. True: its source is counted, and `ended` must be told so.
    bool started(const CountedFlow& flow, const abi::RuleLimits& of_rule, std::uint32_t now_tick) noexcept;
    std::uint32_t rule_slots() const noexcept { return static_cast<std::uint32_t>(rules_.size()); }
    void forget_states() noexcept;
    /// A flow of the process before this one. Its source is not counted.
    void kept(const CountedFlow& flow) noexcept;
    void ended(const CountedFlow& flow, bool source_counted) noexcept;
    /// A live flow goes on under another rule, or under other limits of its own: it is counted there and never refused.
    /// Returns as `started`.
    bool moved(const CountedFlow& flow, abi::RuleSlot from, bool source_counted, const abi::RuleLimits& of_rule,
               std::uint32_t now_tick) noexcept;

    std::uint64_t sources() const noexcept { return sources_counted_; }

private:
    struct RuleCount {
        std::uint32_t states{};
        std::uint32_t half_open{};
        Rate rate{};
    };
    struct ZoneShare {
        abi::ZoneLimits limits{};
        std::uint32_t ports{};      ///< bit p: port p is of this zone
        std::uint8_t first_port{};  ///< stands for the zone where one place is needed
    };

    std::uint32_t share(std::uint32_t limit) const noexcept { return (limit + worker_count_ - 1) / worker_count_; }
    RuleCount& of(abi::RuleSlot slot) noexcept { return rules_[static_cast<std::size_t>(slot)]; }
    bool zone_refuses(const ZoneShare& zone, std::uint32_t now_tick, const ReplacedFlow* replaced) const noexcept;
    std::optional<abi::DropReason> source_refusal(const CountedFlow& flow, const abi::RuleLimits& of_rule,
                                                  std::uint32_t now_tick, const ReplacedFlow* replaced) noexcept;
    bool count_source(const CountedFlow& flow, const abi::RuleLimits& of_rule, std::uint32_t now_tick,
                      bool is_new) noexcept;
    void uncount_source(const CountedFlow& flow, abi::RuleSlot slot) noexcept;

    std::uint32_t worker_count_;
    PrefaultedArray<RuleCount> rules_;  ///< by slot
    SourceTable sources_;
    std::uint64_t sources_counted_{};  ///< with flows
    std::array<ZoneShare, abi::kPortsMax> zone_of_port_{};
    std::array<std::uint32_t, abi::kPortsMax> port_states_{};
    std::array<Rate, abi::kPortsMax> zone_rate_{};  ///< by ZoneShare::first_port
};

}  // namespace sluice::dp
