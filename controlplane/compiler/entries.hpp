/// Where packets go on that a rule passes to the layers behind its own (dataplane/acl/table_view.hpp).
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "controlplane/policy/model.hpp"

namespace sluice::cp {

class Entries {
public:
    /// Precondition: at most 254 layers.
    explicit Entries(const Policy& policy);

    /// Of rules beside those of `whole`, none of which passes on to later layers. `first_rule`: by entry of `whole`,
    /// the first of them that can be met from there; `is_pass`: by rule.
    Entries(std::vector<std::size_t> first_rule, std::vector<std::uint8_t> is_pass)
        : first_rule_{std::move(first_rule)}, is_pass_{std::move(is_pass)} {}

    /// 1 where no rule passes on.
    std::uint32_t count() const noexcept { return static_cast<std::uint32_t>(first_rule_.size()); }
    /// As RuleRecord has it.
    std::uint8_t is_pass(std::size_t rule) const { return is_pass_[rule]; }
    /// Packets that ask from entry 0 .. n on can meet the rule.
    std::uint32_t last_above(std::size_t rule) const;
    const std::vector<std::size_t>& first_rules() const noexcept { return first_rule_; }

private:
    std::vector<std::size_t> first_rule_{0};  ///< by entry, ascending
    std::vector<std::uint8_t> is_pass_;       ///< by rule
};

}  // namespace sluice::cp
