/// The overlay section: hidden rules, new rules, places, and whole sections inside it, which go through the same checks
/// as the large ones. Then what it says about the rules section.
#include <algorithm>

#include "dataplane/acl/check.hpp"
#include "dataplane/acl/large_tables.hpp"
#include "dataplane/acl/validator.hpp"
#include "dataplane/acl/view_tables.hpp"

namespace sluice::dp {

namespace {

using R = abi::RefuseReason;

bool check_hidden(Check& check, std::span<const abi::RuleIndex> hidden) {
    for (std::size_t i = 1; i < hidden.size(); ++i) {
        if (!check.require(hidden[i - 1] < hidden[i], R::order, "hidden rule ", i, " is ", hidden[i],
                           ", not above the one before"))
            return false;
    }
    return true;
}

bool check_tables(Check& check, const abi::OverlaySection& s, bool wanted) {
    for (std::size_t i = 0; i < s.tables.size(); ++i) {
        const std::string_view name = kPartNames[index_of(abi::kOverlayTables[i])];
        std::span<const std::byte> bytes;
        if (!check.require(s.tables[i].offset % sizeof(abi::AddressLine) == 0, R::bounds, name, " starts at offset ",
                           s.tables[i].offset, ", not on a line") ||
            !check.array(name, s.tables[i], bytes) ||
            !check.require(wanted != bytes.empty(), R::bounds, name, " has ", bytes.size(), " bytes"))
            return false;
        if (!wanted) continue;
        if (const auto ok = validate_section(abi::kOverlayTables[i], bytes); !ok)
            return check.require(false, ok.error().reason, ok.error().where);
    }
    return true;
}

/// The rule that is asked after a place, and which one it is.
bool check_places(Check& check, const TableView& view, const OverlayView& overlay) {
    abi::RuleIndex last = 0;
    for (std::size_t i = 0; i < overlay.places.size(); ++i) {
        const auto [before, rule] = overlay.places[i];
        const bool of_large = rule < view.rules.size();
        if (!check.require(before >= last && before < view.rules.size(), R::order, "place ", i, " stands before rule ",
                           before, ", the one in front of it before ", last) ||
            !check.require(rule < view.rules.size() + overlay.rules.size(), R::index, "place ", i, " names rule ", rule,
                           " of ", view.rules.size() + overlay.rules.size()) ||
            !check.require(!of_large || (rule == before && rule != view.default_rule() && !overlay.hides(rule)),
                           R::order, "place ", i, " names rule ", rule, ", which does not stand there"))
            return false;
        last = before;
    }
    return true;
}

/// A rule that passes on, or is passed over, is more than a rule: entries are counted by those in the rules section.
bool check_passes(Check& check, const TableView& view, const OverlayView& overlay) {
    for (const abi::RuleIndex rule : overlay.hidden) {
        if (!check.require(rule < view.default_rule(), R::index, "rule ", rule, " is hidden, of ",
                           view.default_rule()) ||
            !check.require(view.rules[rule].is_pass <= 1, R::order, "rule ", rule, " is hidden and passes on"))
            return false;
    }
    for (std::size_t i = 0; i < overlay.rules.size(); ++i) {
        if (!check.require(overlay.rules[i].is_pass <= 1, R::order, "overlay rule ", i, " passes on")) return false;
    }
    return true;
}

/// Nothing that is in force has the slot or the id of a new rule. One that was edited keeps both.
bool check_apart(Check& check, const abi::Manifest& manifest, const LargeTables& large, const TableView& view,
                 std::span<const char> text) {
    const auto is_free = [&](abi::RuleIndex taken, std::string_view by) {
        return taken == abi::kNoRule || view.overlay.hides(taken) ||
               check.require(false, R::order, "rule ", view.rule_id(taken), " and an overlay rule have one ", by);
    };
    for (const abi::RuleRecord& rule : view.overlay.rules) {
        const auto slot = static_cast<std::uint32_t>(rule.slot);
        if (!check.require(slot < manifest.rule_slots, R::index, "an overlay rule has slot ", slot, " of ",
                           manifest.rule_slots) ||
            !is_free(large.with_slot(rule.slot), "slot") || !is_free(large.with_id(text_of(rule.id, text), view), "id"))
            return false;
    }
    return true;
}

bool same_moments(Check& check, const TableView& view, const OverlayView& overlay,
                  std::span<const abi::SetUse> set_uses) {
    const auto same = [](const abi::Transition& a, const abi::Transition& b) { return a == b; };
    return check.require(std::ranges::equal(view.trees.transitions, overlay.tables.trees.transitions, same), R::order,
                         "the overlay has other periods than the trees") &&
           check.require(std::ranges::equal(view.set_uses, set_uses), R::order,
                         "the overlay asks other sets than the trees");
}

}  // namespace

bool check_overlay(Check& check, const abi::OverlaySection& s) {
    std::span<const abi::RuleIndex> hidden;
    std::span<const abi::RuleRecord> rules;
    std::span<const abi::OverlayPlace> places;
    std::span<const char> text;
    if (!check.require(s.hidden.count <= abi::kOverlayHiddenMax, R::budget, s.hidden.count, " hidden rules, at most ",
                       abi::kOverlayHiddenMax) ||
        !check.require(s.rules.count <= abi::kOverlayRulesMax, R::budget, s.rules.count, " rules, at most ",
                       abi::kOverlayRulesMax) ||
        !check.require(s.places.count <= abi::kOverlayPlacesMax, R::budget, s.places.count, " places, at most ",
                       abi::kOverlayPlacesMax) ||
        !check.array("hidden", s.hidden, hidden) || !check.array("rules", s.rules, rules) ||
        !check.array("places", s.places, places) || !check_tables(check, s, !hidden.empty() || !rules.empty()) ||
        !check.array("text", s.text, text) || !check_hidden(check, hidden))
        return false;
    for (std::size_t i = 0; i < rules.size(); ++i) {
        if (!check_record(check, rules[i], i, text)) return false;
    }
    return check_unique(check, rules, text);
}

bool view_overlay(Check& check, const abi::Manifest& manifest, const SectionBytes& sections, const LargeTables& large,
                  TableView& view) {
    const auto bytes = sections[index_of(abi::SectionKind::overlay)];
    const auto& s = as<abi::OverlaySection>(bytes);
    const Opened open{bytes};
    const auto text = open.array<char>(s.text);
    OverlayView& overlay = view.overlay;
    overlay.hidden = open.array<abi::RuleIndex>(s.hidden);
    overlay.rules = open.array<abi::RuleRecord>(s.rules);
    overlay.places = open.array<abi::OverlayPlace>(s.places);
    overlay.text = text.data();
    if (!check_passes(check, view, overlay) || !check_places(check, view, overlay) ||
        !check_apart(check, manifest, large, view, text))
        return false;
    if (overlay.hidden.empty() && overlay.rules.empty())
        return check.require(overlay.places.empty(), R::order, "the overlay changes nothing and has places");
    LookupSections parts;
    for (std::size_t i = 0; i < parts.size(); ++i) parts[i] = open.array<std::byte>(s.tables[i]);
    std::span<const abi::SetUse> set_uses;
    if (!view_tables(check, parts, NamedRules{view, overlay.places}, overlay.places.size() + 1, view.trees.entry_count,
                     overlay.tables, set_uses) ||
        !check_modes(check, parts, NamedRules{view, overlay.places}) || !same_moments(check, view, overlay, set_uses))
        return false;
    view.has_overlay = true;
    return true;
}

}  // namespace sluice::dp
