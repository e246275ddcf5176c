#include "controlplane/compiler/classes.hpp"

#include <bit>

namespace sluice::cp {

std::uint32_t ClassTable::intern(const ListSet& set) {
    const auto [first, last] = by_hash_.equal_range(set.hash());
    for (auto it = first; it != last; ++it) {
        if (members_[it->second] == set.words()) return it->second;
    }
    const auto index = static_cast<std::uint32_t>(members_.size());
    members_.push_back(set.words());
    by_hash_.emplace(set.hash(), index);
    return index;
}

std::vector<std::uint64_t> term_rows(const ClassTable& classes, const std::vector<ListIndex>& list_of_term,
                                     std::size_t list_count, std::uint32_t word_count) {
    std::vector<std::uint64_t> any(word_count);
    std::vector<std::vector<std::uint32_t>> terms_of_list(list_count);
    const auto set_bit = [](std::uint64_t* row, std::uint32_t t) { row[t / 64] |= std::uint64_t{1} << (t % 64); };
    for (std::uint32_t t = 0; t < list_of_term.size(); ++t) {
        if (list_of_term[t] == kAnyList) {
            set_bit(any.data(), t);
        } else {
            terms_of_list[list_of_term[t]].push_back(t);
        }
    }
    std::vector<std::uint64_t> rows;
    rows.reserve(classes.count() * word_count);
    for (std::size_t c = 0; c < classes.count(); ++c) {
        rows.insert(rows.end(), any.begin(), any.end());
        std::uint64_t* row = rows.data() + c * word_count;
        const std::vector<std::uint64_t>& lists = classes.lists_of(c);
        for (std::size_t w = 0; w < lists.size(); ++w) {
            for (std::uint64_t left = lists[w]; left != 0; left &= left - 1) {
                for (const std::uint32_t t : terms_of_list[w * 64 + static_cast<std::size_t>(std::countr_zero(left))])
                    set_bit(row, t);
            }
        }
    }
    return rows;
}

}  // namespace sluice::cp
