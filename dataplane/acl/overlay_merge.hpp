/// Two answers about one packet, that of the large tables and that of the overlay's, made one.
///
/// Why it is enough to look at both: where the large tables' rule stands, no rule of theirs in front of it matches, so
/// only a new one can come before it. Where it is hidden, the overlay's places hold every rule behind it that could
/// match where it does (who writes an overlay sees to that), and the first of them is the answer; none: the default.
/// The same goes for rules that observe.
#pragma once

#include "dataplane/acl/lookup.hpp"

namespace sluice::dp {

/// `large` with `default_rule` for none; `small` in places, from their count on for none.
inline LookupResult merged(const OverlayView& overlay, abi::RuleIndex default_rule, const LookupResult& large,
                           const LookupResult& small) noexcept {
    const bool gone = overlay.hides(large.rule);
    const bool matched = small.rule < overlay.places.size();
    LookupResult answer{.rule = gone ? default_rule : large.rule, .observe = abi::kNoRule};
    // What stands before this place, and is no place itself, is asked before the answer.
    abi::RuleIndex decided_before = answer.rule;
    const bool by_overlay = matched && overlay.places[small.rule].before <= answer.rule;
    if (by_overlay) {
        answer.rule = overlay.places[small.rule].rule;
        decided_before = overlay.places[small.rule].before;
    }
    if (large.observe != abi::kNoRule && large.observe < decided_before && !overlay.hides(large.observe))
        answer.observe = large.observe;
    if (small.observe != abi::kNoRule) {
        const abi::OverlayPlace& place = overlay.places[small.observe];
        const bool before_answer = by_overlay || place.before <= decided_before;
        if (before_answer && place.before <= answer.observe) answer.observe = place.rule;
    }
    return answer;
}

}  // namespace sluice::dp
