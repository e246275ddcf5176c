#include "controlplane/analysis/box_cut.hpp"

#include <algorithm>
#include <memory>

#include "controlplane/compiler/range_algebra.hpp"

namespace sluice::cp {
namespace {

constexpr std::size_t kSampled = 64;
/// A cut is worth it if neither half keeps more than this share of the list.
constexpr double kShareMax = 0.8;

template <typename At>
struct Cut {
    std::size_t kept{};  ///< of the sample, on the side that keeps more
    At at{};             ///< first place of the upper half
};

/// The best place in one side: the middle one of the edges that lie inside of it.
template <typename At, typename Side>
std::optional<Cut<At>> best_cut(const Ranges<At>& of, const std::vector<const Box*>& sample, Side&& side) {
    const At first = of.front().first, last = of.back().last;
    std::vector<At> edges;
    for (const Box* box : sample) {
        const auto& list = side(*box);
        if (first < list.front().first && list.front().first <= last) edges.push_back(list.front().first);
        At behind = list.back().last;
        if (behind < last && step(behind) && first < behind) edges.push_back(behind);
    }
    if (edges.empty()) return std::nullopt;
    std::nth_element(edges.begin(), edges.begin() + static_cast<std::ptrdiff_t>(edges.size() / 2), edges.end());
    const At at = edges[edges.size() / 2];
    std::size_t below = 0, above = 0;
    for (const Box* box : sample) {
        below += side(*box).front().first < at ? 1 : 0;
        above += side(*box).back().last < at ? 0 : 1;
    }
    return Cut<At>{std::max(below, above), at};
}

template <typename At>
std::pair<Ranges<At>, Ranges<At>> halves(const Ranges<At>& of, const At& at) {
    std::pair<Ranges<At>, Ranges<At>> parts;
    for (const auto& range : of) {
        if (range.last < at) {
            parts.first.push_back(range);
        } else if (range.first < at) {
            At before = at;
            step_back(before);
            parts.first.push_back({range.first, before});
            parts.second.push_back({at, range.last});
        } else {
            parts.second.push_back(range);
        }
    }
    return parts;
}

template <typename At>
std::pair<Box, Box> cut(const Box& box, std::shared_ptr<const Ranges<At>> Box::*side, const At& at) {
    auto parts = halves(*(box.*side), at);
    std::pair<Box, Box> both{box, box};
    both.first.*side = std::make_shared<const Ranges<At>>(std::move(parts.first));
    both.second.*side = std::make_shared<const Ranges<At>>(std::move(parts.second));
    return both;
}

}  // namespace

std::optional<std::pair<Box, Box>> cut_for(const Box& box, const std::vector<Box>& boxes,
                                           const std::vector<std::uint32_t>& list) {
    std::vector<const Box*> sample;
    const std::size_t count = std::min(list.size(), kSampled);
    for (std::size_t i = 0; i < count; ++i) sample.push_back(&boxes[list[i * list.size() / count]]);
    const auto src = best_cut(*box.src, sample, [](const Box& b) -> const AddressRanges& { return *b.src; });
    const auto dst = best_cut(*box.dst, sample, [](const Box& b) -> const AddressRanges& { return *b.dst; });
    const auto service =
        best_cut(*box.service, sample, [](const Box& b) -> const ServiceRanges& { return *b.service; });
    const std::size_t kept =
        std::min({src ? src->kept : count, dst ? dst->kept : count, service ? service->kept : count});
    if (static_cast<double>(kept) > kShareMax * static_cast<double>(count)) return std::nullopt;
    if (src && src->kept == kept) return cut(box, &Box::src, src->at);
    if (dst && dst->kept == kept) return cut(box, &Box::dst, dst->at);
    return cut(box, &Box::service, service->at);
}

}  // namespace sluice::cp
