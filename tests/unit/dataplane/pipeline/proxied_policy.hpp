/// The policy of the tests of handshakes in the server's stead.
#pragma once

#include "tests/unit/dataplane/pipeline/tcp_conversation.hpp"

namespace sluice::test {

inline cp::Policy proxied(const abi::RuleLimits& limits = {.over = abi::HalfOpenOver::syn_cookie},
                          const abi::SynProxySettings& settings = {}, abi::RuleLog log = abi::RuleLog::none) {
    cp::Policy policy = shop_policy(log).build();
    policy.rules[0].limits = limits;
    policy.syn_proxy = settings;
    return policy;
}

}  // namespace sluice::test
