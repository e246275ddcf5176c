/// From lists of ranges to classes: a line is cut at every edge of every range; what lies between two cuts is held by
/// one set of lists; equal sets are one class. The dataplane finds the class of a number and reads the class's bit row.
///
/// Two passes over the same cuts. The first only counts classes (by a hash of the set that is kept up to date at each
/// cut, so it costs nothing per list), which bounds the section's size before a row is made. The second makes the rows
/// and compares them in full: a hash that collides costs time, never a wrong class.
#pragma once

#include <algorithm>
#include <cstdint>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "controlplane/compiler/ranges.hpp"
#include "controlplane/compiler/terms.hpp"

namespace sluice::cp {

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

/// The set of lists that hold at one place: a bit per list, and its hash.
class ListSet {
public:
    explicit ListSet(std::size_t list_count) : words_((list_count + 63) / 64) {}
    void flip(ListIndex list) {
        words_[list / 64] ^= std::uint64_t{1} << (list % 64);
        hash_ ^= mark(list);
    }
    const std::vector<std::uint64_t>& words() const noexcept { return words_; }
    std::uint64_t hash() const noexcept { return hash_; }

private:
    /// splitmix64 (Steele, Lea, Flood 2014): spreads small numbers over 64 bits.
    static constexpr std::uint64_t mark(std::uint64_t n) noexcept {
        n = (n + 1) * 0x9e3779b97f4a7c15ULL;
        n = (n ^ (n >> 30)) * 0xbf58476d1ce4e5b9ULL;
        n = (n ^ (n >> 27)) * 0x94d049bb133111ebULL;
        return n ^ (n >> 31);
    }
    std::vector<std::uint64_t> words_;
    std::uint64_t hash_{};
};

/// Calls `emit(at, set)` for the start of the line and for every place behind it where the set changes. Precondition:
/// `cuts` is sorted.
template <typename At, typename Emit>
void sweep(const std::vector<Cut<At>>& cuts, std::size_t list_count, Emit emit) {
    ListSet set{list_count};
    std::size_t i = 0;
    const auto flip_all_at = [&](const At& at) {
        for (; i < cuts.size() && cuts[i].at == at; ++i) set.flip(cuts[i].list);
    };
    flip_all_at(At{});
    emit(At{}, set);
    while (i < cuts.size()) {
        const At at = cuts[i].at;
        flip_all_at(at);
        emit(at, set);
    }
}

/// First pass.
class ClassCount {
public:
    void see(const ListSet& set) { hashes_.insert(set.hash()); }
    std::size_t count() const noexcept { return hashes_.size(); }

private:
    std::unordered_set<std::uint64_t> hashes_;
};

/// Second pass: numbers classes in the order in which they are met, so equal policies give equal bytes.
class ClassTable {
public:
    std::uint32_t intern(const ListSet& set);
    std::size_t count() const noexcept { return members_.size(); }
    /// The lists of a class, as bits.
    const std::vector<std::uint64_t>& lists_of(std::size_t index) const noexcept { return members_[index]; }

private:
    std::unordered_multimap<std::uint64_t, std::uint32_t> by_hash_;
    std::vector<std::vector<std::uint64_t>> members_;
};

/// Bit rows over terms from classes over lists. `list_of_term[t]` may be kAnyList: such a term is in every row.
std::vector<std::uint64_t> term_rows(const ClassTable& classes, const std::vector<ListIndex>& list_of_term,
                                     std::size_t list_count, std::uint32_t word_count);

}  // namespace sluice::cp
