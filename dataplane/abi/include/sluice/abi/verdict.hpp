/// What a rule says and what a lookup answers, in the numbers that tables, events and counters share.
#pragma once

#include <cstdint>
#include <string_view>

namespace sluice::abi {

/// The end of a decision. `pass` exists in the language only: the compiler resolves it to the default's verdict.
enum class Verdict : std::uint8_t { deny = 0, allow = 1, reject = 2 };
inline constexpr std::uint8_t kVerdictCount = 3;

constexpr std::string_view to_string(Verdict v) noexcept {
    switch (v) {
        case Verdict::deny: return "deny";
        case Verdict::allow: return "allow";
        case Verdict::reject: return "reject";
    }
    return "invalid";
}

enum class RuleMode : std::uint8_t { enforce = 0, observe = 1 };
inline constexpr std::uint8_t kRuleModeCount = 2;

/// Bit set: which moments of a flow are written to the flow log.
enum class RuleLog : std::uint8_t { none = 0, start = 1, end = 2, both = 3 };
inline constexpr std::uint8_t kRuleLogCount = 4;

constexpr bool logs_start(RuleLog log) noexcept { return (static_cast<unsigned>(log) & 1U) != 0; }
constexpr bool logs_end(RuleLog log) noexcept { return (static_cast<unsigned>(log) & 2U) != 0; }

enum class ZoneId : std::uint16_t {};
inline constexpr ZoneId kNoZone{0xffff};
inline constexpr std::uint32_t kZonesMax = 256;

/// Counter slot of a rule. It follows the rule's id from generation to generation; it is no position.
enum class RuleSlot : std::uint32_t {};
inline constexpr RuleSlot kSlotDefault{0};
inline constexpr RuleSlot kSlotBuiltinArp{1};
inline constexpr RuleSlot kSlotBuiltinNd{2};
inline constexpr RuleSlot kSlotBuiltinOther{3};
inline constexpr RuleSlot kSlotFirstFree{16};  ///< 4..15 are kept for later built-ins
inline constexpr RuleSlot kNoSlot{0xffffffff};

inline constexpr std::string_view kIdDefault = "default";
inline constexpr std::string_view kIdBuiltinArp = "builtin:arp";
inline constexpr std::string_view kIdBuiltinNd = "builtin:nd";
inline constexpr std::string_view kIdBuiltinOther = "builtin:other";

}  // namespace sluice::abi
