#include "controlplane/compiler/tree_shadow.hpp"

#include <algorithm>
#include <array>

namespace sluice::cp {

namespace {

/// The part of the region in which a term may match.
struct Part {
    Region hull;
    bool is_hull{true};  ///< it matches all of it
};

Part part_of(const TreeTerm& term, const Region& region) {
    Part part;
    for (std::size_t d = 0; d < abi::kDimensionCount; ++d) {
        const auto ranges = touching(*term.ranges[d], region.first[d], region.last[d]);
        part.hull.first[d] = std::max(ranges.front().first, region.first[d]);
        part.hull.last[d] = std::min(ranges.back().last, region.last[d]);
        part.is_hull = part.is_hull && ranges.size() == 1;
    }
    return part;
}

bool takes(const Region& all, const Region& part) noexcept {
    bool inside = true;
    for (std::size_t d = 0; d < abi::kDimensionCount; ++d)
        inside = inside && all.first[d] <= part.first[d] && part.last[d] <= all.last[d];
    return inside;
}

}  // namespace

void drop_unreached(std::span<const TreeTerm> terms, TermIndices& of_node, const Region& region) {
    // A packet that an observe rule matches goes on to the rules behind it.
    for (std::size_t i = 0; i < of_node.size(); ++i) {
        if (!terms[of_node[i]].observe && covers(terms[of_node[i]], region)) of_node.resize(i + 1);
    }
    if (of_node.size() < 2 || of_node.size() > kShadowedTerms) return;
    std::array<Region, kShadowedTerms> deciding;
    std::size_t deciding_count = 0;
    std::erase_if(of_node, [&](std::uint32_t t) {
        const Part part = part_of(terms[t], region);
        const auto before = std::span{deciding}.first(deciding_count);
        if (std::ranges::any_of(before, [&](const Region& one) { return takes(one, part.hull); })) return true;
        if (part.is_hull && !terms[t].observe) deciding[deciding_count++] = part.hull;
        return false;
    });
}

}  // namespace sluice::cp
