/// Which of things that changed places kept their order: the longest strictly increasing subsequence, by patience
/// sorting, O(n log n).
#pragma once

#include <algorithm>
#include <cstddef>
#include <span>
#include <vector>

namespace sluice::cp {

inline constexpr std::size_t kNoPlace = static_cast<std::size_t>(-1);

/// Indexes into `places` of a longest run, the last first. Entries that are kNoPlace are not part of any.
inline std::vector<std::size_t> longest_run(std::span<const std::size_t> places) {
    // tails[k] ends the best run of k + 1.
    std::vector<std::size_t> tails, previous(places.size(), kNoPlace);
    for (std::size_t i = 0; i < places.size(); ++i) {
        if (places[i] == kNoPlace) continue;
        if (tails.empty() || places[tails.back()] < places[i]) {  // most that is compared is in order
            if (!tails.empty()) previous[i] = tails.back();
            tails.push_back(i);
            continue;
        }
        const auto at = std::lower_bound(tails.begin(), tails.end(), places[i],
                                         [&](std::size_t tail, std::size_t place) { return places[tail] < place; });
        if (at != tails.begin()) previous[i] = *(at - 1);
        if (at == tails.end()) {
            tails.push_back(i);
        } else {
            *at = i;
        }
    }
    std::vector<std::size_t> run;
    for (std::size_t i = tails.empty() ? kNoPlace : tails.back(); i != kNoPlace; i = previous[i]) run.push_back(i);
    return run;
}

}  // namespace sluice::cp
