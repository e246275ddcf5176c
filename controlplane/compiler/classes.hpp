/// From lists of ranges to classes: a line is cut at every edge of every range; what lies between two cuts is held by
/// one set of lists; equal sets are one class. Classes are numbered in the order in which they are met, several lines
/// of one numbering one after the other.
///
/// Why a list is few ranges of classes: while a range of a list is open, every class met holds that list. Such a class
/// was first met in this range or in an earlier one of the same list, so the classes of the list are those that were
/// *new* while one of its ranges was open, and new classes have neighbouring numbers. A prefix is one range of classes
/// whatever lies inside it, and a set of n prefixes at most n, mostly far fewer.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <type_traits>
#include <vector>

#include <sluice/abi/tables.hpp>

#include "controlplane/compiler/ranges.hpp"
#include "controlplane/compiler/terms.hpp"

namespace sluice::cp {

using ClassRanges = std::vector<abi::ClassRange>;  ///< ascending, neighbours do not touch

/// From here on the list is in (if it was out) or out (if it was in).
template <typename At>
struct Cut {
    At at{};
    ListIndex list{};
    constexpr auto operator<=>(const Cut&) const = default;
};

template <typename At>
void add_cuts(std::vector<Cut<At>>& cuts, ListIndex list, const Ranges<At>& ranges) {
    for (const Range<At>& r : ranges) {
        cuts.push_back({.at = r.first, .list = list});
        At behind = r.last;
        if (step(behind)) cuts.push_back({.at = behind, .list = list});
    }
}

/// By place; the order of cuts at one place is nobody's. IPv4 addresses and ports in three passes over their bits: a
/// policy of 100,000 rules has some 200,000 cuts a side.
template <typename At>
void sort_cuts(std::vector<Cut<At>>& cuts) {
    constexpr std::size_t kPassesWorth = 2048;
    if constexpr (std::is_same_v<At, std::uint32_t>) {
        constexpr unsigned kBits = 11;
        if (cuts.size() >= kPassesWorth) {
            std::vector<Cut<At>> other(cuts.size());
            for (unsigned shift = 0; shift < 32; shift += kBits) {
                const auto digit = [&](const Cut<At>& cut) { return cut.at >> shift & ((1U << kBits) - 1); };
                std::array<std::uint32_t, (1U << kBits) + 1> begin{};
                for (const Cut<At>& cut : cuts) ++begin[digit(cut) + 1];
                for (std::size_t d = 1; d < begin.size(); ++d) begin[d] += begin[d - 1];
                for (const Cut<At>& cut : cuts) other[begin[digit(cut)]++] = cut;
                cuts.swap(other);
            }
            return;
        }
    }
    std::sort(cuts.begin(), cuts.end());
}

/// A class holds from here to the next interval.
template <typename At>
struct Interval {
    At first{};
    std::uint32_t class_index{};
};
template <typename At>
using Intervals = std::vector<Interval<At>>;

/// One numbering; lines are added in an order that is part of the result.
class ClassNumbers {
public:
    explicit ClassNumbers(std::size_t list_count);

    /// Sorts `cuts`. The line ends with `last`: what is behind it has no class. The first interval starts at 0;
    /// neighbours have different classes.
    template <typename At>
    Intervals<At> add_line(std::vector<Cut<At>>& cuts, const At& last) {
        sort_cuts(cuts);
        Intervals<At> intervals;
        const auto emit = [&](const At& at) {
            const std::uint32_t found = intern();
            if (intervals.empty() || intervals.back().class_index != found) intervals.push_back({at, found});
        };
        std::size_t i = 0;
        const auto flip_all_at = [&](const At& at) {
            for (; i < cuts.size() && cuts[i].at == at; ++i) flip(cuts[i].list);
        };
        flip_all_at(At{});
        emit(At{});
        while (i < cuts.size() && cuts[i].at <= last) {
            const At at = cuts[i].at;
            flip_all_at(at);
            emit(at);
        }
        end_line();
        return intervals;
    }

    std::uint32_t count() const noexcept { return count_; }
    /// Of every list; empty for one without ranges. Once, after the last line.
    std::vector<ClassRanges> take_lists() { return std::move(lists_); }

private:
    /// A set of lists, told from another by 128 bits: the sum (exclusive or) of a mark per list. Marks come from a key
    /// drawn when the program starts, so nobody can write a policy whose sets collide; by chance they do in one of 2^80
    /// policies of a million classes. Numbers do not depend on the key.
    struct Mark {
        std::uint64_t high{}, low{};
        bool operator==(const Mark&) const = default;
    };
    struct Place {
        Mark set;
        std::uint32_t class_index{kFree};
    };
    static constexpr std::uint32_t kFree = 0xffffffff;

    void flip(ListIndex list);
    std::uint32_t intern();
    void grow();
    void end_line();
    void close(ListIndex list);

    Mark set_{};
    std::uint32_t count_{};
    std::vector<Place> places_;  // open addressing, a power of two
    std::vector<ClassRanges> lists_;
    std::vector<std::uint32_t> open_since_;  // kFree = not open
    std::vector<ListIndex> touched_;
};

}  // namespace sluice::cp
