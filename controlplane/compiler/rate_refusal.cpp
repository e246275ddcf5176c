#include "controlplane/compiler/rate_refusal.hpp"

namespace sluice::cp {

TestLimit refused_by(std::uint32_t per_second, const abi::ZoneLimits& zone, const abi::RuleLimits& rule) noexcept {
    const auto exceeds = [&](std::uint32_t most) { return most != 0 && per_second > most; };  // 0: no limit
    if (exceeds(zone.new_per_second_max)) return TestLimit::zone;
    if (exceeds(rule.new_per_second_per_source_max)) return TestLimit::source;
    if (exceeds(rule.new_per_second_max)) return TestLimit::rule;
    return TestLimit::none;
}

}  // namespace sluice::cp
