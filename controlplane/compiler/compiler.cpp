#include "controlplane/compiler/compiler.hpp"

#include <optional>
#include <utility>

#include "controlplane/compiler/entries.hpp"
#include "controlplane/compiler/lookup_sections.hpp"
#include "controlplane/compiler/manifest.hpp"
#include "controlplane/compiler/overlay_section.hpp"
#include "controlplane/compiler/sections.hpp"
#include "controlplane/compiler/terms.hpp"
#include "dataplane/acl/digest.hpp"

namespace sluice::cp {

namespace {

using abi::SectionKind;

std::optional<Unexpected<CompileRefusal>> too_many(const Policy& policy, const TermBuilder& builder,
                                                   const CompileOptions& options) {
    if (policy.zones.size() > abi::kZonesMax)
        return refuse("too-many-zones", figure(policy.zones.size()) + " zones, at most " + figure(abi::kZonesMax),
                      policy.zones.size(), abi::kZonesMax);
    const std::uint64_t terms_max = std::min(options.terms_max, abi::kTermsMax);
    if (builder.term_count() <= terms_max) return std::nullopt;
    const auto [rule, count] = builder.widest_rule();
    return refuse("too-many-terms",
                  "rules expand to " + figure(builder.term_count()) + " terms, at most " + figure(terms_max) +
                      "; rule \"" + policy.rules[rule].id + "\" alone makes " + figure(count) +
                      ": put its addresses into sets",
                  builder.term_count(), terms_max);
}

/// The tables have a line of pairs of zones for every period and every layer that rules pass to.
std::optional<Unexpected<CompileRefusal>> too_many_periods(const Policy& policy, const Periods& periods,
                                                           const Entries& entries) {
    if (entries.count() > dp::kEntriesMax)
        return refuse("too-many-layers",
                      "rules pass to " + figure(entries.count() - 1) + " layers, at most " +
                          figure(dp::kEntriesMax - 1) + "; use fewer layers",
                      entries.count() - 1, dp::kEntriesMax - 1);
    const std::uint64_t pairs = std::uint64_t{policy.zones.size()} * policy.zones.size() * entries.count();
    if (periods.count() * pairs <= abi::kZonePlacesMax) return std::nullopt;
    return refuse("too-many-periods",
                  "schedules and expiries make " + figure(periods.count()) +
                      " different combinations of rules in force, at most " + figure(abi::kZonePlacesMax / pairs) +
                      " with " + figure(policy.zones.size()) + " zones and " + figure(entries.count() - 1) +
                      " layers that rules pass to; use fewer schedules that overlap",
                  periods.count(), abi::kZonePlacesMax / pairs);
}

}  // namespace

dp::SectionBytes CompiledGeneration::section_bytes() const noexcept {
    dp::SectionBytes spans;
    for (std::size_t i = 0; i < sections.size(); ++i) spans[i] = sections[i].bytes();
    return spans;
}

std::uint64_t CompiledGeneration::bytes() const noexcept {
    std::uint64_t total = sizeof manifest;
    for (const auto& section : sections) total += section.bytes().size();
    return total;
}

Expected<CompiledGeneration, CompileRefusal> compile(const Policy& policy, const SlotMap& slots,
                                                     const CompileOptions& options) {
    RuleSlots rule_slots;
    for (const Rule& rule : policy.rules) {
        const auto slot = slots.find(rule.id);
        if (!slot) return refuse("slot-missing", "rule \"" + rule.id + "\" has no counter slot", 0, 0);
        rule_slots.push_back(*slot);
    }
    return compile(policy, rule_slots, options);
}

Expected<CompiledGeneration, CompileRefusal> compile(const Policy& policy, const RuleSlots& rule_slots,
                                                     const CompileOptions& options) {
    if (rule_slots.size() != policy.rules.size())
        return refuse("slot-missing", "there are " + figure(rule_slots.size()) + " counter slots for the rules",
                      rule_slots.size(), policy.rules.size());
    const auto terms = options.terms != nullptr
                           ? options.terms
                           : std::make_shared<const TermBuilder>(policy, options.edited_from, options.terms_before);
    const TermBuilder& builder = *terms;
    if (auto refusal = too_many(policy, builder, options)) return std::move(*refusal);
    const auto periods = Periods::of(policy, static_cast<UnixSeconds>(options.created_unix_ns / 1'000'000'000));
    if (!periods) {
        const TooMuchTime& e = periods.error();
        return refuse(e.code, e.detail, e.needed, e.allowed);
    }
    const Entries entries{policy};
    if (auto refusal = too_many_periods(policy, *periods, entries)) return std::move(*refusal);
    std::vector<std::uint64_t> untouched;
    if (options.base) untouched = untouched_slots(*options.base, policy, rule_slots, &builder);
    const ClassifiedTerms classified{builder, policy, *periods, entries};
    if (auto refusal = too_many_classes(classified)) return std::move(*refusal);

    CompiledGeneration out;
    const auto put = [&](SectionKind kind, SectionContent bytes) {
        out.section(kind) = SharedSection{std::move(bytes)};
    };
    put(SectionKind::settings, write_settings(policy, options.base, untouched));
    put(SectionKind::zones, write_zones(policy));
    put(SectionKind::rules, write_rules(policy, rule_slots, entries));
    put(SectionKind::overlay, write_no_overlay());
    Budget budget{options.bytes_max, classified.terms.size()};
    if (!budget.take("rules", out.section(SectionKind::rules).bytes().size())) return *budget.refusal();
    auto lookup = write_lookup_sections(
        classified, *periods, entries,
        {.zone_count = policy.zones.size(), .rule_count = policy.rules.size() + 1, .trees = {}}, budget);
    if (!lookup) return Unexpected<CompileRefusal>{std::move(lookup.error())};
    for (std::size_t i = 0; i < lookup->size(); ++i) put(abi::kOverlayTables[i], std::move((*lookup)[i]));
    out.whole =
        std::make_shared<const WholeTables>(policy, rule_slots, terms, *periods, entries, classified.zones.asked,
                                            static_cast<UnixSeconds>(options.created_unix_ns / 1'000'000'000));
    out.manifest = make_manifest(policy, rule_slots, periods->transitions(), out);
    out.manifest.set_epoch = options.set_epoch;
    out.manifest.set_delta = options.set_delta;
    renumber(out, options.generation, options.created_unix_ns);
    return out;
}

void renumber(CompiledGeneration& compiled, std::uint64_t generation, std::uint64_t created_unix_ns) {
    compiled.manifest.generation = generation;
    compiled.manifest.created_unix_ns = created_unix_ns;
    compiled.manifest.digest = dp::manifest_digest(compiled.manifest);
}

}  // namespace sluice::cp
