#include "controlplane/analysis/box.hpp"

#include <utility>

#include "controlplane/compiler/range_algebra.hpp"

namespace sluice::cp {
namespace {

/// Replaces `side` by what it has less than `by`; false if nothing is left.
template <typename List>
bool take_away(std::shared_ptr<const List>& side, const std::shared_ptr<const List>& by) {
    auto left = without(*side, *by);
    if (left.empty()) return false;
    side = std::make_shared<const List>(std::move(left));
    return true;
}

template <typename List>
void meet(std::shared_ptr<const List>& side, const std::shared_ptr<const List>& with) {
    if (side == with || covers(*with, *side)) return;
    if (covers(*side, *with)) {
        side = with;
        return;
    }
    side = std::make_shared<const List>(common(*side, *with));
}

}  // namespace

std::optional<unsigned> uncovered_sides(const Box& box, const Box& by) {
    if (box.family != by.family || (box.from & by.from).none() || (box.to & by.to).none()) return std::nullopt;
    if (!overlaps(*box.service, *by.service) || !overlaps(*box.src, *by.src) || !overlaps(*box.dst, *by.dst))
        return std::nullopt;
    unsigned open = (box.from & ~by.from).any() ? 1 : 0;
    open += (box.to & ~by.to).any() ? 1 : 0;
    open += box.src == by.src || covers(*by.src, *box.src) ? 0 : 1;
    open += box.dst == by.dst || covers(*by.dst, *box.dst) ? 0 : 1;
    open += box.service == by.service || covers(*by.service, *box.service) ? 0 : 1;
    return open;
}

std::optional<Box> common(const Box& a, const Box& b) {
    if (!uncovered_sides(a, b)) return std::nullopt;
    Box both = a;
    both.from &= b.from;
    both.to &= b.to;
    meet(both.src, b.src);
    meet(both.dst, b.dst);
    meet(both.service, b.service);
    return both;
}

/// Side by side: what lies outside of `b` there is a box of its own; the rest goes on to the next side.
void append_without(const Box& a, const Box& b, std::vector<Box>& out) {
    if (!uncovered_sides(a, b)) {
        out.push_back(a);
        return;
    }
    Box rest = a, part = a;
    part.from &= ~b.from;
    if (part.from.any()) out.push_back(part);
    rest.from &= b.from;
    part = rest;
    part.to &= ~b.to;
    if (part.to.any()) out.push_back(part);
    rest.to &= b.to;
    part = rest;
    if (take_away(part.service, b.service)) out.push_back(part);
    meet(rest.service, b.service);
    part = rest;
    if (take_away(part.dst, b.dst)) out.push_back(part);
    meet(rest.dst, b.dst);
    part = rest;
    if (take_away(part.src, b.src)) out.push_back(std::move(part));
}

std::size_t list_lengths(const Box& box) noexcept { return box.src->size() + box.dst->size() + box.service->size(); }

}  // namespace sluice::cp
