#include "controlplane/compiler/compiler.hpp"

#include <algorithm>
#include <cstring>
#include <optional>
#include <string_view>
#include <tuple>

#include <openssl/sha.h>

#include <sluice/abi/layout.hpp>

#include "controlplane/compiler/entries.hpp"
#include "controlplane/compiler/sections.hpp"
#include "controlplane/compiler/terms.hpp"
#include "dataplane/acl/digest.hpp"

namespace sluice::cp {

namespace {

using abi::SectionKind;

constexpr std::size_t index_of(SectionKind kind) noexcept { return static_cast<std::size_t>(kind) - 1; }

Unexpected<CompileRefusal> refuse(std::string code, std::string detail, std::uint64_t needed, std::uint64_t allowed) {
    return Unexpected<CompileRefusal>{
        {.code = std::move(code), .detail = std::move(detail), .needed = needed, .allowed = allowed}};
}

std::string figure(std::uint64_t n) {
    std::string s = std::to_string(n);
    for (std::size_t i = s.size(); i > 3; i -= 3) s.insert(i - 3, ",");
    return s;
}

/// What is left of the budget, part by part; the first part that does not fit is told.
class Budget {
public:
    Budget(std::uint64_t bytes_max, std::size_t term_count)
        : allowed_{bytes_max}, left_{bytes_max}, terms_{term_count} {}

