#include "controlplane/compiler/entries.hpp"

#include <algorithm>

namespace sluice::cp {

Entries::Entries(const Policy& policy) {
    const std::size_t count = policy.rules.size();
    std::vector<std::size_t> behind(count);  // where the next layer begins
    for (std::size_t i = count; i-- > 0;) {
        const bool last_of_layer = i + 1 == count || policy.rules[i + 1].layer != policy.rules[i].layer;
        behind[i] = last_of_layer ? i + 1 : behind[i + 1];
    }
    is_pass_.reserve(count);
    for (std::size_t i = 0; i < count; ++i) {
        if (!policy.passes_on(i)) {
            is_pass_.push_back(policy.rules[i].action == Action::pass ? 1 : 0);
            continue;
        }
        if (first_rule_.back() != behind[i]) first_rule_.push_back(behind[i]);
        is_pass_.push_back(static_cast<std::uint8_t>(first_rule_.size()));
    }
}

std::uint32_t Entries::last_above(std::size_t rule) const {
    return static_cast<std::uint32_t>(std::ranges::upper_bound(first_rule_, rule) - first_rule_.begin() - 1);
}

}  // namespace sluice::cp
