#include "controlplane/compiler/lookup_sections.hpp"

#include <algorithm>
#include <string_view>
#include <utility>

namespace sluice::cp {

namespace {

/// Writes one side and family; false = over budget.
template <typename At>
bool put_addresses(SectionContent& out, abi::SectionKind kind, std::string_view name, const Intervals<At>& intervals,
                   std::uint32_t class_count, Budget& budget) {
    const std::size_t lines_max =
        std::min<std::uint64_t>(abi::kAddressLinesMax - 1, budget.left() / sizeof(abi::AddressLine));
    const AddressTable table = address_table(intervals, lines_max);
    if (!budget.take(name, table.lines.size() * sizeof(abi::AddressLine) + table.root.size() * 4)) return false;
    out = write_addresses(kind, table, class_count);
    return true;
}

}  // namespace

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

Expected<LookupSectionContents, CompileRefusal> write_lookup_sections(const ClassifiedTerms& classified,
                                                                      const Periods& periods, const Entries& entries,
                                                                      const LookupShape& shape, Budget& budget) {
    using abi::SectionKind;
    LookupSectionContents out;
    auto& [src_v4, dst_v4, src_v6, dst_v6, transport, trees_section] = out;
    transport = write_transport(classified.transport);
    const AddressClasses &src = classified.src, &dst = classified.dst;
    if (!budget.take("services", transport.size()) ||
        !put_addresses(src_v4, SectionKind::src_v4, "IPv4 sources", src.v4, src.count, budget) ||
        !put_addresses(dst_v4, SectionKind::dst_v4, "IPv4 destinations", dst.v4, dst.count, budget) ||
        !put_addresses(src_v6, SectionKind::src_v6, "IPv6 sources", src.v6, src.count, budget) ||
        !put_addresses(dst_v6, SectionKind::dst_v6, "IPv6 destinations", dst.v6, dst.count, budget))
        return *budget.refusal();
    const auto trees = build_trees(classified.terms, classified.class_count(), budget.left(), shape.trees);
    if (!trees) {
        budget.take("trees", std::max(trees.error().bytes, budget.left() + 1));
        return *budget.refusal();
    }
    trees_section = write_trees(*trees, classified, periods, entries, static_cast<std::uint32_t>(shape.zone_count),
                                static_cast<std::uint32_t>(shape.rule_count));
    return out;
}

}  // namespace sluice::cp
