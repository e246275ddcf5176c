/// Services as people write them: `tcp/443`, `tcp/8000-8100`, `icmp/echo-request`, `icmp6/3/1`, `proto/47`, and the
/// names that everybody knows.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include <sluice/expected.hpp>

#include "controlplane/policy/errors.hpp"
#include "controlplane/policy/model.hpp"

namespace sluice::cp {

/// One term; names of services are not looked up here.
Expected<ServiceTerm, ValueError> parse_service_term(std::string_view text);

/// The one spelling that canonical forms use: numbers for ICMP types.
std::string to_text(const ServiceTerm& term);

struct BuiltInService {
    std::string_view name;
    std::span<const ServiceTerm> terms;
};

/// dns http https ntp ping ssh. A policy may define one of these names anew; its own meaning holds then.
std::span<const BuiltInService> built_in_services() noexcept;

}  // namespace sluice::cp
