/// A validated generation, ready to be asked: raw pointers into read-only mappings, resolved once by the validator.
/// Whoever holds a view must hold the mappings (dataplane: until QSBR retires them; control plane: its own buffers).
/// Needs no DPDK; the control plane links it so that `explain` and `plan` cannot disagree with enforcement.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <iterator>
#include <span>
#include <string_view>

#include <sluice/abi/net_order.hpp>
#include <sluice/abi/tables.hpp>
#include <sluice/abi/telemetry.hpp>

#include "dataplane/acl/set_view.hpp"

namespace sluice::dp {

struct AddressView {
    const std::uint32_t* root{};
    const abi::AddressLine* lines{};
};

/// Which table tells a packet's transport class.
enum class TransportTable : std::uint8_t { by_proto = 0, tcp = 1, udp = 2, icmp = 3, icmp6 = 4 };

struct TransportView {
    std::array<const std::uint16_t*, 5> tables{};  ///< by TransportTable
};

/// Layers: rules stand in layers, one behind the other, and a rule may leave what it matches to the layers behind its
/// own. An *entry* is a place in the list of rules from which on a packet may ask: entry 0 is the first rule, and each
/// layer to which some rule passes begins with another. RuleRecord::is_pass is 1 where a rule passes and none stands
/// behind (it decides as the default does), and 1 + e where a packet for which it is the first asks again from entry e
/// on. Every entry has its own table of pairs of zones, in which only rules from there on can match: what
/// TreesSection::period_count counts are tables, those of one period side by side by their entries, and a transition
/// names that of entry 0. So asking again is another lookup in the same trees, and who is not passed on pays nothing.
inline constexpr std::uint32_t kEntriesMax = 16;

struct TreesView {
    std::uint32_t zone_count{};
    std::uint32_t set_use_count{};
    std::uint32_t entry_count{1};       ///< 1 where no rule passes on
    const std::uint16_t* zone_pairs{};  ///< of the period and entry that the view is for
    const std::uint16_t* all_zone_pairs{};
    std::span<const abi::Transition> transitions;  ///< ascending, the first at 0
    std::span<const std::uint32_t> roots;
    const abi::TreeNode* nodes{};
    const abi::LeafRecord* records{};
    const abi::Condition* conditions{};
    const abi::ClassRange* ranges{};
    const abi::Block* blocks{};
    const std::uint64_t* words{};
    /// What a lookup may cost, as the sections state it.
    std::uint32_t node_visits_max{}, block_words_max{};
};

/// What a lookup asks: four classes of a packet, then the rules. `no_match` is its answer where none matches.
struct LookupTables {
    AddressView src_v4, dst_v4, src_v6, dst_v6;
    TransportView transport;
    TreesView trees;
    abi::RuleIndex no_match{};

    std::size_t places_of_an_entry() const noexcept {
        return std::size_t{trees.zone_count} * trees.zone_count << trees.set_use_count;
    }
    void use_period(std::uint32_t period) noexcept {
        trees.zone_pairs = trees.all_zone_pairs + period * places_of_an_entry();
    }
    /// Precondition: the tables are those of entry 0.
    void use_entry(std::uint32_t entry) noexcept { trees.zone_pairs += entry * places_of_an_entry(); }
};

/// Rules that changed since the tables were compiled (abi: OverlaySection). `tables` answer places.
struct OverlayView {
    LookupTables tables;
    std::span<const abi::OverlayPlace> places;
    std::span<const abi::RuleIndex> hidden;  ///< ascending
    std::span<const abi::RuleRecord> rules;
    const char* text{};

    bool hides(abi::RuleIndex rule) const noexcept { return std::ranges::binary_search(hidden, rule); }
};

struct TableView : LookupTables {
    std::uint64_t generation{};
    const abi::SettingsSection* settings{};
    /// Bit per rule slot, see SettingsSection::untouched; whoever switches looks whether the base is what ran before.
    std::span<const std::uint64_t> untouched;

    /// Evaluation order, default last; those that `overlay` hides are not in force.
    std::span<const abi::RuleRecord> rules;
    const char* rules_text{};
    OverlayView overlay;
    bool has_overlay{};

    std::span<const abi::ZoneRecord> zones;
    std::span<const abi::ZoneBinding> bindings;
    std::span<const abi::SetRecord> sets;  ///< those that change without a generation
    std::span<const abi::SetUse> set_uses;
    const char* zones_text{};
    /// Zone of untagged traffic per port of the validator's port list; kNoZone where the port has none.
    std::array<abi::ZoneId, abi::kPortsMax> port_zone{};

    /// What sets with changing members say now; filled in by whoever publishes the view. Empty: none has a member.
    SetView members;

    /// Which period is in force at an instant, in seconds of UTC: the number of its first table.
    std::uint32_t period_at(std::uint64_t unix_s) const noexcept {
        const auto behind = std::ranges::upper_bound(trees.transitions, unix_s, {}, &abi::Transition::at_unix_s);
        return behind == trees.transitions.begin() ? 0 : std::prev(behind)->period;
    }
    void use_period(std::uint32_t period) noexcept {
        LookupTables::use_period(period);
        if (has_overlay) overlay.tables.use_period(period);
    }
    /// These tables as they answer from an entry on. Precondition: they are those of entry 0.
    TableView from_entry(std::uint32_t entry) const noexcept {
        TableView behind = *this;
        behind.use_entry(entry);
        if (has_overlay) behind.overlay.tables.use_entry(entry);
        return behind;
    }
    /// These tables as they answer then.
    TableView at(std::uint64_t unix_s) const noexcept {
        TableView then = *this;
        then.use_period(period_at(unix_s));
        return then;
    }

    abi::RuleIndex default_rule() const noexcept { return static_cast<abi::RuleIndex>(rules.size() - 1); }
    /// A rule as lookups name it: of `rules`, or, from their end on, of the overlay.
    const abi::RuleRecord& rule(abi::RuleIndex i) const noexcept {
        return i < rules.size() ? rules[i] : overlay.rules[i - rules.size()];
    }
    std::string_view rule_id(abi::RuleIndex i) const noexcept {
        const abi::TextRef id = rule(i).id;
        return {(i < rules.size() ? rules_text : overlay.text) + id.offset, id.bytes};
    }
    /// Above every index that a lookup may answer.
    std::size_t rules_end() const noexcept { return rules.size() + overlay.rules.size(); }
    /// Words of the widest rows that a lookup may go along.
    std::uint32_t block_words_max() const noexcept {
        return trees.block_words_max + overlay.tables.trees.block_words_max;
    }
    bool in_force(abi::RuleIndex i) const noexcept { return !overlay.hides(i); }
    std::string_view set_name(std::size_t set) const noexcept {
        return {zones_text + sets[set].name.offset, sets[set].name.bytes};
    }
    std::string_view zone_name(abi::ZoneId z) const noexcept {
        const auto& name = zones[static_cast<std::size_t>(z)].name;
        return {zones_text + name.offset, name.bytes};
    }
};

}  // namespace sluice::dp
