/// Each term of a policy as the smallest box of addresses around it, all of them side by side: which of 100,000 rules
/// may meet a box is found by walking along them, in some hundred microseconds, without looking at a list.
#pragma once

#include <cstdint>
#include <vector>

#include "controlplane/compiler/term_box.hpp"

namespace sluice::cp {

/// Both ends inside; `first` above `last`: nothing of that family. Of IPv6 the upper halves.
struct TermHull {
    std::uint32_t src_first{1}, src_last{}, dst_first{1}, dst_last{};
    std::uint64_t src6_first{1}, src6_last{}, dst6_first{1}, dst6_last{};

    bool meets(const TermHull& o) const noexcept {
        const bool v4 = src_first <= o.src_last && o.src_first <= src_last && dst_first <= o.dst_last &&
                        o.dst_first <= dst_last && src_first <= src_last && dst_first <= dst_last &&
                        o.src_first <= o.src_last && o.dst_first <= o.dst_last;
        const bool v6 = src6_first <= o.src6_last && o.src6_first <= src6_last && dst6_first <= o.dst6_last &&
                        o.dst6_first <= dst6_last && src6_first <= src6_last && dst6_first <= dst6_last &&
                        o.src6_first <= o.src6_last && o.dst6_first <= o.dst6_last;
        return v4 || v6;
    }
};
TermHull hull_of(const TermBox& box);

class TermHulls {
public:
    TermHulls(const TermBuilder& terms, std::size_t rule_count);

    /// Calls `visit(rule)` for rules from `first` on of which a term may meet the hull, ascending, each once, until it
    /// answers false.
    template <typename Visit>
    void for_each_met(const TermHull& hull, std::size_t first, Visit&& visit) const {
        for (std::size_t t = first_term_[first]; t < hulls_.size(); ++t) {
            if (!hulls_[t].meets(hull)) continue;
            const std::uint32_t rule = rule_of_[t];
            if (!visit(rule)) return;
            t = first_term_[rule + std::size_t{1}] - 1;
        }
    }

private:
    std::vector<TermHull> hulls_;            ///< by term
    std::vector<std::uint32_t> rule_of_;     ///< by term
    std::vector<std::uint32_t> first_term_;  ///< by rule, and one more
};

}  // namespace sluice::cp
