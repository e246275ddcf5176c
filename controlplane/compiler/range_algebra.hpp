/// What sets can do, for lists of ranges: overlap, cover, meet, join, take away. Lists are normalised, as Ranges says,
/// and so is every answer. A short list beside a long one costs the short one's length times a binary search.
#pragma once

#include <algorithm>
#include <cstdint>

#include "controlplane/compiler/ranges.hpp"

namespace sluice::cp {

/// The number before `at`, which is not the first.
constexpr void step_back(std::uint32_t& at) noexcept { --at; }
constexpr void step_back(V6Number& at) noexcept {
    if (at.low-- == 0) --at.high;
}

/// The first range that ends at `at` or behind it.
template <typename At>
auto first_reaching(const Ranges<At>& list, const At& at) {
    return std::lower_bound(list.begin(), list.end(), at,
                            [](const Range<At>& range, const At& place) { return range.last < place; });
}

template <typename At>
bool overlaps(const Ranges<At>& a, const Ranges<At>& b) {
    if (a.size() > b.size()) return overlaps(b, a);
    if (a.empty() || a.back().last < b.front().first || b.back().last < a.front().first) return false;
    return std::any_of(a.begin(), a.end(), [&](const Range<At>& range) {
        const auto at = first_reaching(b, range.first);
        return at != b.end() && at->first <= range.last;
    });
}

/// All that `narrow` has, `wide` has.
template <typename At>
bool covers(const Ranges<At>& wide, const Ranges<At>& narrow) {
    if (narrow.empty()) return true;
    if (wide.empty() || narrow.front().first < wide.front().first || wide.back().last < narrow.back().last)
        return false;
    return std::all_of(narrow.begin(), narrow.end(), [&](const Range<At>& range) {
        const auto at = first_reaching(wide, range.last);
        return at != wide.end() && at->first <= range.first;
    });
}

template <typename At>
Ranges<At> common(const Ranges<At>& a, const Ranges<At>& b) {
    if (a.size() > b.size()) return common(b, a);
    Ranges<At> both;
    for (const Range<At>& range : a) {
        for (auto at = first_reaching(b, range.first); at != b.end() && at->first <= range.last; ++at)
            both.push_back({std::max(range.first, at->first), std::min(range.last, at->last)});
    }
    return both;
}

/// What `a` has and `b` has not.
template <typename At>
Ranges<At> without(const Ranges<At>& a, const Ranges<At>& b) {
    Ranges<At> left;
    if (a.empty()) return left;
    auto at = first_reaching(b, a.front().first);
    for (Range<At> rest : a) {
        while (at != b.end() && at->last < rest.first) ++at;
        bool any = true;
        for (auto cut = at; any && cut != b.end() && cut->first <= rest.last; ++cut) {
            if (rest.first < cut->first) {
                Range<At> front{rest.first, cut->first};
                step_back(front.last);
                left.push_back(front);
            }
            rest.first = cut->last;
            any = cut->last < rest.last && step(rest.first);
        }
        if (any) left.push_back(rest);
    }
    return left;
}

inline AddressList without(const AddressList& a, const AddressList& b) {
    return {without(a.v4, b.v4), without(a.v6, b.v6)};
}

inline AddressList common(const AddressList& a, const AddressList& b) {
    return {common(a.v4, b.v4), common(a.v6, b.v6)};
}

template <typename At>
Ranges<At> joined(const Ranges<At>& a, const Ranges<At>& b) {
    Ranges<At> all = a;
    all.insert(all.end(), b.begin(), b.end());
    normalise(all);
    return all;
}

}  // namespace sluice::cp
