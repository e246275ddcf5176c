/// An issuer of tokens (OpenID Connect) whose word counts here: what the configuration says of it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "controlplane/identity/role.hpp"

namespace sluice::cp {

/// Whoever has this value in the role claim has these roles.
struct IssuerRole {
    std::string value;
    Roles roles;
};

struct IssuerConfig {
    std::string issuer;    ///< exactly what stands in `iss`; empty = no issuer is configured
    std::string audience;  ///< must stand in `aud`
    std::string jwks;      ///< where its public keys are: a file, https://..., or http:// on loopback
    std::string ca;        ///< PEM, who signed the certificate of that server; empty = whom this machine trusts
    std::vector<std::string> roles_claim{"groups"};  ///< path of keys to the claim
    std::vector<IssuerRole> roles;                   ///< all that fit add up
    std::uint32_t clock_skew_s{30};
    std::uint64_t refresh_s{300};          ///< how often keys are read anew
    std::uint64_t keys_age_max_s{86'400};  ///< older ones count for nothing: withdrawn keys end, at the latest then
};

inline constexpr std::uint32_t kClockSkewMax_s = 300;

}  // namespace sluice::cp
