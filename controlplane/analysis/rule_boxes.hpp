/// The rules of one policy, or of two that are compared, as one list of boxes in the order of evaluation.
///
/// Theory of operation. Rules that stand in both policies in the same order and match the same packets are one item of
/// the list. What only one policy has, or has elsewhere, or matches otherwise, is an item that only this policy sees;
/// one behind the other where it is the same rule at the same place. Each policy, evaluated, is the walk over the items
/// that it sees. The packets whose first item is one that both see and that says the same in both are those for which
/// nothing changes; so only the boxes of the others need be looked at (first_match.hpp).
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "controlplane/analysis/box.hpp"
#include "controlplane/analysis/box_index.hpp"
#include "controlplane/analysis/entry_places.hpp"
#include "controlplane/policy/model.hpp"

namespace sluice::cp {

inline constexpr std::uint32_t kNone = 0xffffffff;

struct RuleItem {
    std::uint32_t before{kNone}, after{kNone};  ///< index of the rule in its policy; rules.size() = the default
    std::uint32_t first_box{}, box_count{};     ///< the default has none: it takes what is left
    std::uint32_t other_half{kNone};            ///< the item of the same rule at the same place in the other policy
    bool observe{false};
};

class RuleBoxes {
public:
    /// `before` may be null. Everything is borrowed.
    RuleBoxes(const Policy* before, const Policy& after, const EntryPlaces& places);
    RuleBoxes(const RuleBoxes&) = delete;
    RuleBoxes& operator=(const RuleBoxes&) = delete;

    /// False: rules that pass to later layers cut the others into too many pieces, and nothing here is to be used.
    bool complete() const noexcept { return complete_; }
    /// In the order of evaluation, the default last. A rule that passes on has no boxes: what it matches is taken from
    /// the rules behind it in its layer.
    const std::vector<RuleItem>& items() const noexcept { return items_; }
    /// In the order of the items.
    const std::vector<Box>& boxes() const noexcept { return boxes_; }
    std::uint32_t item_of(std::uint32_t box) const noexcept { return item_of_box_[box]; }
    const BoxIndex& index() const noexcept { return index_; }
    const EntryPlaces& places() const noexcept { return places_; }

    /// Packets that can exist, of one box; the boxes below `end` are asked before it.
    struct Start {
        Box packets;
        std::uint32_t end{};
    };
    /// Of all boxes of an item; of the default all packets.
    std::vector<Start> starts_of(std::uint32_t item) const;
    std::size_t bytes() const noexcept;

private:
    void order(const Policy* before, const Policy& after);
    void append(RuleItem item, std::span<Box> boxes);

    const EntryPlaces& places_;
    bool complete_{true};
    std::vector<RuleItem> items_;
    std::vector<Box> boxes_;
    std::vector<std::uint32_t> item_of_box_;
    BoxIndex index_;
};

}  // namespace sluice::cp
