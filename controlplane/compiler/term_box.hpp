/// A term as what it matches: one AND of all dimensions, as lists that somebody else owns. For questions about how far
/// a change reaches.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "controlplane/compiler/range_algebra.hpp"
#include "controlplane/compiler/terms.hpp"

namespace sluice::cp {

struct TermBox {
    ZoneBits from, to;
    const AddressList* src{};
    const AddressList* dst{};
    const ServiceList* service{};
    /// Sets with members over the API: of one of `members`, if not 0, and of none of `except`. Compared where both
    /// policies have the same such sets.
    SetBits from_members{}, to_members{};
    SetBits from_except{}, to_except{};
};

/// What the narrow box asks of members, the wide one asks too, or less.
bool asks_no_more(const TermBox& wide, const TermBox& narrow);
/// Nobody knows how the members of sets overlap: they are taken to.
bool overlaps(const TermBox& a, const TermBox& b);
/// All that `narrow` matches, `wide` matches.
bool covers(const TermBox& wide, const TermBox& narrow);

/// A policy's rules as boxes, made when they are asked for.
class TermBoxes {
public:
    /// `terms`, of `policy`, is borrowed; null: made here.
    TermBoxes(const Policy& policy, const TermBuilder* terms) : terms_{terms} {
        if (terms_ == nullptr) terms_ = &own_.emplace(policy);
    }
    explicit TermBoxes(const TermBuilder& terms) : terms_{&terms} {}
    TermBoxes(const TermBoxes&) = delete;
    TermBoxes& operator=(const TermBoxes&) = delete;

    template <typename Visit>
    void for_each_of(std::size_t rule, Visit&& visit) const {
        terms_->for_each_term_of(static_cast<std::uint32_t>(rule), [&](const Term& t) {
            visit(TermBox{t.from.zones, t.to.zones, addresses(t.from.addresses), addresses(t.to.addresses),
                          &terms_->services()[t.service], t.from.members, t.to.members, t.from.except, t.to.except});
        });
    }
    std::vector<TermBox> of(std::size_t rule) const {
        std::vector<TermBox> boxes;
        for_each_of(rule, [&](const TermBox& box) { boxes.push_back(box); });
        return boxes;
    }

private:
    const AddressList* addresses(ListIndex list) const {
        return list == kAnyList ? &every_address() : &terms_->addresses()[list];
    }
    std::optional<TermBuilder> own_;
    const TermBuilder* terms_;
};

}  // namespace sluice::cp
