#include "controlplane/analysis/first_match.hpp"

#include <algorithm>
#include <memory>
#include <optional>
#include <utility>

#include "controlplane/analysis/box_cut.hpp"

namespace sluice::cp {
namespace {

/// Lists up to here are taken away box by box.
constexpr std::size_t kShortList = 24;

/// Copying long lists costs, too.
std::uint64_t cost_of(const Box& box) noexcept { return 1 + list_lengths(box) / 16; }

struct Piece {
    Box box;
    std::shared_ptr<const BoxNumbers> by;
};

}  // namespace

Outcome remainder(const std::vector<Box>& boxes, const Box& start, const BoxNumbers& by, Budget& budget,
                  const std::function<bool(const Box&)>& sink, BoxNumbers* taken) {
    std::vector<Piece> open{{start, std::make_shared<const BoxNumbers>(by)}};
    std::vector<Box> parts;
    while (!open.empty()) {
        const Piece piece = std::move(open.back());
        open.pop_back();
        if (!budget.spend(cost_of(piece.box) + piece.by->size())) return Outcome::gave_up;
        BoxNumbers met;
        std::uint32_t best = 0;
        unsigned best_open = 6;
        for (const std::uint32_t b : *piece.by) {
            const auto uncovered = uncovered_sides(piece.box, boxes[b]);
            if (!uncovered) continue;
            met.push_back(b);
            if (*uncovered < best_open) {
                best_open = *uncovered;
                best = b;
            }
            if (best_open == 0) break;
        }
        if (met.empty()) {
            if (!sink(piece.box)) return Outcome::stopped;
            continue;
        }
        if (best_open == 0) {
            if (taken != nullptr) taken->push_back(best);
            continue;
        }
        if (met.size() > kShortList && best_open > 1) {
            if (auto halves = cut_for(piece.box, boxes, met)) {
                const auto list = std::make_shared<const BoxNumbers>(std::move(met));
                open.push_back({std::move(halves->first), list});
                open.push_back({std::move(halves->second), list});
                continue;
            }
        }
        std::erase(met, best);
        if (taken != nullptr) taken->push_back(best);
        const auto list = std::make_shared<const BoxNumbers>(std::move(met));
        parts.clear();
        append_without(piece.box, boxes[best], parts);
        for (Box& part : parts) open.push_back({std::move(part), list});
    }
    return Outcome::finished;
}

/// One item, and the evaluation that goes on without it.
struct Differences::Search {
    std::uint32_t item{};
    bool in_before{};      ///< the evaluation that sees the item
    std::uint32_t end{};   ///< boxes below are asked before the item, by both
    std::uint32_t says{};  ///< what the item says
    Budget& budget;
    const Sink& sink;
};

std::vector<RuleBoxes::Start> Differences::starts_of(std::uint32_t item) const {
    auto starts = rules_.starts_of(item);
    const std::uint32_t other = rules_.items()[item].other_half;
    if (other == kNone) return starts;
    const auto said = [&](std::uint32_t i) {
        return sayings_.before[i] == kUnseen ? sayings_.after[i] : sayings_.before[i];
    };
    if (said(item) != said(other)) return starts;
    // The other half stands beside it and says the same: only what one half has more than the other can differ.
    std::vector<RuleBoxes::Start> left;
    std::vector<Box> parts, next;
    const RuleItem& half = rules_.items()[other];
    for (auto& start : starts) {
        parts.assign(1, std::move(start.packets));
        for (std::uint32_t b = half.first_box; b < half.first_box + half.box_count && !parts.empty(); ++b) {
            next.clear();
            for (const Box& part : parts) append_without(part, rules_.boxes()[b], next);
            parts.swap(next);
        }
        for (Box& part : parts) left.push_back({std::move(part), start.end});
    }
    return left;
}

Outcome Differences::of_item(std::uint32_t item, Budget& budget, const Sink& sink) const {
    const std::uint32_t before = sayings_.before[item], after = sayings_.after[item];
    if (before == after) return Outcome::finished;
    const bool in_both = before != kUnseen && after != kUnseen;
    for (const auto& start : starts_of(item)) {
        BoxNumbers list;
        const auto seen = [&](std::uint32_t b) {
            const std::uint32_t i = rules_.item_of(b);
            if (sayings_.before[i] == kUnseen && sayings_.after[i] == kUnseen) return false;
            if (b < start.end) return true;
            if (i == item) return false;
            return (before == kUnseen ? sayings_.before[i] : sayings_.after[i]) != kUnseen;
        };
        const auto end = in_both ? start.end : static_cast<std::uint32_t>(rules_.boxes().size());
        if (!budget.spend(rules_.index().find(start.packets, end, list) + list.size())) return Outcome::gave_up;
        std::erase_if(list, [&](std::uint32_t b) { return !seen(b); });
        Outcome outcome{};
        if (in_both) {
            outcome = remainder(rules_.boxes(), start.packets, list, budget, [&](const Box& piece) {
                return sink({piece, item, item});
            });
        } else {
            Search search{item, before != kUnseen, start.end, before != kUnseen ? before : after, budget, sink};
            outcome = split(start.packets, list, search);
        }
        if (outcome != Outcome::finished) return outcome;
    }
    return Outcome::finished;
}

/// `list` are boxes that `start` may meet, in order: those before the item, then those that the other evaluation sees.
Outcome Differences::split(const Box& start, const BoxNumbers& list, Search& search) const {
    if (!search.budget.spend(cost_of(start) + list.size())) return Outcome::gave_up;
    const auto& other = search.in_before ? sayings_.after : sayings_.before;
    BoxNumbers met;
    bool differs = false, closed = false;
    for (const std::uint32_t b : list) {
        const auto uncovered = uncovered_sides(start, rules_.boxes()[b]);
        if (!uncovered) continue;
        if (b < search.end) {
            if (*uncovered == 0) return Outcome::finished;
        } else {
            differs = differs || other[rules_.item_of(b)] != search.says;
            closed = *uncovered == 0;
        }
        met.push_back(b);
        if (closed) break;  // nothing behind it is asked
    }
    if (!differs && (closed || other.back() == search.says)) return Outcome::finished;
    if (met.size() > kShortList) {
        if (const auto halves = cut_for(start, rules_.boxes(), met)) {
            const Outcome first = split(halves->first, met, search);
            return first == Outcome::finished ? split(halves->second, met, search) : first;
        }
    }
    return each_decider(start, met, search);
}

/// Each box that would decide otherwise, less all that is asked before it.
Outcome Differences::each_decider(const Box& start, const BoxNumbers& list, Search& search) const {
    const auto& other = search.in_before ? sayings_.after : sayings_.before;
    for (std::uint32_t at = 0; at < list.size(); ++at) {
        const std::uint32_t item = rules_.item_of(list[at]);
        if (list[at] < search.end || other[item] == search.says) continue;
        const auto both = common(start, rules_.boxes()[list[at]]);
        if (!both) continue;
        const Outcome outcome = tell(*both, list, at, item, search);
        if (outcome != Outcome::finished) return outcome;
    }
    if (other.back() == search.says) return Outcome::finished;
    const auto last = static_cast<std::uint32_t>(rules_.items().size() - 1);
    return tell(start, list, static_cast<std::uint32_t>(list.size()), last, search);
}

Outcome Differences::tell(const Box& packets, const BoxNumbers& list, std::uint32_t end, std::uint32_t decider,
                          Search& search) const {
    const BoxNumbers before{list.begin(), list.begin() + end};
    return remainder(rules_.boxes(), packets, before, search.budget, [&](const Box& piece) {
        return search.sink(search.in_before ? Difference{piece, search.item, decider}
                                            : Difference{piece, decider, search.item});
    });
}

}  // namespace sluice::cp
