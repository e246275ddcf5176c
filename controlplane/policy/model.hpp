/// A policy as checked: what the reader (YAML or JSON) makes, and the compiler, the reference matcher, `plan`,
/// `explain` and the tests inside the policy use. Names are resolved; positions are kept for messages.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <sluice/abi/net_order.hpp>
#include <sluice/abi/tables.hpp>
#include <sluice/abi/verdict.hpp>

#include "controlplane/policy/shared_list.hpp"

namespace sluice::cp {

/// How a policy is written. Which one a text is, its sender says (media type, file name).
enum class PolicyFormat : std::uint8_t { yaml, json };

/// Where something stands in what the user wrote. Lines and columns start at 1; 0 = unknown.
struct SourcePos {
    std::uint32_t line{}, column{};
    bool operator==(const SourcePos&) const = default;
};

/// Host bits are zero (the reader refuses others).
struct Prefix {
    abi::IpFamily family{};
    std::uint8_t bits{};
    abi::IpAddr addr{};
    bool operator==(const Prefix&) const = default;
};

enum class Action : std::uint8_t { allow, deny, reject, pass };

/// One alternative of a service: `tcp/443`, `udp/53`, `icmp/echo-request`, `proto/47`.
struct ServiceTerm {
    abi::L4Proto proto{};
    /// TCP, UDP: destination ports, both inside. ICMP: type << 8 | code, both inside. Others: 0..65535.
    std::uint16_t first{0}, last{0xffff};
    bool operator==(const ServiceTerm&) const = default;
};

/// One alternative of `from` or `to`: zone AND addresses AND none of `except`. An absent zone and `any_addr` together
/// are `any`.
struct Endpoint {
    std::optional<std::uint16_t> zone;  ///< index into Policy::zones
    bool any_addr{true};
    std::vector<std::uint16_t> sets;      ///< indices into Policy::sets; OR
    std::vector<Prefix> nets;             ///< inline; OR with `sets`
    std::vector<std::uint16_t> except{};  ///< indices into Policy::sets: a member of one of them is not meant
    bool operator==(const Endpoint&) const = default;
};

struct Zone {
    std::string name;
    std::vector<std::string> ports;
    abi::ZoneLimits limits{};
    SourcePos pos;
};

struct NetSet {
    std::string name;
    std::vector<Prefix> nets;
    SourcePos pos;
    bool by_api{};                ///< its members come over the API, and none stand here
    std::uint32_t members_max{};  ///< by_api: at most so many
};
/// Of a set that does not say.
inline constexpr std::uint32_t kSetMembersStandard = 100'000;
inline constexpr std::size_t kSetsByApiMax = 32;  ///< half of the dataplane's slots: the rest is for replacements
inline constexpr std::uint32_t kSetMembersMost = 2'000'000;

/// As the policy defines it; rules hold its terms.
struct NamedService {
    std::string name;
    std::vector<ServiceTerm> terms;
};

inline constexpr std::size_t kSchedulesMax = 256;

/// Times of the week in a zone, as one's clock shows them there: schedule.hpp.
struct Schedule {
    std::string name, time_zone;
    std::uint8_t days{};                         ///< bit 0 = Monday
    std::uint16_t first_minute{}, end_minute{};  ///< of the day; an end that is not behind is one of the next day
    SourcePos pos;
};

/// What a rule says to people only. Kept apart: most rules have none.
struct RuleNotes {
    std::string owner, ticket, reason;
    bool operator==(const RuleNotes&) const = default;
};

/// Layers: 0-9 emergency, 10-19 protection, 20-49 organisation, 50-89 application. Lower ones are asked first.
inline constexpr std::uint8_t kLayerStandard = 50, kLayerMost = 89;
inline constexpr std::size_t kLayersMax = 16;

struct Rule {
    std::string id;
    std::vector<Endpoint> from, to;    ///< OR; never empty
    std::vector<ServiceTerm> service;  ///< OR; empty = any
    Action action{Action::deny};
    abi::RuleMode mode{};
    abi::RuleLog log{};
    abi::RuleLimits limits{};                ///< none unless it allows
    std::optional<abi::OnChange> on_change;  ///< of live flows that this rule decides against; absent = the policy's
    std::optional<std::uint16_t> when;       ///< index into Policy::schedules; absent = always
    std::optional<std::int64_t> expires;     ///< UTC in seconds: from then on it observes
    std::shared_ptr<const RuleNotes> notes;  ///< may be null
    std::uint8_t layer{kLayerStandard};      ///< of a policy's rules never less than that of the rule before
};

/// Source port of a policy test that names none: the first of the dynamic ports (RFC 6335 section 6).
inline constexpr std::uint16_t kTestSourcePort = 49152;

/// Members over the API that a set has while a test is asked.
struct GivenMembers {
    std::uint16_t set{};  ///< index into Policy::sets
    std::vector<Prefix> members;
};
inline constexpr std::size_t kGivenMembersMax = 1000;  ///< of a test: it asks about one packet

/// What may refuse flows that are begun too fast, as a test's `limit` names it.
enum class TestLimit : std::uint8_t { none, zone, source, rule };
inline constexpr std::array<std::string_view, 4> kTestLimitNames{"", "zone", "new_per_second_per_source",
                                                                 "new_per_second"};
constexpr std::string_view to_string(TestLimit limit) noexcept {
    return kTestLimitNames[static_cast<std::size_t>(limit)];
}

/// `{from: ADDR@zone, to: "ADDR[@zone]:PORT/proto", at, given, repeat, expect, by, limit}`
struct PolicyTest {
    abi::IpFamily family{};
    abi::IpAddr src{}, dst{};
    std::uint16_t from_zone{}, to_zone{};
    abi::L4Proto proto{};
    std::uint16_t sport{kTestSourcePort};
    std::uint16_t dport_or_icmp{};   ///< as dp::LookupKey
    std::optional<std::int64_t> at;  ///< UTC in seconds; absent = when it is run
    abi::Verdict expect{};
    std::string by;                     ///< rule id, empty = any
    std::vector<GivenMembers> given{};  ///< other sets with members over the API have none
    std::uint32_t repeat_per_second{};  ///< 0: one flow is begun
    TestLimit limit{};                  ///< that must refuse; none: any
    std::string text_from, text_to;     ///< as written
    SourcePos pos;
};

/// Who is no member of a set over the API wherever being one could cut him off: in `from` and `to` of a rule that
/// refuses, behind `not` of one that does not.
struct NeverBlock {
    std::vector<std::uint16_t> sets{};  ///< indices into Policy::sets, ascending; their members stand in the policy
    std::vector<Prefix> nets{};
    bool empty() const noexcept { return sets.empty() && nets.empty(); }
    bool operator==(const NeverBlock&) const = default;
};

/// The keys of `timeouts:`, in the order in which they are told.
struct TimeoutKey {
    std::string_view key;
    std::uint32_t abi::FlowTimeouts::*member;
};
inline constexpr std::array<TimeoutKey, 9> kTimeoutKeys{{
    {"tcp_opening", &abi::FlowTimeouts::tcp_opening_ms},
    {"tcp_established", &abi::FlowTimeouts::tcp_established_ms},
    {"tcp_unacknowledged", &abi::FlowTimeouts::tcp_unacknowledged_ms},
    {"tcp_closing", &abi::FlowTimeouts::tcp_closing_ms},
    {"tcp_closed", &abi::FlowTimeouts::tcp_closed_ms},
    {"udp_oneway", &abi::FlowTimeouts::udp_oneway_ms},
    {"udp_stream", &abi::FlowTimeouts::udp_stream_ms},
    {"icmp", &abi::FlowTimeouts::icmp_ms},
    {"other", &abi::FlowTimeouts::other_ms},
}};

/// The keys of `limits:`, in the order in which they are told.
template <typename Limits>
struct LimitKey {
    std::string_view key;
    std::uint32_t Limits::*member;
};
inline constexpr std::array<LimitKey<abi::RuleLimits>, 5> kRuleLimitKeys{{
    {"states", &abi::RuleLimits::states_max},
    {"states_per_source", &abi::RuleLimits::states_per_source_max},
    {"new_per_second", &abi::RuleLimits::new_per_second_max},
    {"new_per_second_per_source", &abi::RuleLimits::new_per_second_per_source_max},
    {"half_open", &abi::RuleLimits::half_open_max},
}};
inline constexpr std::array<LimitKey<abi::ZoneLimits>, 2> kZoneLimitKeys{{
    {"states", &abi::ZoneLimits::states_max},
    {"new_per_second", &abi::ZoneLimits::new_per_second_max},
}};

/// Who else must agree to a change of the policy, while it is in force.
struct Approvals {
    std::uint8_t needed{};                ///< others than its author; 0 = nobody
    std::uint32_t within_ms{86'400'000};  ///< how long a change waits for them
    bool operator==(const Approvals&) const = default;
};
inline constexpr std::uint32_t kApprovalsMost = 5;

struct Policy {
    std::string name;
    Approvals approvals{};
    Action default_action{Action::deny};  ///< allow, deny or reject
    abi::RuleLog default_log{};
    abi::RuleLimits default_limits{};
    abi::WireAction wire_arp{abi::WireAction::allow};
    abi::WireAction wire_nd{abi::WireAction::allow};
    abi::WireAction wire_other{abi::WireAction::deny};
    abi::SeqCheck seq_check{abi::SeqCheck::strict};
    abi::OnChange on_change{abi::OnChange::reevaluate};
    abi::FlowTimeouts timeouts{};
    abi::SynProxySettings syn_proxy{};
    std::vector<Zone> zones;
    SharedList<NetSet> sets;
    NeverBlock never_block;
    std::vector<NamedService> services;
    std::vector<Schedule> schedules;
    SharedList<Rule> rules;
    /// By rule; shorter where nobody knows. Not in the rule: a line more above would make it another one.
    std::vector<SourcePos> rule_pos;
    std::vector<PolicyTest> tests;
    abi::Digest256 version{};  ///< SHA-256 of the canonical form

    /// Does the rule leave what it matches to the rules of later layers? Where there are none, `pass` decides as the
    /// default does. An observe rule that passes on does so for nobody.
    bool passes_on(std::size_t i) const {
        return rules[i].action == Action::pass && rules[i].mode == abi::RuleMode::enforce &&
               rules.back().layer > rules[i].layer;
    }
    /// The first rule of the layers behind that of rule i; rules.size() where there is none.
    std::size_t behind_layer_of(std::size_t i) const {
        const std::uint8_t layer = rules[i].layer;
        while (i < rules.size() && rules[i].layer == layer) ++i;
        return i;
    }

    /// Does the rule refuse what it matches? One that passes does what the default does, where there is no later layer.
    /// An observe rule is asked what it would do.
    bool refuses(const Rule& rule) const {
        if (rule.action != Action::pass) return rule.action != Action::allow;
        return rules.back().layer == rule.layer && default_action != Action::allow;
    }

    SourcePos pos_of_rule(std::size_t i) const { return i < rule_pos.size() ? rule_pos[i] : SourcePos{}; }
};

}  // namespace sluice::cp
