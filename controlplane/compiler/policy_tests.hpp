/// The tests that a policy carries, asked of the compiled tables that would be published and of the reference. They
/// must agree: a difference is our mistake, not the author's, and nothing may be published with it.
#pragma once

#include <string>
#include <vector>

#include <sluice/expected.hpp>

#include "controlplane/policy/model.hpp"
#include "controlplane/policy/schedule.hpp"

namespace sluice::dp {
struct TableView;
}

namespace sluice::cp {

struct TestOutcome {
    std::string from, to;              ///< as written
    std::string expect, got;           ///< verdicts
    std::string by, got_rule;          ///< expected rule id (may be empty), deciding rule id
    std::string repeat{};              ///< as the language writes it; empty: one flow
    std::string limit{}, got_limit{};  ///< expected (may be empty), and the one that refuses; empty: none does
    bool passed{};
    SourcePos pos;
};

/// In the policy's order; sets with members over the API have those that a test gives. Error: a sentence that names the
/// test and both answers. Precondition: `tables` was compiled from `policy`. `now`: for tests that name no instant.
Expected<std::vector<TestOutcome>, std::string> run_policy_tests(const Policy& policy, const dp::TableView& tables,
                                                                 UnixSeconds now = unix_now());

bool all_passed(const std::vector<TestOutcome>& outcomes);

}  // namespace sluice::cp