    std::uint64_t left() const noexcept { return std::min(left_, abi::kSectionBytesMax); }
    bool take(std::string_view part, std::uint64_t bytes) {
        if (bytes > left()) {
            refusal_ = refuse("tables-too-big",
                              "the tables need more than " + figure(allowed_ - left_ + bytes) + " bytes (" +
                                  figure(bytes) + " of them for " + std::string{part} + ") with " + figure(terms_) +
                                  " terms, at most " + figure(std::min(allowed_, allowed_ - left_ + left())) +
                                  "; use fewer rules or put prefixes into sets",
                              allowed_ - left_ + bytes, allowed_);
            return false;
        }
        left_ -= bytes;
        return true;
    }
    const std::optional<Unexpected<CompileRefusal>>& refusal() const noexcept { return refusal_; }

private:
    std::uint64_t allowed_, left_;
    std::size_t terms_;
    std::optional<Unexpected<CompileRefusal>> refusal_;
};

/// For people; cut at a character's start where it is too long.
std::array<char, 64> manifest_name(std::string_view name) {
    std::array<char, 64> out{};
    std::size_t bytes = std::min(name.size(), out.size() - 1);
    if (bytes < name.size()) {
        while (bytes > 0 && (static_cast<unsigned char>(name[bytes]) & 0xc0U) == 0x80) --bytes;
    }
    std::memcpy(out.data(), name.data(), bytes);
    return out;
}

abi::SectionRef ref_of(std::span<const std::byte> section) {
    abi::SectionHeader header;
    std::memcpy(&header, section.data(), sizeof header);
    return {.kind = header.kind, .bytes = header.bytes, .digest = header.digest};
}

/// Identifies what the dataplane would run: the policy, this compiler and every section's content. Independent of the
/// generation number, of time and of what it was compared with, so that "does it run what is stored?" is one
/// comparison, by a control plane that has been restarted too. `settings`: that section as it is without a base.
abi::Digest256 generation_digest(const abi::Manifest& m, std::span<const std::byte> settings) {
    auto sections = m.sections;
    sections[index_of(SectionKind::settings)] = ref_of(settings);
    std::vector<unsigned char> text;
    const auto add = [&](const void* p, std::size_t n) {
        text.insert(text.end(), static_cast<const unsigned char*>(p), static_cast<const unsigned char*>(p) + n);
    };
    add(m.policy_version.bytes.data(), m.policy_version.bytes.size());
    add(&m.compiler_version, sizeof m.compiler_version);
    add(sections.data(), sizeof sections);
    abi::Digest256 digest;
    SHA256(text.data(), text.size(), digest.bytes.data());
    return digest;
}

abi::Manifest make_manifest(const Policy& policy, const std::vector<abi::RuleSlot>& slots,
                            const CompiledGeneration& compiled) {
    abi::Manifest m;
    m.layout_hash = abi::kLayoutHash;
    m.bytes = sizeof m;
    m.policy_version = policy.version;
    m.compiler_version = kCompilerVersion;
    m.rule_slots = static_cast<std::uint32_t>(abi::kSlotFirstFree);
    for (const abi::RuleSlot slot : slots) m.rule_slots = std::max(m.rule_slots, static_cast<std::uint32_t>(slot) + 1);
    m.policy_name = manifest_name(policy.name);
    for (std::size_t i = 0; i < compiled.sections.size(); ++i) m.sections[i] = ref_of(compiled.sections[i]);
    m.generation_digest = generation_digest(m, write_settings(policy, slots, std::nullopt, nullptr));
    return m;
}

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

/// Services and pairs of zones are named in 16 bits.
std::optional<Unexpected<CompileRefusal>> too_many_classes(const ClassifiedTerms& c) {
    constexpr std::uint64_t classes_max = 65'536;
    if (c.transport.count > classes_max)
        return refuse("too-many-services",
                      "services cut ports and protocols into " + figure(c.transport.count) +
                          " different combinations of rules, at most " + figure(classes_max) +
                          "; use fewer overlapping port ranges",
                      c.transport.count, classes_max);
    const std::size_t uses = c.zones.asked.uses.size();
    if (uses > abi::kSetUsesMax)
        return refuse("too-many-sets",
                      "rules ask " + figure(uses) + " questions about sets with members over the API, at most " +
                          figure(abi::kSetUsesMax) + " (a set in from is one, in to another)",
                      uses, abi::kSetUsesMax);
    if (c.zones.places > abi::kZonePlacesMax)
        return refuse("too-many-sets",
                      "periods, layers, pairs of zones and " + figure(uses) +
                          " questions about sets with members over the API make " + figure(c.zones.places) +
                          " combinations, at most " + figure(abi::kZonePlacesMax) +
                          "; use fewer zones, layers, schedules or such sets",
                      c.zones.places, abi::kZonePlacesMax);
    if (c.zones.count > classes_max)
        return refuse("too-many-combinations",
                      "zones, schedules, expiries and sets with members over the API make " + figure(c.zones.count) +
                          " different combinations of rules, at most " + figure(classes_max) +
                          "; use fewer of them that overlap",
                      c.zones.count, classes_max);
    return std::nullopt;
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

struct AddressPart {
    SectionKind kind;
    std::string_view name;
};

/// Writes one side and family; false = over budget.
template <typename At>
bool put_addresses(CompiledGeneration& out, AddressPart part, const Intervals<At>& intervals, std::uint32_t class_count,
                   Budget& budget) {
    const std::size_t lines_max =
        std::min<std::uint64_t>(abi::kAddressLinesMax - 1, budget.left() / sizeof(abi::AddressLine));
    const AddressTable table = address_table(intervals, lines_max);
    if (!budget.take(part.name, table.lines.size() * sizeof(abi::AddressLine) + table.root.size() * 4)) return false;
    out.sections[index_of(part.kind)] = write_addresses(part.kind, table, class_count);
    return true;
}

}  // namespace

dp::SectionBytes CompiledGeneration::section_bytes() const noexcept {
    dp::SectionBytes spans;
    for (std::size_t i = 0; i < sections.size(); ++i) spans[i] = sections[i];
    return spans;
}

std::uint64_t CompiledGeneration::bytes() const noexcept {
    std::uint64_t total = sizeof manifest;
    for (const auto& section : sections) total += section.size();
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
    const auto terms = std::make_shared<const TermBuilder>(policy, options.edited_from, options.terms_before);
    const TermBuilder& builder = *terms;
    if (auto refusal = too_many(policy, builder, options)) return std::move(*refusal);
    const auto periods = Periods::of(policy, static_cast<UnixSeconds>(options.created_unix_ns / 1'000'000'000));
    if (!periods) {
        const TooMuchTime& e = periods.error();
        return refuse(e.code, e.detail, e.needed, e.allowed);
    }
    const Entries entries{policy};
    if (auto refusal = too_many_periods(policy, *periods, entries)) return std::move(*refusal);
    const ClassifiedTerms classified{builder, policy, *periods, entries};
    if (auto refusal = too_many_classes(classified)) return std::move(*refusal);

    CompiledGeneration out;
    out.terms = terms;
    const auto put = [&](SectionKind kind, std::vector<std::byte> bytes) {
        out.sections[index_of(kind)] = std::move(bytes);
    };
    put(SectionKind::settings, write_settings(policy, rule_slots, options.base, &builder));
    put(SectionKind::zones, write_zones(policy));
    put(SectionKind::rules, write_rules(policy, rule_slots, entries));
    put(SectionKind::transport, write_transport(classified.transport));

    Budget budget{options.bytes_max, classified.terms.size()};
    const auto& [src, dst] = std::tie(classified.src, classified.dst);
    if (!budget.take("rules and services", out.sections[index_of(SectionKind::rules)].size() +
                                               out.sections[index_of(SectionKind::transport)].size()) ||
        !put_addresses(out, {SectionKind::src_v4, "IPv4 sources"}, src.v4, src.count, budget) ||
        !put_addresses(out, {SectionKind::dst_v4, "IPv4 destinations"}, dst.v4, dst.count, budget) ||
        !put_addresses(out, {SectionKind::src_v6, "IPv6 sources"}, src.v6, src.count, budget) ||
        !put_addresses(out, {SectionKind::dst_v6, "IPv6 destinations"}, dst.v6, dst.count, budget))
        return *budget.refusal();
    const auto trees = build_trees(classified.terms, classified.class_count(), budget.left());
    if (!trees) {
        budget.take("trees", std::max(trees.error().bytes, budget.left() + 1));
        return *budget.refusal();
    }
    put(SectionKind::trees,
        write_trees(*trees, classified, *periods, entries, static_cast<std::uint32_t>(policy.zones.size()),
                    static_cast<std::uint32_t>(policy.rules.size() + 1)));
    out.manifest = make_manifest(policy, rule_slots, out);
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
