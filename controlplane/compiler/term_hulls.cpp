#include "controlplane/compiler/term_hulls.hpp"

namespace sluice::cp {

TermHull hull_of(const TermBox& box) {
    TermHull hull;
    const auto put = [](const auto& ranges, auto& first, auto& last, auto part) {
        if (ranges.empty()) return;
        first = part(ranges.front().first);
        last = part(ranges.back().last);
    };
    const auto whole = [](std::uint32_t at) { return at; };
    const auto upper = [](const V6Number& at) { return at.high; };
    put(box.src->v4, hull.src_first, hull.src_last, whole);
    put(box.dst->v4, hull.dst_first, hull.dst_last, whole);
    put(box.src->v6, hull.src6_first, hull.src6_last, upper);
    put(box.dst->v6, hull.dst6_first, hull.dst6_last, upper);
    return hull;
}

TermHulls::TermHulls(const TermBuilder& terms, std::size_t rule_count) {
    const auto count = static_cast<std::size_t>(terms.term_count());
    hulls_.reserve(count);
    rule_of_.reserve(count);
    first_term_.reserve(rule_count + 1);
    const TermBoxes boxes{terms};
    for (std::size_t rule = 0; rule < rule_count; ++rule) {
        first_term_.push_back(static_cast<std::uint32_t>(hulls_.size()));
        boxes.for_each_of(rule, [&](const TermBox& box) {
            hulls_.push_back(hull_of(box));
            rule_of_.push_back(static_cast<std::uint32_t>(rule));
        });
    }
    first_term_.push_back(static_cast<std::uint32_t>(hulls_.size()));
}

}  // namespace sluice::cp
