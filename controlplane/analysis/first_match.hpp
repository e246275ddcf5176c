/// Which packets a list of rules decides where, without walking over packets: exact work on boxes, within a budget.
///
/// Theory of operation. To take many boxes away from one, a long list is first halved: the box is cut where that tells
/// most of the list's boxes apart, and each half goes on with those that it meets. A short list is taken away box by
/// box, first the one that cuts fewest sides, so that few pieces are made. Which packets two evaluations decide
/// otherwise is found from the items that only one of them sees, or that say something else: a packet counts for the
/// first item that it meets, so each is found once. Everything that is done costs a unit of the budget; what is not
/// finished within it is told.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "controlplane/analysis/rule_boxes.hpp"

namespace sluice::cp {

/// Units are comparisons of two boxes, some 30 ns each.
class Budget {
public:
    explicit Budget(std::uint64_t units) : left_{units} {}
    /// False: it is used up.
    bool spend(std::uint64_t units) noexcept {
        left_ = units < left_ ? left_ - units : 0;
        return left_ != 0;
    }
    bool used_up() const noexcept { return left_ == 0; }
    std::uint64_t left() const noexcept { return left_; }

private:
    std::uint64_t left_;
};

/// finished: all was told. stopped: the receiver wanted no more. gave_up: the budget is used up, there may be more.
enum class Outcome : std::uint8_t { finished, stopped, gave_up };

using BoxNumbers = std::vector<std::uint32_t>;

/// What of `start` none of the boxes numbered `by` covers, in boxes without a packet in common. `sink` returns whether
/// it wants more. `taken`, if not null, gets the numbers of boxes that were taken away.
Outcome remainder(const std::vector<Box>& boxes, const Box& start, const BoxNumbers& by, Budget& budget,
                  const std::function<bool(const Box&)>& sink, BoxNumbers* taken = nullptr);

inline constexpr std::uint32_t kUnseen = 0xffffffff;

/// What each item says in either evaluation, as a number that means something to the caller; kUnseen: the evaluation
/// passes over it. The default, last, is always seen.
struct Sayings {
    std::vector<std::uint32_t> before, after;
};

/// Packets for which the evaluations end otherwise.
struct Difference {
    Box packets;
    std::uint32_t item_before{}, item_after{};  ///< the items that decide
};

class Differences {
public:
    Differences(const RuleBoxes& rules, const Sayings& sayings) : rules_{rules}, sayings_{sayings} {}

    using Sink = std::function<bool(const Difference&)>;
    /// Differences of packets whose first item is `item`.
    Outcome of_item(std::uint32_t item, Budget& budget, const Sink& sink) const;
    /// Does the item say the same in both?
    bool is_same(std::uint32_t item) const noexcept { return sayings_.before[item] == sayings_.after[item]; }

private:
    struct Search;
    Outcome each_decider(const Box& start, const BoxNumbers& list, Search& search) const;
    Outcome tell(const Box& packets, const BoxNumbers& list, std::uint32_t end, std::uint32_t decider,
                 Search& search) const;
    Outcome split(const Box& start, const BoxNumbers& list, Search& search) const;
    std::vector<RuleBoxes::Start> starts_of(std::uint32_t item) const;

    const RuleBoxes& rules_;
    const Sayings& sayings_;
};

}  // namespace sluice::cp
